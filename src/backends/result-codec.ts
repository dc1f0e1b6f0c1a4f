/** Between results and what is stored of them: the same for every backend that keeps Celery's JSON under a key. */
import { BackendError, PetioleError } from "../errors.ts";
import { decodeMeta, encodeMeta, type MetaOptions } from "../protocol/meta.ts";
import { contentTypeOf, deserialize, serialize } from "../protocol/serialization.ts";
import { DEFAULT_LIMITS, type ResultMeta } from "../protocol/wire.ts";
import type { BackendOptions } from "./backend.ts";
import type { ChordPart } from "./chords.ts";

/** Keys of results; what is in front of it is the backend's `global_keyprefix`. */
/** Of the logs of tasks. Petiole's own. */
export const LOG_PREFIX = "petiole-task-log-";
export const META_PREFIX = "celery-task-meta-";
/** Keys of saved groups and of chords in progress. */
export const GROUP_PREFIX = "celery-taskset-meta-";

export type StoredText = string | Buffer;

export class ResultCodec {
  readonly #serializer: string;
  readonly #reading: MetaOptions;
  /** Whole seconds; 0: for ever. Python cuts fractions off, too, but to 0 it would mean for ever. */
  readonly ttlSeconds: number;

  constructor(options: BackendOptions) {
    this.#serializer = options.serializer;
    this.#reading = { serializer: options.serializer, accept: options.accept, limits: options.limits };
    const { expiresSeconds } = options;
    this.ttlSeconds = expiresSeconds > 0 ? Math.max(1, Math.floor(expiresSeconds)) : 0;
  }

  get isJson(): boolean {
    return this.#serializer === "json";
  }

  /** Values may be other than UTF-8 text. */
  get isBinary(): boolean {
    return this.#serializer !== "json" && this.#serializer !== "yaml";
  }

  /** @throws EncodeError */
  encode(meta: ResultMeta): StoredText {
    if (this.#serializer === "json") return encodeMeta(meta);
    const encoded = encodeMeta(meta, this.#serializer);
    return typeof encoded === "string"
      ? encoded
      : Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  }

  /** A saved group. */
  encodeGroup(tuple: unknown): StoredText {
    const { body } = serialize({ result: tuple }, this.#serializer, "the group");
    return typeof body === "string" ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  }

  /** The tuple of a saved group. @throws BackendError when the text is none */
  decodeGroup(stored: StoredText, key: string): unknown {
    const value = this.#read(stored, "a group", key);
    return (value as { readonly result?: unknown } | null)?.result ?? null;
  }

  #read(stored: StoredText, what: string, key: string): unknown {
    const { accept, limits = DEFAULT_LIMITS, serializer = "json" } = this.#reading;
    const contentType = contentTypeOf(serializer);
    try {
      return deserialize(stored, { contentType, contentEncoding: "utf-8", accept, limits });
    } catch (error) {
      throw unreadable(what, key, error);
    }
  }

  /** A part of a chord: `[1, task id, state, result]`. */
  encodePart({ taskId, status, result }: ChordPart): StoredText {
    const { body } = serialize([1, taskId, status, result], this.#serializer, "the part of the chord");
    return typeof body === "string" ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  }

  /** @throws BackendError when the text is no part of a chord */
  decodePart(stored: StoredText, key: string): ChordPart {
    const value = this.#read(stored, "a part of a chord", key);
    if (!Array.isArray(value) || typeof value[1] !== "string" || typeof value[2] !== "string")
      throw unreadable("a part of a chord", key, "it is not [1, task id, state, result]");
    return { taskId: value[1], status: value[2], result: value[3] as unknown };
  }

  /** @throws BackendError when the text is no result */
  decode(stored: StoredText, key: string): ResultMeta {
    try {
      return decodeMeta(stored, this.#reading);
    } catch (error) {
      throw unreadable("a result", key, error);
    }
  }
}

export function unreadable(what: string, key: string, error: unknown): BackendError {
  const reason = error instanceof Error ? error.message : String(error);
  return new BackendError(
    `what is stored under ${JSON.stringify(key)} cannot be read as ${what}: ${reason}`,
    {
      cause: error,
    },
  );
}

/** An error of the way to the store, as the backend's. `PET_CLOSED` stays itself. */
export function backendError(error: unknown, operation: string): Error {
  if (error instanceof BackendError) return error;
  if (error instanceof PetioleError && error.code === "PET_CLOSED") return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new BackendError(`${operation} failed: ${reason}`, { cause: error });
}
