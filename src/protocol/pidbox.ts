/**
 * Remote control on the wire: a request that every worker hears, and the replies to it. Pure data; what comes from the
 * broker is checked here. Python: `kombu.pidbox`.
 */
import { DecodeError } from "../errors.ts";
import { type DeserializeOptions, deserialize, serialize } from "./serialization.ts";
import { DEFAULT_LIMITS, type Limits, type WireMessage } from "./wire.ts";

/** Where requests and replies go. */
export interface PidboxNames {
  /** Fanout: requests. */
  readonly exchange: string;
  /** Direct: replies, by the client's id. */
  readonly replyExchange: string;
}

/** Names that follow from `control_exchange`. */
export function pidboxNames(controlExchange: string): PidboxNames {
  return { exchange: `${controlExchange}.pidbox`, replyExchange: `reply.${controlExchange}.pidbox` };
}

/** A worker's queue of requests: it registers its presence under this name. */
export function pidboxQueue(hostname: string, names: PidboxNames): string {
  return `${hostname}.${names.exchange}`;
}

/** The node that a queue of {@link pidboxQueue} belongs to; null: it is no such queue. */
export function nodeOfPidboxQueue(queue: string, names: PidboxNames): string | null {
  const end = `.${names.exchange}`;
  return queue.endsWith(end) && queue.length > end.length ? queue.slice(0, -end.length) : null;
}

/** A client's queue of replies. */
export function replyQueue(client: string, names: PidboxNames): string {
  return `${client}.${names.replyExchange}`;
}

/** Where a worker sends its reply. */
export interface ReplyTo {
  readonly exchange: string;
  /** The client's id. */
  readonly routingKey: string;
}

/** One command, as it travels. */
export interface ControlRequest {
  readonly method: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Node names; null: see `pattern`. */
  readonly destination: readonly string[] | null;
  /** Counts only beside `matcher`, as in kombu. */
  readonly pattern: string | null;
  /** `glob`, `pcre`. */
  readonly matcher: string | null;
  /** Names this request in its replies; null: nobody waits. */
  readonly ticket: string | null;
  readonly replyTo: ReplyTo | null;
  /** The sender's logical clock. */
  readonly clock: number;
  /** When its sender stops waiting, Unix seconds; 0: never said. */
  readonly expires: number;
}

/** One node's reply. */
export interface ControlReplyMessage {
  readonly node: string;
  readonly reply: unknown;
  readonly ticket: string | null;
  readonly clock: number;
}

/** How bodies are read. */
export interface PidboxDecodeOptions {
  readonly accept: readonly string[];
  readonly limits?: Limits;
}

/** Node names and patterns are not longer. */
const MAX_NAME = 1024;
const MAX_DESTINATIONS = 10_000;
/** `persistent` and `transient` of AMQP, as Celery sends requests and replies. */
const PERSISTENT = 2;
const TRANSIENT = 1;

/** @throws EncodeError when the arguments cannot travel */
export function encodeRequest(request: ControlRequest, serializer: string): WireMessage {
  const { method, destination, pattern, matcher, ticket, replyTo, clock, expires } = request;
  const body = {
    method,
    arguments: request.arguments,
    destination,
    pattern,
    matcher,
    ...(ticket === null || replyTo === null
      ? {}
      : { ticket, reply_to: { exchange: replyTo.exchange, routing_key: replyTo.routingKey } }),
  };
  return {
    ...serialize(body, serializer, `the arguments of ${method}`),
    headers: { clock, expires },
    properties: { delivery_mode: PERSISTENT },
  };
}

/** @throws EncodeError when the reply cannot travel */
export function encodeReply(reply: ControlReplyMessage, serializer: string): WireMessage {
  const { node, ticket, clock } = reply;
  return {
    ...serialize({ [node]: reply.reply }, serializer, "the reply"),
    headers: { ticket, clock },
    properties: { delivery_mode: TRANSIENT },
  };
}

/** @throws DecodeError, SecurityError */
export function decodeRequest(message: WireMessage, options: PidboxDecodeOptions): ControlRequest {
  const body = bodyOf(message, options);
  const { method, arguments: given, destination, pattern, matcher, ticket } = body;
  if (typeof method !== "string" || method === "") throw new DecodeError("a request without a method");
  return {
    method,
    arguments: optional(given, "arguments", recordOf) ?? {},
    destination: optional(destination, "destination", namesOf),
    pattern: optional(pattern, "pattern", nameOf),
    matcher: optional(matcher, "matcher", nameOf),
    ticket: optional(ticket, "ticket", nameOf),
    replyTo: optional(body["reply_to"], "reply_to", replyToOf),
    clock: numberOf(message.headers["clock"]),
    expires: numberOf(message.headers["expires"]),
  };
}

/** @throws DecodeError, SecurityError */
export function decodeReply(message: WireMessage, options: PidboxDecodeOptions): ControlReplyMessage {
  const entries = Object.entries(bodyOf(message, options));
  const [entry] = entries;
  if (entry === undefined || entries.length > 1 || entry[0].length > MAX_NAME) {
    throw new DecodeError("a reply is an object with the name of one node");
  }
  const { ticket, clock } = message.headers;
  return {
    node: entry[0],
    reply: entry[1],
    ticket: typeof ticket === "string" ? ticket : null,
    clock: numberOf(clock),
  };
}

function bodyOf(message: WireMessage, options: PidboxDecodeOptions): Readonly<Record<string, unknown>> {
  const { contentType, contentEncoding } = message;
  const { accept, limits = DEFAULT_LIMITS } = options;
  const how: DeserializeOptions = { contentType, contentEncoding, accept, limits };
  const body = recordOf(deserialize(message.body, how));
  if (body === null) throw new DecodeError("the body of a remote control message is no object");
  return body;
}

/** null and what is missing are the same; what is there must be right. */
function optional<T>(value: unknown, name: string, read: (value: unknown) => T | null): T | null {
  if (value === undefined || value === null) return null;
  const found = read(value);
  if (found === null) throw new DecodeError(`a request with a bad ${name}`);
  return found;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | null {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? (value as Readonly<Record<string, unknown>>) : null;
}

function nameOf(value: unknown): string | null {
  return typeof value === "string" && value.length <= MAX_NAME ? value : null;
}

/** One name may come without a list around it. */
function namesOf(value: unknown): readonly string[] | null {
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  const good = names.length <= MAX_DESTINATIONS && names.every((one) => nameOf(one) !== null);
  return good ? (names as readonly string[]) : null;
}

function replyToOf(value: unknown): ReplyTo | null {
  const { exchange, routing_key: routingKey } = recordOf(value) ?? {};
  if (nameOf(exchange) === null || nameOf(routingKey) === null || routingKey === "") return null;
  return { exchange: exchange as string, routingKey: routingKey as string };
}

function numberOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
