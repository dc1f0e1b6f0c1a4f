import type { Celery } from "../app/app.ts";
import type { AsyncResult, TaskState } from "../app/result-types.ts";
import type { Group, ImmutableSignature, Signature } from "../canvas/canvas-types.ts";
import type { TaskContext } from "./context-types.ts";
import type { TaskRegistry } from "./registry-types.ts";
import type { InputOf, ObjectOnly, OutputOf, StandardSchema } from "./schema-types.ts";
import type { Compression, OnCommitSendOptions, SendOptions, Serializer } from "./send-types.ts";
import type { AnyFunction, Instant, Returned, Seconds, Sendable } from "./sendable-types.ts";
import type { UniqueOptions } from "./unique-options.ts";

/** Every way to leave off leading arguments: `[x, y]` gives `[] | [y] | [x, y]`. */
export type Tails<P extends readonly unknown[]> = number extends P["length"]
  ? P | TailsOfRest<P>
  : P extends readonly [any?, ...infer T]
    ? P extends readonly []
      ? P
      : P | Tails<T>
    : P;
type TailsOfRest<P extends readonly unknown[]> = P extends readonly [any, ...infer T]
  ? T | TailsOfRest<T>
  : never;

/** The leading parameters that `G` leaves open. Exact where every parameter is required; see {@link Open} for the rest. */
export type Lead<P extends readonly unknown[], G extends readonly unknown[]> = G extends readonly []
  ? P
  : P extends readonly [...infer L, ...{ [I in keyof G]: any }]
    ? L
    : Open<P, G>;
/** With optional or rest parameters several calls are possible: their union. */
type Open<P extends readonly unknown[], G extends readonly unknown[], Front extends readonly unknown[] = []> =
  | (G extends P ? Front : never)
  | (number extends P["length"]
      ? P extends readonly [any, ...infer T]
        ? Open<T, G, [...Front, P[0]]>
        : G extends P
          ? [...Front, ...P]
          : never
      : P extends readonly []
        ? never
        : P extends readonly [any?, ...infer T]
          ? Open<T, G, [...Front, Exclude<P[0], undefined>]>
          : never);
/** A task by its name, wherever it runs: all that is needed to send it. */
export interface RemoteTask<in P extends readonly unknown[], out R> {
  readonly name: string;
  readonly app: Celery;
  /** Sends the task. Resolves once the broker has the message. */
  delay(...args: P): Promise<AsyncResult<R>>;
  /** Sends the task with options: `add.applyAsync([2, 3], { countdown: 10 })`. */
  applyAsync(args: P, options?: SendOptions): Promise<AsyncResult<R>>;
  /**
   * Sends the task when the `transaction` of `petiole/transactions` around it has committed; at once where there is none. The id is known
   * now. An error of the sending is logged.
   */
  delayOnCommit(...args: P): AsyncResult<R>;
  /** As {@link delayOnCommit}, with options. */
  applyAsyncOnCommit(args: P, options?: OnCommitSendOptions): AsyncResult<R>;
  /** A signature. Missing leading arguments come from the step before: in a chain `add.s(3)` is `add(result, 3)`. */
  s<G extends Tails<P>>(...args: G): Signature<Lead<P, G>, R>;
  /** An immutable signature: the result before it is ignored. */
  si(...args: P): ImmutableSignature<R>;
  /** One task that calls this one for each item, one after the other, and gives the list of results. */
  map<A>(this: RemoteTask<[item: A], R>, items: readonly A[]): ImmutableSignature<R[]>;
  /** As {@link map}, with the arguments of each call in a list. */
  starmap(items: readonly P[]): ImmutableSignature<R[]>;
  /** {@link starmap} in parts of `n`: a group whose results are lists. */
  chunks(items: readonly P[], n: number): Group<unknown[], R[][]>;
  /** Many calls in one round trip; the handles come in the order of `calls`. A bad member is named by its index before anything is sent. */
  delayMany(calls: readonly P[]): Promise<readonly AsyncResult<R>[]>;
  /** The handle of an earlier call. */
  asyncResult(id: string): AsyncResult<R>;
}

