import type { RemoteError, TaskRevokedError } from "../errors.ts";
import type { Seconds } from "../task/sendable-types.ts";

export type ReadyState = "SUCCESS" | "FAILURE" | "REVOKED";
/** Celery's states and your own. */
export type TaskState =
  | ReadyState
  | "PENDING"
  | "RECEIVED"
  | "STARTED"
  | "RETRY"
  | "REJECTED"
  | "IGNORED"
  | (string & {});

/** How a task ended. */
export type TaskOutcome<T> =
  | { readonly ready: true; readonly state: "SUCCESS"; readonly result: T }
  | {
      readonly ready: true;
      readonly state: "FAILURE";
      readonly error: RemoteError;
      readonly traceback: string | null;
    }
  | { readonly ready: true; readonly state: "REVOKED"; readonly error: TaskRevokedError };

/** One reading of a task's state. Check `ready`, then `state`. */
export type TaskStatus<T> =
  | TaskOutcome<T>
  | { readonly ready: false; readonly state: Exclude<TaskState, ReadyState>; readonly info: unknown };

export interface GetOptions {
  /** Seconds. By default waits as long as it takes. */
  readonly timeout?: Seconds | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Seconds between polls where the backend cannot notify. Default: 0.5. */
  readonly interval?: Seconds | undefined;
}

/** The handle of a task that was sent. Not a promise: `await add.delay(1, 2)` is the handle, `await handle.get()` the result. */
export interface AsyncResult<out T> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  /** Waits for the result. Throws {@link RemoteError}, {@link TaskRevokedError} or {@link TimeoutError}. */
  get(options?: GetOptions & { readonly propagate?: true | undefined }): Promise<T>;
  /** As Python's `propagate=False`: a failure is returned, not thrown. {@link outcome} says which it is. */
  get(options: GetOptions & { readonly propagate: false }): Promise<T | Error>;
  /** Waits, and says how it ended without throwing. */
  outcome(options?: GetOptions): Promise<TaskOutcome<T>>;
  /** One reading, without waiting. */
  status(): Promise<TaskStatus<T>>;
  state(): Promise<TaskState>;
  /** The meta of a custom state, the result, or the error. */
  info(): Promise<unknown>;
  ready(): Promise<boolean>;
  successful(): Promise<boolean>;
  failed(): Promise<boolean>;
  traceback(): Promise<string | null>;
  children(): Promise<readonly AsyncResult<unknown>[]>;
  /** Every result below this one, as they arrive. */
  collect(options?: GetOptions): AsyncIterable<readonly [result: AsyncResult<unknown>, value: unknown]>;
  forget(): Promise<void>;
}
