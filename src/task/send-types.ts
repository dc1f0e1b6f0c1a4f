import type { Signature } from "../canvas/canvas-types.ts";
import type { RemoteError } from "../errors.ts";
import type { TaskRequest } from "./context-types.ts";
import type { Instant, Seconds } from "./sendable-types.ts";

/** How a body is written. Python: `task_serializer`. */
export type Serializer = "json" | "msgpack" | "yaml" | "auth" | (string & {});
/** How a body is compressed. bzip2, lzma and zstd are only read on Node 20. */
export type Compression = "gzip" | "bzip2" | "brotli" | "lzma" | "zstd" | (string & {});

/** How publishing is tried again while the broker is away (`retry_policy`). Seconds. */
export interface RetryPolicy {
  readonly maxRetries?: number | null | undefined;
  readonly intervalStart?: Seconds | undefined;
  readonly intervalStep?: Seconds | undefined;
  readonly intervalMax?: Seconds | undefined;
  /** The end of all attempts together. Default: 10 seconds; none when `maxRetries` is null. */
  readonly timeout?: Seconds | undefined;
}

/** Options of one send: Celery's `apply_async` keywords. */
export interface SendOptions {
  /** The task's id; by default a new UUID 4. */
  readonly taskId?: string | undefined;
  /** Start no sooner than this many seconds from now. */
  readonly countdown?: Seconds | undefined;
  /** Start no sooner than this instant. */
  readonly eta?: Instant | undefined;
  /** Do not start later than this: seconds from now, or an instant. */
  readonly expires?: Seconds | Instant | undefined;
  readonly queue?: string | undefined;
  readonly exchange?: string | undefined;
  readonly routingKey?: string | undefined;
  /** 0 to 9. On Redis the lower number is served first. */
  readonly priority?: number | undefined;
  readonly serializer?: Serializer | undefined;
  readonly compression?: Compression | undefined;
  /** Try again while the broker is away. Default: the setting `taskPublishRetry`. */
  readonly retry?: boolean | undefined;
  readonly retryPolicy?: RetryPolicy | undefined;
  /** Hard limit: the task's process is killed. */
  readonly timeLimit?: Seconds | undefined;
  /** Soft limit: the task is told through its signal. */
  readonly softTimeLimit?: Seconds | undefined;
  readonly ignoreResult?: boolean | undefined;
  /** The name that monitors show instead of the task's. */
  readonly shadow?: string | undefined;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** Sent with `[result]` in front when the task succeeds. */
  readonly link?:
    | Signature<[result: any], unknown>
    | readonly Signature<[result: any], unknown>[]
    | undefined;
  /** Sent when the task fails. */
  readonly linkError?: ErrorCallback | readonly ErrorCallback[] | undefined;
  readonly replyTo?: string | undefined;
  readonly rootId?: string | undefined;
  readonly parentId?: string | undefined;
  readonly groupId?: string | undefined;
  readonly groupIndex?: number | undefined;
  /** Refuse bad arguments here instead of in the worker, for a task with an `input` schema. Default: false. */
  readonly validate?: boolean | undefined;
}

/** Options of `applyAsyncOnCommit`. */
export type OnCommitSendOptions = SendOptions & {
  /** false: `transaction` rejects with the error of the sending, after the rest was sent. Default: true, it is logged. */
  readonly robust?: boolean | undefined;
};

/** An errback: `(request, error, traceback)` when the worker knows the task, else `(taskId)`. Both fit a signature that takes either. */
export type ErrorCallback =
  | Signature<[taskId: string], unknown>
  | Signature<[request: TaskRequest, error: RemoteError, traceback: string], unknown>;