/** A task of this process: {@link RemoteTask} and its function. */
export interface Task<in P extends readonly unknown[], out R> extends RemoteTask<P, R> {
  /** Calls the function here and now; nothing is sent or stored. A bound task gets a context with `calledDirectly`. */
  run(...args: P): Promise<R>;
  /** Eager mode: runs here with retries, callbacks and a result handle, without a broker. */
  apply(args: P, options?: SendOptions): Promise<AsyncResult<R>>;
}

/** A task of whatever parameters and result. */
export type AnyTask = Task<any, unknown>;
/** What `app.remote<…>` takes: a function's type, or a task's. */
export type AnyRemote = ((...args: any) => any) | RemoteTask<any, any>;

/** A class of errors, as in `autoretryFor`. */
export type ErrorClass = abstract new (...args: any) => Error;

/** Names one of several limits of a task: a tenant, a host. */
export type LimitKey = (...args: any[]) => string | number;

/** Option `globalRateLimit`. */
export interface GlobalRateLimit {
  readonly rate: string | number;
  readonly key?: LimitKey | undefined;
  readonly burst?: number | undefined;
}

/** Option `maxConcurrency`. */
export interface MaxConcurrency {
  readonly limit: number;
  readonly key?: LimitKey | undefined;
}

/** Options of a task: Celery's task attributes. */
export interface TaskOptions<B extends boolean = false, I = undefined, O = undefined> {
  /** Give the function its {@link TaskContext} as first parameter. */
  readonly bind?: Literal<B> | undefined;
  /** Schema of the one object argument; its properties travel as keyword arguments. */
  readonly input?: (I & ObjectOnly<I>) | undefined;
  /** Schema of the result, checked before it is stored. */
  readonly output?: O | undefined;
  /** Parameter names, for callers that send keyword arguments. Default: read from `input`, else from the function. */
  readonly params?: readonly string[] | undefined;
  /** Attempts after the first. `null`: no end. Default: 3. */
  readonly maxRetries?: number | null | undefined;
  /** Default: 180 seconds. */
  readonly defaultRetryDelay?: Seconds | undefined;
  readonly autoretryFor?: readonly ErrorClass[] | undefined;
  readonly dontAutoretryFor?: readonly ErrorClass[] | undefined;
  /** Exponential delay for `autoretryFor`: true, or the first delay in seconds. */
  readonly retryBackoff?: boolean | Seconds | undefined;
  /** Default: 600 seconds. */
  readonly retryBackoffMax?: Seconds | undefined;
  /** Default: true. */
  readonly retryJitter?: boolean | undefined;
  /** Errors that are expected: logged at INFO, without a stack. */
  readonly throws?: readonly ErrorClass[] | undefined;
  readonly acksLate?: boolean | undefined;
  readonly acksOnFailureOrTimeout?: boolean | undefined;
  readonly rejectOnWorkerLost?: boolean | undefined;
  readonly ignoreResult?: boolean | undefined;
  readonly storeErrorsEvenIfIgnored?: boolean | undefined;
  readonly trackStarted?: boolean | undefined;
  readonly sendEvents?: boolean | undefined;
  /**
   * Keep what a run writes to `task.log`, for `AsyncResult.logs()`: its last 1,000 lines, 256 KiB at most, as long as the
   * result. Petiole's own.
   */
  readonly storeLogs?: boolean | undefined;
  /** Per worker: `"10/s"`, `"100/m"`, `"1000/h"`, or a number per second. */
  readonly rateLimit?: string | number | null | undefined;
  /**
   * Over all workers: starts in a time, as in `rateLimit`. `key` makes one limit of each text that it gives, of the arguments as
   * the function gets them. `burst`: starts that may come at once after a pause; default 1. Python's workers do not see it.
   */
  readonly globalRateLimit?: string | number | GlobalRateLimit | null | undefined;
  /** Over all workers: tasks that run at once, of the whole task or of each key. Python's workers do not see it. */
  readonly maxConcurrency?: number | MaxConcurrency | null | undefined;
  /** At most one call of the same key waits or runs; another one gets its handle, with `duplicate`. */
  readonly unique?: boolean | UniqueOptions | undefined;
  readonly timeLimit?: Seconds | undefined;
  readonly softTimeLimit?: Seconds | undefined;
  readonly expires?: Seconds | Instant | undefined;
  readonly priority?: number | undefined;
  readonly queue?: string | undefined;
  readonly exchange?: string | undefined;
  readonly routingKey?: string | undefined;
  readonly serializer?: Serializer | undefined;
  readonly compression?: Compression | undefined;
  readonly description?: string | undefined;
  /** Runs before the function. */
  readonly beforeStart?: ((task: TaskContext) => unknown) | undefined;
  /** Runs after a success, before the result is stored. */
  readonly onSuccess?: ((task: TaskContext, result: unknown) => unknown) | undefined;
  /** Runs after a failure. */
  readonly onFailure?: ((task: TaskContext, error: unknown) => unknown) | undefined;
  /** Runs after an attempt that will be repeated. */
  readonly onRetry?: ((task: TaskContext, error: unknown) => unknown) | undefined;
  /** Runs last, however it ended. */
  readonly afterReturn?: ((task: TaskContext, state: TaskState, result: unknown) => unknown) | undefined;
}

