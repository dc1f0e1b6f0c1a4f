/**
 * The pure data that everything below the public API speaks in. No behaviour.
 * Wire names and traps: `docs/protocol.md`.
 */

/** One message without its carrier: Redis packs it into kombu's envelope, AMQP into frame properties. */
export interface WireMessage {
  /** The serialized (and compressed) body; never base64. */
  readonly body: Uint8Array | string;
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** A signature on the wire: Celery's JSON form. */
export interface SignatureData {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: Readonly<Record<string, unknown>>;
  readonly subtask_type: string | null;
  readonly immutable: boolean;
}

/** Third element of a protocol 2 body. */
export interface TaskEmbed {
  readonly callbacks: readonly SignatureData[] | null;
  readonly errbacks: readonly SignatureData[] | null;
  /** Reversed: the next step is the last element. */
  readonly chain: readonly SignatureData[] | null;
  readonly chord: SignatureData | null;
}

/** What a sender knows of a task message before it is encoded. Every field is the wire's, in camelCase. */
export interface OutgoingTask {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly embed: TaskEmbed | null;
  /** ISO 8601 text, or null. */
  readonly eta: string | null;
  readonly expires: string | null;
  /** `properties.expiration`: ms as text; informative only. */
  readonly expirationMs: number | null;
  readonly retries: number;
  /** Seconds; the wire's `timelimit` is `[hard, soft]`. */
  readonly timeLimit: number | null;
  readonly softTimeLimit: number | null;
  readonly rootId: string;
  readonly parentId: string | null;
  readonly group: string | null;
  readonly groupIndex: number | null;
  readonly shadow: string | null;
  readonly ignoreResult: boolean;
  readonly replacedTaskNesting: number;
  readonly stampedHeaders: readonly string[] | null;
  readonly stamps: Readonly<Record<string, unknown>>;
  /** `gen{pid}@{hostname}`. */
  readonly origin: string;
  readonly replyTo: string | null;
  readonly priority: number | null;
  readonly deliveryMode: 1 | 2;
  /** Merged at the top level of the headers. */
  readonly headers: Readonly<Record<string, unknown>> | null;
  /** Properties besides Celery's, whose names they do not have. */
  readonly extraProperties: Readonly<Record<string, unknown>> | null;
  /** Override of the computed texts (secrets). */
  readonly argsrepr: string | null;
  readonly kwargsrepr: string | null;
}

/** A task message after decoding, protocol 1 and 2 alike. */
export interface DecodedTask {
  readonly protocol: 1 | 2;
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly embed: TaskEmbed;
  /** Wall clock, ms since the epoch; null when absent. */
  readonly etaMs: number | null;
  readonly expiresMs: number | null;
  readonly retries: number;
  /** Seconds. */
  readonly timeLimit: number | null;
  readonly softTimeLimit: number | null;
  readonly rootId: string;
  readonly parentId: string | null;
  readonly group: string | null;
  readonly groupIndex: number | null;
  readonly shadow: string | null;
  /** null: the header is absent, the task's own option decides. */
  readonly ignoreResult: boolean | null;
  readonly replacedTaskNesting: number;
  readonly stampedHeaders: readonly string[];
  readonly stamps: Readonly<Record<string, unknown>>;
  readonly origin: string | null;
  readonly lang: string;
  readonly argsrepr: string | null;
  readonly kwargsrepr: string | null;
  readonly correlationId: string;
  readonly replyTo: string | null;
  readonly priority: number;
  readonly deliveryInfo: {
    readonly exchange: string;
    readonly routingKey: string;
    readonly redelivered: boolean;
  };
  /** All headers as they arrived (protocol 1: lifted into protocol 2's names). */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** An exception as data. */
export interface ExceptionInfo {
  /** Class name: `exc_type`. */
  readonly type: string;
  /** `exc_module`. */
  readonly module: string;
  /** `exc_message`. */
  readonly args: readonly unknown[];
  readonly traceback: string | null;
}

/** One stored result. */
export interface ResultMeta {
  readonly taskId: string;
  /** A state of `protocol/states.ts`, or one of the user's own. */
  readonly status: string;
  /** The value; for FAILURE, REVOKED and RETRY the wire's `{exc_type, exc_message, exc_module}`. */
  readonly result: unknown;
  readonly traceback: string | null;
  /** Result tuples of what the task sent; null when stored outside a task. */
  readonly children: readonly unknown[] | null;
  /** ISO 8601 with offset; null for states that are not ready. */
  readonly dateDone: string | null;
  /** `group_id`, `parent_id` and `result_extended`'s fields, by wire name. */
  readonly extra: Readonly<Record<string, unknown>>;
  /** Whose state it is, where the one who stores it knows: some stores keep more of it. Never read back. */
  readonly task?: DecodedTask | undefined;
}

/** Bounds on what is decoded; beyond them: `PET_MESSAGE_TOO_LARGE`. */
export interface Limits {
  /** Bytes of one encoded message. */
  readonly maxMessageBytes: number;
  /** Bytes after decompression. */
  readonly maxDecompressedBytes: number;
  /** Decompressed / compressed. */
  readonly maxCompressionRatio: number;
  /** Nesting of arrays and objects. */
  readonly maxDepth: number;
}

/** 16 MiB, 64 MiB, 200, 200. */
export const DEFAULT_LIMITS: Limits = {
  maxMessageBytes: 16 * 1024 * 1024,
  maxDecompressedBytes: 64 * 1024 * 1024,
  maxCompressionRatio: 200,
  maxDepth: 200,
};
