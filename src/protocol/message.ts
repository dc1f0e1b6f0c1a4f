/** Task messages: protocol 2 written and read, protocol 1 read. Python: `celery.app.amqp`, `celery.worker.strategy`. */
import { Buffer } from "node:buffer";
import { DecodeError, EncodeError } from "../errors.ts";
import { compress, decompress } from "./compression.ts";
import { stringifyJson } from "./json.ts";
import {
  isRecord,
  readCount,
  readDeliveryInfo,
  readInstant,
  readNames,
  readRecord,
  readText,
  readTimeLimits,
} from "./message-fields.ts";
import { hybridBody, liftProtocol1 } from "./message-v1.ts";
import { reprArgs, reprKwargs } from "./python-repr.ts";
import { deserialize, serialize } from "./serialization.ts";
import { readSignature, readSignatures } from "./signature-data.ts";
import {
  DEFAULT_LIMITS,
  type DecodedTask,
  type Limits,
  type OutgoingTask,
  type TaskEmbed,
  type WireMessage,
} from "./wire.ts";

/** How a task message is written. */
export interface TaskFormat {
  /** `json`, `msgpack`, `yaml`, or a registered one. */
  readonly serializer: string;
  /** `gzip`, `brotli`, …; null: none. */
  readonly compression: string | null;
  /** `task_protocol`: only 2 is written. */
  readonly protocol?: number;
}

/** How a task message is read. */
export interface DecodeOptions {
  /** Names or content types: the setting `acceptContent`. */
  readonly accept: readonly string[];
  readonly limits: Limits;
}

const NO_EMBED: TaskEmbed = { callbacks: null, errbacks: null, chain: null, chord: null };
const NO_TIME_LIMITS: readonly null[] = Object.freeze([null, null]);
const NO_EMBED_JSON = '{"callbacks":null,"errbacks":null,"chain":null,"chord":null}';

/**
 * The message of a task, protocol 2.
 *
 * @throws EncodeError with the path of an argument that cannot travel; `PET_CODEC_UNAVAILABLE` when the serializer or the
 * compression is not to be had (`codec` says what to load)
 */
export function encodeTask(task: OutgoingTask, format: TaskFormat): WireMessage {
  if (format.protocol !== undefined && format.protocol !== 2) throw protocolRefused(format.protocol);
  const headers = taskHeaders(task);
  const { contentType, contentEncoding, body: plain } = encodeBody(task, format.serializer);
  let body = plain;
  if (format.compression !== null) {
    const compressed = compress(plain, format.compression);
    body = compressed.body;
    headers["compression"] = compressed.contentType;
  }
  return { body, contentType, contentEncoding, headers, properties: taskProperties(task) };
}

function protocolRefused(protocol: number): EncodeError {
  return new EncodeError(
    `task protocol ${protocol} is only read, not written: it has no place for root and parent ids, chains and time limits that every Celery since 4.0 reads from protocol 2. Set taskProtocol to 2`,
    { code: "PET_UNSUPPORTED" },
  );
}

function encodeBody(
  task: OutgoingTask,
  serializer: string,
): { readonly body: string | Uint8Array; readonly contentType: string; readonly contentEncoding: string } {
  if (serializer !== "json") {
    return serialize([task.args, task.kwargs, task.embed ?? NO_EMBED], serializer, "the message's body");
  }
  const embed = task.embed === null ? NO_EMBED_JSON : stringifyJson(task.embed, "embed");
  return {
    body: `[${stringifyJson(task.args, "args")},${stringifyJson(task.kwargs, "kwargs")},${embed}]`,
    contentType: "application/json",
    contentEncoding: "utf-8",
  };
}

function taskHeaders(task: OutgoingTask): Record<string, unknown> {
  const headers: Record<string, unknown> = {
    lang: "js",
    task: task.task,
    id: task.id,
    shadow: task.shadow,
    eta: task.eta,
    expires: task.expires,
    group: task.group,
    group_index: task.groupIndex,
    retries: task.retries,
    timelimit:
      task.timeLimit === null && task.softTimeLimit === null
        ? NO_TIME_LIMITS
        : [task.timeLimit, task.softTimeLimit],
    root_id: task.rootId,
    parent_id: task.parentId,
    argsrepr: task.argsrepr ?? reprArgs(task.args),
    kwargsrepr: task.kwargsrepr ?? reprKwargs(task.kwargs),
    origin: task.origin,
    ignore_result: task.ignoreResult,
    replaced_task_nesting: task.replacedTaskNesting,
    stamped_headers: task.stampedHeaders,
    stamps: task.stamps,
  };
  if (task.headers !== null) addHeaders(headers, task.headers);
  return headers;
}

/** The sender's own headers stand beside Celery's; two of those make the message what it is. */
function addHeaders(headers: Record<string, unknown>, own: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(own)) {
    if (name === "id" || name === "task" || name === "__proto__") {
      throw new EncodeError(`a header cannot be named ${JSON.stringify(name)}: Celery's own would be lost`);
    }
    headers[name] = own[name];
  }
}

function taskProperties(task: OutgoingTask): Record<string, unknown> {
  const properties: Record<string, unknown> = {
    correlation_id: task.id,
    reply_to: task.replyTo ?? "",
    delivery_mode: task.deliveryMode,
  };
  if (task.expirationMs !== null)
    properties["expiration"] = String(Math.max(0, Math.round(task.expirationMs)));
  properties["priority"] = task.priority ?? 0;
  return task.extraProperties === null ? properties : { ...task.extraProperties, ...properties };
}

