/**
 * kombu's envelope: the JSON text of one entry of a Redis list and of one published message. Written by a template, in
 * Python's key order. Python: `kombu.transport.virtual`.
 */
import { Buffer, isUtf8 } from "node:buffer";
import { DecodeError } from "../errors.ts";
import { base64Length, bytesOfBase64 } from "./base64.ts";
import { parseJson, stringifyJson } from "./json.ts";
import { quote, quoteId } from "./json-write.ts";
import { DEFAULT_LIMITS, type Limits, type WireMessage } from "./wire.ts";

/** Where one copy of a message goes. */
export interface EnvelopeRoute {
  /** `""`: straight to the queue named by `routingKey`. */
  readonly exchange: string;
  readonly routingKey: string;
  /** Written when the message's own properties have no priority. */
  readonly priority: number;
  /** A new one for every copy: two copies with one tag would share one `unacked` entry. */
  readonly deliveryTag: string;
}

/**
 * The envelope of a message. The body is base64, unless `properties.body_encoding` is given and is something else and the
 * body is text.
 *
 * @throws EncodeError when headers or properties hold what cannot travel
 */
export function encodeEnvelope(message: WireMessage, route: EnvelopeRoute): string {
  const { properties } = message;
  const encoding = properties["body_encoding"];
  const literal = encoding !== undefined && encoding !== "base64" ? literalBody(message.body) : null;
  const body = literal === null ? `"${base64(message.body)}"` : quote(literal);
  const { exchange, routingKey, priority, deliveryTag } = route;
  return `{"body":${body}${content(message)},"headers":${writeHeaders(message.headers)},"properties":{${ownProperties(properties)}${deliveryInfo(exchange, routingKey)},"priority":${json(properties["priority"] ?? priority, "priority")},"body_encoding":${literal === null ? '"base64"' : json(encoding, "body_encoding")},"delivery_tag":${quote(deliveryTag)}}}`;
}

// Most of an envelope is what the last one had: such pieces are kept, in one text, until something else comes.

const lastContent = { encoding: "", type: "", text: ',"content-encoding":"","content-type":""' };

function content({ contentEncoding, contentType }: WireMessage): string {
  if (lastContent.encoding !== contentEncoding || lastContent.type !== contentType) {
    lastContent.text = `,"content-encoding":${quote(contentEncoding)},"content-type":${quote(contentType)}`;
    lastContent.encoding = contentEncoding;
    lastContent.type = contentType;
  }
  return lastContent.text;
}

const lastInfo = { exchange: "", routingKey: "", text: '"delivery_info":{"exchange":"","routing_key":""}' };

function deliveryInfo(exchange: string, routingKey: string): string {
  if (lastInfo.exchange !== exchange || lastInfo.routingKey !== routingKey) {
    lastInfo.text = `"delivery_info":{"exchange":${quote(exchange)},"routing_key":${quote(routingKey)}}`;
    lastInfo.exchange = exchange;
    lastInfo.routingKey = routingKey;
  }
  return lastInfo.text;
}

/** What {@link stringifyJson} gives, quicker for what headers and properties mostly hold. */
function json(value: unknown, where: string): string {
  if (value === null) return "null";
  if (typeof value === "string") return quote(value);
  if (typeof value === "boolean") return value ? "true" : "false";
  return stringifyJson(value, where);
}

/** Names of a task's headers in the order in which `encodeTask` makes them, as JSON. */
export const TASK_HEADERS: readonly string[] = [
  "lang",
  "task",
  "id",
  "shadow",
  "eta",
  "expires",
  "group",
  "group_index",
  "retries",
  "timelimit",
  "root_id",
  "parent_id",
  "argsrepr",
  "kwargsrepr",
  "origin",
  "ignore_result",
  "replaced_task_nesting",
  "stamped_headers",
  "stamps",
];
const ID = TASK_HEADERS.indexOf("id");
const ROOT_ID = TASK_HEADERS.indexOf("root_id");
/** Longest text of a header that is kept. */
const KEPT_AT_MOST = 128;
const TASK_HEADER_TEXTS: readonly string[] = TASK_HEADERS.map(
  (name, index) => `${index === 0 ? "" : ","}"${name}":`,
);

/** Of each header of a task: the last value that cannot change, and `,"name":value`. */
const lastHeaders: { value: unknown; text: string }[] = TASK_HEADER_TEXTS.map((text) => ({
  value: undefined,
  text,
}));

/** One pass over the names; those of a task, in their order, need no quoting. */
function writeHeaders(headers: WireMessage["headers"]): string {
  let text = "";
  let index = 0;
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    if (name === TASK_HEADERS[index]) text += taskHeader(index, value);
    else text += `${text === "" ? "" : ","}${quote(name)}:${json(value, `headers.${name}`)}`;
    index++;
  }
  return `{${text}}`;
}

function taskHeader(index: number, value: unknown): string {
  const last = lastHeaders[index] as { value: unknown; text: string };
  if (Object.is(last.value, value)) return last.text;
  const isId = (index === ID || index === ROOT_ID) && typeof value === "string";
  const written = isId ? quoteId(value) : json(value, `headers.${TASK_HEADERS[index]}`);
  const text = `${TASK_HEADER_TEXTS[index]}${written}`;
  if (text.length <= KEPT_AT_MOST && staysAsItIs(value)) {
    last.value = value;
    last.text = text;
  }
  return text;
}

/** An object may have changed when it comes again, unless it is frozen. */
function staysAsItIs(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  return (
    Object.isFrozen(value) &&
    Object.values(value).every((member) => typeof member !== "object" || member === null)
  );
}

