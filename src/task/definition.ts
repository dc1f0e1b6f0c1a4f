/** What an app knows of one of its tasks, defaults filled in. */
import type { StandardSchema } from "./schema-types.ts";
import type { ErrorClass, LimitKey, Task, TaskOptions } from "./task-types.ts";

type Hooks = Pick<TaskOptions, "beforeStart" | "onSuccess" | "onFailure" | "onRetry" | "afterReturn">;

/** Options of a task after the app's settings and `taskAnnotations` were applied; nothing is undefined. Durations in seconds. */
export interface ResolvedTaskOptions {
  readonly acksLate: boolean;
  readonly acksOnFailure: boolean;
  /** Soft limits and hard ones. */
  readonly acksOnTimeout: boolean;
  readonly rejectOnWorkerLost: boolean;
  readonly ignoreResult: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  readonly trackStarted: boolean;
  readonly sendEvents: boolean;
  readonly storeLogs: boolean;
  readonly rateLimit: string | number | null;
  readonly globalRateLimit: {
    readonly rate: string | number;
    readonly burst: number;
    readonly key: LimitKey | null;
  } | null;
  readonly maxConcurrency: { readonly limit: number; readonly key: LimitKey | null } | null;
  readonly timeLimit: number | null;
  readonly softTimeLimit: number | null;
  readonly maxRetries: number | null;
  readonly defaultRetryDelay: number;
  readonly autoretryFor: readonly ErrorClass[];
  readonly dontAutoretryFor: readonly ErrorClass[];
  /** Seconds of the first delay (`true` is 1); 0: no back-off. */
  readonly retryBackoff: number;
  readonly retryBackoffMax: number;
  readonly retryJitter: boolean;
  readonly throws: readonly ErrorClass[];
  readonly expires: TaskOptions["expires"] | null;
  readonly priority: number | null;
  readonly queue: string | null;
  readonly exchange: string | null;
  readonly routingKey: string | null;
  readonly serializer: string;
  readonly compression: string | null;
  readonly hooks: Hooks;
  /** false: no hook is set, the per-task path skips them all. */
  readonly hasHooks: boolean;
}

/** One task of this process. */
export interface TaskDefinition {
  readonly name: string;
  /** The user's function, as given. */
  readonly fn: (...args: readonly never[]) => unknown;
  /** `bind: true`: the context comes first. */
  readonly bound: boolean;
  readonly options: ResolvedTaskOptions;
  readonly input: StandardSchema | null;
  readonly output: StandardSchema | null;
  /** `params` option, Python's forms allowed; null: read from the function. */
  readonly params: readonly string[] | null;
  /** Old: one parameter, the id. `request`: `app.errback`'s `(request, error, traceback)`. */
  readonly errbackStyle: "id" | "request";
  /** The object users hold. */
  readonly handle: Task<never, unknown>;
}
