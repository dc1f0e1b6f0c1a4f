/** Stored results: the JSON of `celery-task-meta-{id}`. Python: `celery.backends.base`. */
import { DecodeError } from "../errors.ts";
import { toIso } from "./iso8601.ts";
import { quote, stringifyJson } from "./json-write.ts";
import { contentTypeOf, deserialize, serialize } from "./serialization.ts";
import { DEFAULT_LIMITS, type Limits, type ResultMeta } from "./wire.ts";

/** How a stored result is read. */
export interface MetaOptions {
  /** `result_serializer`: what it was written with. Default json. */
  readonly serializer?: string;
  /** `result_accept_content`, else `accept_content`. */
  readonly accept: readonly string[];
  readonly limits?: Limits;
}

/**
 * The text that is stored, in Python's key order.
 *
 * @throws EncodeError with the path of what cannot travel
 */
export function encodeMeta(meta: ResultMeta): string;
/** As above, with another serializer; msgpack gives bytes. */
export function encodeMeta(meta: ResultMeta, serializer: string): string | Uint8Array;
export function encodeMeta(meta: ResultMeta, serializer = "json"): string | Uint8Array {
  return serializer === "json" ? encodeJson(meta) : serialize(plain(meta), serializer, "the result").body;
}

function encodeJson(meta: ResultMeta): string {
  const { traceback, children, dateDone, extra } = meta;
  let text = `{"status":${quote(meta.status)},"result":${stringifyJson(meta.result, "the result")},"traceback":${traceback === null ? "null" : quote(traceback)},"children":${children === null ? "null" : children.length === 0 ? "[]" : stringifyJson(children, "children")},"date_done":${dateDone === null ? "null" : `"${dateDone}"`}`;
  for (const key in extra) {
    if (extra[key] !== undefined) text += `,${quote(key)}:${stringifyJson(extra[key], key)}`;
  }
  return `${text},"task_id":${quote(meta.taskId)}}`;
}

function plain(meta: ResultMeta): Record<string, unknown> {
  return {
    status: meta.status,
    result: meta.result ?? null,
    traceback: meta.traceback,
    children: meta.children,
    date_done: meta.dateDone,
    ...meta.extra,
    task_id: meta.taskId,
  };
}

/**
 * Reads what is stored.
 *
 * @throws DecodeError: not a result; SecurityError: its serializer is not accepted
 */
export function decodeMeta(stored: string | Uint8Array, options: MetaOptions): ResultMeta {
  const { serializer = "json", limits = DEFAULT_LIMITS } = options;
  const size = typeof stored === "string" ? stored.length : stored.byteLength;
  if (size > limits.maxDecompressedBytes) {
    throw new DecodeError(`the stored result has more than ${limits.maxDecompressedBytes} bytes`, {
      code: "PET_MESSAGE_TOO_LARGE",
    });
  }
  return fromFields(
    deserialize(stored, {
      contentType: contentTypeOf(serializer),
      contentEncoding: "utf-8",
      accept: options.accept,
      limits,
    }),
  );
}

function fromFields(value: unknown): ResultMeta {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DecodeError("the stored result is not an object");
  }
  const { status, result, traceback, children, date_done, task_id, ...extra } = value as Record<
    string,
    unknown
  >;
  if (typeof status !== "string") throw new DecodeError("the stored result has no status");
  if (typeof task_id !== "string") throw new DecodeError("the stored result has no task_id");
  return {
    taskId: task_id,
    status,
    result: result ?? null,
    traceback: typeof traceback === "string" ? traceback : null,
    children: Array.isArray(children) ? children : null,
    dateDone:
      date_done instanceof Date ? date_done.toISOString() : typeof date_done === "string" ? date_done : null,
    extra,
  };
}

/** What Celery stores of a task that was revoked: `expired`, `terminated`, `revoked`. */
export function revokedError(reason: string): Readonly<Record<string, unknown>> {
  return { exc_type: "TaskRevokedError", exc_message: [reason], exc_module: "celery.exceptions" };
}

/** REVOKED of a task of which no more is known than its id: stored outside of it, so without children. */
export function revokedMeta(taskId: string, nowMs: number): ResultMeta {
  return {
    taskId,
    status: "REVOKED",
    result: revokedError("revoked"),
    traceback: null,
    children: null,
    dateDone: toIso(nowMs),
    extra: {},
  };
}
