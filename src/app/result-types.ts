import type { RemoteError, TaskRevokedError } from "../errors.ts";
import type { TaskLogLine } from "../protocol/log-lines.ts";
import type { Seconds } from "../task/sendable-types.ts";

/** States after which nothing happens any more. */
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

/** How to wait for a result. */
export interface GetOptions {
  /** Seconds. By default waits as long as it takes. */
  readonly timeout?: Seconds | undefined;
  /** Ends the wait; the task goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Seconds between polls where the backend cannot notify. Default: 0.5. */
  readonly interval?: Seconds | undefined;
}

/** How the results of several are waited for. The timeout is that of all together. */
export interface JoinOptions extends GetOptions {
  /** false: errors are not thrown, but stand in the place of the result. Default: true. */
  readonly propagate?: boolean | undefined;
}

/** The results of several, in their order. */
export interface Join<out T extends readonly unknown[]> {
  /** All of them. Throws a failure, or {@link TimeoutError}. */
  (
    options?: JoinOptions & { readonly propagate?: true | undefined; readonly callback?: undefined },
  ): Promise<T>;
  /** All of them; of those that failed the error. */
  (
    options: JoinOptions & { readonly propagate: false; readonly callback?: undefined },
  ): Promise<{ -readonly [I in keyof T]: T[I] | Error }>;
  /** `callback` gets each of them; they are not kept. */
  (
    options: JoinOptions & {
      readonly propagate?: true | undefined;
      readonly callback: (id: string, value: T[number]) => unknown;
    },
  ): Promise<void>;
  /** `callback` gets each of them; of those that failed the error. */
  (
    options: JoinOptions & {
      readonly propagate: false;
      readonly callback: (id: string, value: T[number] | Error) => unknown;
    },
  ): Promise<void>;
}

/** How far {@link AsyncResult.graph} and {@link AsyncResult.iterdeps} go. */
export interface GraphOptions {
  /** Take what there is, where a task is not over, of which it is not known what it sends. Default: that is an error. */
  readonly intermediate?: boolean | undefined;
}

/** What a task has sent, what that has sent, and so on. */
export interface ResultGraph {
  /** Each once, from outside in. A group is one of them. */
  readonly results: readonly AsyncResult<unknown>[];
  /** Ids: who has sent whom; a group its members. */
  readonly edges: readonly (readonly [from: string, to: string])[];
  /** For graphviz, as Celery writes it. Python: `graph.to_dot`. */
  toDot(): string;
}

/** How a task is revoked. */
export interface RevokeOptions {
  /** Stop it if it runs. Default: false. */
  readonly terminate?: boolean | undefined;
  /** Default: SIGTERM. */
  readonly signal?: NodeJS.Signals | undefined;
  /** Wait this many seconds for the workers' replies. Default: do not wait. */
  readonly wait?: Seconds | undefined;
}