function ownProperties(properties: WireMessage["properties"]): string {
  let text = "";
  for (const name in properties) {
    const value = properties[name];
    if (value === undefined) continue;
    switch (name) {
      case "correlation_id":
        text += `"correlation_id":${typeof value === "string" ? quoteId(value) : json(value, name)},`;
        break;
      case "reply_to":
        text += `"reply_to":${json(value, name)},`;
        break;
      case "delivery_mode":
        text += `"delivery_mode":${json(value, name)},`;
        break;
      case "delivery_info":
      case "priority":
      case "body_encoding":
      case "delivery_tag":
        break;
      default:
        text += `${quote(name)}:${json(value, name)},`;
    }
  }
  return text;
}

function literalBody(body: Uint8Array | string): string | null {
  if (typeof body === "string") return body;
  return isUtf8(body) ? Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8") : null;
}

/** Bodies up to this size pass through a buffer that is kept. */
const SCRATCH_BYTES = 16 * 1024;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** Longer ones, such as lists of events, through one that is made when the first of them comes. */
const WIDE_BYTES = 128 * 1024;
let wide: Buffer | null = null;

function base64(body: Uint8Array | string): string {
  if (typeof body !== "string") {
    return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64");
  }
  const most = body.length * 3;
  if (most > WIDE_BYTES) return Buffer.from(body, "utf8").toString("base64");
  const room = most <= SCRATCH_BYTES ? scratch : (wide ??= Buffer.allocUnsafeSlow(WIDE_BYTES));
  return room.toString("base64", 0, room.write(body, 0, "utf8"));
}

/**
 * Reads an envelope. What Python's workers die of and what can be understood without it is let through: no headers, no
 * properties, no delivery tag, no delivery info, no content type (which `decodeTask` refuses with the task's id).
 *
 * @throws DecodeError with the reason, and the task's id where it can be read; `PET_MESSAGE_TOO_LARGE`
 */
export function decodeEnvelope(raw: string, limits: Limits = DEFAULT_LIMITS): WireMessage {
  checkSize(raw, limits.maxMessageBytes);
  const envelope = parseJson(raw, limits) as Record<string, unknown> | null;
  if (typeof envelope !== "object" || envelope === null || Array.isArray(envelope)) {
    throw new DecodeError("not a message: the envelope is not a JSON object");
  }
  const headers = record(envelope, "headers", null);
  const properties = record(envelope, "properties", headers);
  const contentType = envelope["content-type"];
  const contentEncoding = envelope["content-encoding"];
  const message = {
    body: "" as string | Uint8Array,
    contentType: typeof contentType === "string" ? contentType : "",
    contentEncoding: typeof contentEncoding === "string" ? contentEncoding : "",
    headers,
    properties,
  };
  message.body = decodeBody(envelope["body"], message);
  return message;
}

/** UTF-16 units are a lower bound of bytes, three times that an upper one. */
function checkSize(raw: string, maxBytes: number): void {
  if (raw.length * 3 <= maxBytes || Buffer.byteLength(raw) <= maxBytes) return;
  throw new DecodeError(
    `the message has more than ${maxBytes} bytes: store large data elsewhere and send its key`,
    {
      code: "PET_MESSAGE_TOO_LARGE",
    },
  );
}

function record(
  envelope: Readonly<Record<string, unknown>>,
  key: string,
  headers: Readonly<Record<string, unknown>> | null,
): Record<string, unknown> {
  const value = envelope[key];
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new DecodeError(`the envelope's ${key} are not an object`, { taskId: idIn(headers) });
  }
  return value as Record<string, unknown>;
}

function idIn(headers: Readonly<Record<string, unknown>> | null): string | null {
  const id = headers?.["id"];
  return typeof id === "string" && id !== "" ? id : null;
}

function decodeBody(body: unknown, message: WireMessage): string | Uint8Array {
  const { headers, properties } = message;
  if (typeof body !== "string") {
    throw new DecodeError("the envelope's body is missing or not a text", { taskId: idIn(headers) });
  }
  const encoding = properties["body_encoding"];
  if (encoding === "base64") {
    const isText = message.contentEncoding === "utf-8" && headers["compression"] == null;
    const decoded = isText ? textOfBase64(body) : bytesOfBase64(body);
    if (decoded !== null) return decoded;
    throw new DecodeError("the body is not base64", { taskId: idIn(headers) });
  }
  if (encoding === undefined || encoding === null || encoding === "utf-8" || encoding === "utf8") return body;
  const shown =
    typeof encoding === "string" ? JSON.stringify(encoding.slice(0, 64)) : `of type ${typeof encoding}`;
  throw new DecodeError(`body_encoding ${shown} is not known: base64, utf-8 or null`, {
    taskId: idIn(headers),
  });
}

/** Text of base64 of UTF-8; the bytes where they are not UTF-8, for a later reader to refuse. */
function textOfBase64(text: string): string | Uint8Array | null {
  const length = base64Length(text);
  if (length > SCRATCH_BYTES) {
    const bytes = bytesOfBase64(text);
    return bytes !== null && isUtf8(bytes) ? bytes.toString("utf8") : bytes;
  }
  if (scratch.write(text, 0, SCRATCH_BYTES, "base64") !== length) return null;
  const decoded = scratch.toString("utf8", 0, length);
  // U+FFFD stands for broken bytes, or for itself.
  return decoded.includes("\ufffd") && !isUtf8(scratch.subarray(0, length)) ? bytesOfBase64(text) : decoded;
}