type Literal<B> = boolean extends B
  ? "write bind: true or bind: false here, or `as const` on the shared options"
  : B;
type Handler<B extends boolean, I, O> = (
  ...args: [
    ...(B extends true ? [task: TaskContext] : []),
    ...(I extends StandardSchema ? [input: OutputOf<I>] : never[]),
  ]
) => O extends StandardSchema ? InputOf<O> | Promise<InputOf<O>> : unknown;
type ParamsFor<B extends boolean, I, F extends AnyFunction> = I extends StandardSchema
  ? [input: InputOf<I>]
  : B extends true
    ? Parameters<F> extends [any, ...infer P]
      ? P
      : []
    : Parameters<F>;
type ResultFor<O, F extends AnyFunction> = O extends StandardSchema ? OutputOf<O> : Returned<ReturnType<F>>;

/** `app.task` and {@link sharedTask}. */
export interface TaskFactory {
  /**
   * Registers a function as a task. Its parameters and result are inferred.
   *
   * @typeParam F - the function
   */
  <F extends (...args: never[]) => unknown>(
    name: string,
    fn: F & Sendable<Parameters<F>, Returned<ReturnType<F>>>,
  ): Task<Parameters<F>, Returned<ReturnType<F>>>;
  /** Registers a function as a task, with options. */
  <
    F extends Handler<B, I, O>,
    B extends boolean = false,
    I extends StandardSchema<any, any> | undefined = undefined,
    O extends StandardSchema<any, any> | undefined = undefined,
  >(
    name: string,
    options: TaskOptions<B, I, O>,
    fn: F & Sendable<ParamsFor<B, I, F>, ResultFor<O, F>>,
  ): Task<ParamsFor<B, I, F>, ResultFor<O, F>>;
}

/** A task's name; the ones in {@link TaskRegistry} are completed and checked. */
export type TaskName = keyof TaskRegistry | (string & {});
/** What {@link TaskRegistry} says of a name; nothing known of the others. */
export type Declared<N> = N extends keyof TaskRegistry ? TaskRegistry[N] : (...args: unknown[]) => unknown;
/** The parameters of a task or of a function. */
export type ParamsIn<T> =
  T extends RemoteTask<infer P, any> ? P : T extends (...args: infer P) => any ? P : never;
/** The result of a task or of a function. */
export type ResultIn<T> =
  T extends RemoteTask<any, infer R> ? R : T extends (...args: any) => infer R ? Returned<R> : never;