/**
 * The id under which a failure of this message can be stored: the header `id`, else, when it is a task message,
 * `correlation_id`, which Celery sets to the same.
 */
export function taskIdOf(message: WireMessage): string | null {
  const { id, task } = message.headers;
  if (typeof id === "string" && id !== "") return id;
  const correlationId = message.properties["correlation_id"];
  return typeof task === "string" && typeof correlationId === "string" && correlationId !== ""
    ? correlationId
    : null;
}

/**
 * Reads a task message of protocol 1 or 2.
 *
 * @throws DecodeError: what is wrong, with the task's id where it can be read; SecurityError: content that is not accepted
 */
export function decodeTask(message: WireMessage, options: DecodeOptions): DecodedTask {
  try {
    return decode(message, options);
  } catch (error) {
    if (!(error instanceof DecodeError) || error.taskId !== null) throw error;
    const { code, codec, cause } = error;
    throw new DecodeError(error.message, { code, codec, cause: cause ?? error, taskId: taskIdOf(message) });
  }
}

function decode(message: WireMessage, options: DecodeOptions): DecodedTask {
  const { headers } = message;
  const name = headers["task"];
  const content = decodeContent(message, options);
  if (!Array.isArray(content)) {
    const body = hybridBody(content, name);
    if (body !== null) {
      const lifted = liftProtocol1(body, headers);
      return fromParts({ ...message, headers: lifted.headers }, lifted.content, 1);
    }
  }
  if (typeof name !== "string" || name === "") throw notATask();
  if (!Array.isArray(content) || content.length !== 3) {
    const found = Array.isArray(content) ? `${content.length} elements` : "no array";
    throw new DecodeError(`the body must be [args, kwargs, embed]: it has ${found}`);
  }
  return fromParts(message, content, 2);
}

function notATask(): DecodeError {
  return new DecodeError("not a task message: it has no header named task, and its body is not protocol 1's");
}

function decodeContent(message: WireMessage, options: DecodeOptions): unknown {
  const { contentType, contentEncoding, headers } = message;
  const compression = headers["compression"];
  let { body } = message;
  if (compression !== undefined && compression !== null) {
    if (typeof compression !== "string") throw new DecodeError("the header compression is not a text");
    const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
    body = decompress(bytes, compression, options.limits);
  }
  return deserialize(body, {
    contentType,
    contentEncoding,
    accept: options.accept,
    limits: options.limits ?? DEFAULT_LIMITS,
  });
}

function fromParts(message: WireMessage, content: readonly unknown[], protocol: 1 | 2): DecodedTask {
  const { headers, properties } = message;
  const [args, kwargs, embed] = content;
  const { task, id } = headers;
  if (typeof task !== "string" || task === "") throw notATask();
  if (typeof id !== "string" || id === "") {
    throw new DecodeError(`the header id is ${id === undefined ? "missing" : "not a text"}`);
  }
  if (!Array.isArray(args)) throw new DecodeError("args, the body's first element, is not an array");
  if (!isRecord(kwargs)) throw new DecodeError("kwargs, the body's second element, is not an object");
  const timeLimits = readTimeLimits(headers["timelimit"]);
  const correlationId = properties["correlation_id"];
  const priority = properties["priority"];
  return {
    protocol,
    id,
    task,
    args,
    kwargs,
    embed: embedOf(embed),
    etaMs: readInstant(headers["eta"], "eta"),
    expiresMs: readInstant(headers["expires"], "expires"),
    retries: readCount(headers["retries"], "retries"),
    timeLimit: timeLimits[0],
    softTimeLimit: timeLimits[1],
    rootId: readText(headers["root_id"]) ?? id,
    parentId: readText(headers["parent_id"]),
    group: readText(headers["group"]),
    groupIndex: typeof headers["group_index"] === "number" ? headers["group_index"] : null,
    shadow: readText(headers["shadow"]),
    ignoreResult: typeof headers["ignore_result"] === "boolean" ? headers["ignore_result"] : null,
    replacedTaskNesting: readCount(headers["replaced_task_nesting"], "replaced_task_nesting"),
    stampedHeaders: readNames(headers["stamped_headers"]),
    stamps: readRecord(headers["stamps"]),
    origin: readText(headers["origin"]),
    lang: readText(headers["lang"]) ?? "py",
    argsrepr: readText(headers["argsrepr"]),
    kwargsrepr: readText(headers["kwargsrepr"]),
    correlationId: typeof correlationId === "string" ? correlationId : id,
    replyTo: readText(properties["reply_to"]),
    priority: typeof priority === "number" ? priority : 0,
    deliveryInfo: readDeliveryInfo(properties["delivery_info"], headers["redelivered"] === true),
    headers,
    properties,
  };
}

function embedOf(value: unknown): TaskEmbed {
  if (value === null || value === undefined) return NO_EMBED;
  if (!isRecord(value)) throw new DecodeError("embed, the body's third element, is not an object");
  const { callbacks, errbacks, chain, chord } = value;
  if (callbacks == null && errbacks == null && chain == null && chord == null) return NO_EMBED;
  return {
    callbacks: readSignatures(callbacks, "callbacks"),
    errbacks: readSignatures(errbacks, "errbacks"),
    chain: readSignatures(chain, "chain"),
    chord: chord == null ? null : readSignature(chord, "chord"),
  };
}