/** The handle of a task that was sent. Not a promise: `await add.delay(1, 2)` is the handle, `await handle.get()` the result. */
export interface AsyncResult<out T> {
  /** The task's id. */
  readonly id: string;
  /** The result before it, where the backend named one. */
  readonly parent: AsyncResult<unknown> | null;
  /** Of an earlier call: this one was not sent, for a unique task of its key waits or runs. Known where it was sent. */
  readonly duplicate: boolean;
  /** Waits for the result. Throws {@link RemoteError}, {@link TaskRevokedError} or {@link TimeoutError}. */
  get(options?: GetOptions & { readonly propagate?: true | undefined }): Promise<T>;
  /** As Python's `propagate=False`: a failure is returned, not thrown. {@link outcome} says which it is. */
  get(options: GetOptions & { readonly propagate: false }): Promise<T | Error>;
  /** Waits, and says how it ended without throwing. */
  outcome(options?: GetOptions): Promise<TaskOutcome<T>>;
  /** One reading, without waiting. */
  status(): Promise<TaskStatus<T>>;
  /** The state now; `PENDING` also for an id that nobody knows. */
  state(): Promise<TaskState>;
  /** The meta of a custom state, the result, or the error. */
  info(): Promise<unknown>;
  /** Whether it has ended, in whatever way. */
  ready(): Promise<boolean>;
  /** Whether it ended well. */
  successful(): Promise<boolean>;
  /** Whether it ended with an error. A revoked task did not. */
  failed(): Promise<boolean>;
  /** The error's stack, as the worker wrote it. */
  traceback(): Promise<string | null>;
  /** What the last run of a task with `storeLogs` wrote to its log, also while it runs; of a group its members' one by one. */
  logs(): Promise<readonly TaskLogLine[]>;
  /** What the task itself sent; the members of a group one by one. */
  children(): Promise<readonly AsyncResult<unknown>[]>;
  /** Every result below this one, as they arrive. */
  collect(options?: GetOptions): AsyncIterable<readonly [result: AsyncResult<unknown>, value: unknown]>;
  /** This one and all below it, each with the one that has sent it. Throws `PET_RESULT_INCOMPLETE`. */
  iterdeps(
    options?: GraphOptions,
  ): AsyncIterable<readonly [parent: AsyncResult<unknown> | null, result: AsyncResult<unknown>]>;
  /** All below it as a graph. Throws `PET_RESULT_INCOMPLETE`. */
  graph(options?: GraphOptions): Promise<ResultGraph>;
  /** Waits for all below it, and gives the result of the last. */
  getLeaf(): Promise<unknown>;
  /** Deletes what is stored of it. */
  forget(): Promise<void>;
  /** No worker is to run it; with `terminate` the one that runs it stops it. */
  revoke(options?: RevokeOptions): Promise<void>;
}

/** What is asked of several results at once. */
interface Members<out T extends readonly unknown[]> {
  /** Waits for one after the other, in their order: the first of them that failed is thrown, when those before it are over. */
  readonly join: Join<T>;
  /** Waits for all at once: the failure that arrives first is thrown, and a callback is called as they arrive. */
  readonly joinNative: Join<T>;
  /** How many have succeeded. */
  completedCount(): Promise<number>;
  /** Whether one of them has not ended. */
  waiting(): Promise<boolean>;
  /** Results as they arrive. Throws the first failure. */
  [Symbol.asyncIterator](): AsyncIterator<{
    readonly index: number;
    readonly id: string;
    readonly value: T[number];
  }>;
}

/**
 * The handle of a group. Its state is FAILURE or REVOKED as soon as one member's is, SUCCESS when all are. Groups inside a
 * group are part of it, in their place.
 */
export interface GroupResult<out T extends readonly unknown[]> extends AsyncResult<T>, Members<T> {
  /** The members' handles, in order. */
  readonly results: { readonly [I in keyof T]: AsyncResult<T[I]> };
  /** Keeps the group under its id, for `app.restoreGroup`. */
  save(): Promise<void>;
}

/** Results of whatever calls, each once. Made by `app.resultSet`. */
export interface ResultSet<T> extends Members<T[]> {
  /** In the order they were added. */
  readonly results: readonly AsyncResult<T>[];
  /** As {@link joinNative}. */
  readonly get: Join<T[]>;
  /** Nothing happens if it is a member. */
  add(result: AsyncResult<T>): void;
  /** Adds all of them. */
  update(results: Iterable<AsyncResult<T>>): void;
  /** @throws RangeError when it is not a member: see {@link discard} */
  remove(result: AsyncResult<unknown> | string): void;
  /** Nothing happens if it is not a member. */
  discard(result: AsyncResult<unknown> | string): void;
  /** Removes all of them. */
  clear(): void;
  /** Whether all have ended, in whatever way. */
  ready(): Promise<boolean>;
  /** Whether all ended well. */
  successful(): Promise<boolean>;
  /** Whether one ended with an error. */
  failed(): Promise<boolean>;
  /** {@link AsyncResult.forget} of all. */
  forget(): Promise<void>;
  /** {@link AsyncResult.revoke} of all. */
  revoke(options?: RevokeOptions): Promise<void>;
}
