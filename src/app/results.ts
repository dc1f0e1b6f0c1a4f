/**
 * Handles of sent tasks, and the one backend that an app reads them with. Python: `celery/result.py`.
 *
 * A wait subscribes first and reads then, so that a result stored in between is seen; the backend's own slow poll and its
 * re-read after a reconnect see to the rest.
 */
import type { ResultBackend } from "../backends/backend.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { PetioleError, type TaskRevokedError, TimeoutError } from "../errors.ts";
import { isException, isReady } from "../protocol/states.ts";
import type { ResultMeta } from "../protocol/wire.ts";
import { currentExecution } from "../task/current.ts";
import { errorOf } from "./result-errors.ts";
import type { AsyncResult, GetOptions, TaskOutcome, TaskState, TaskStatus } from "./result-types.ts";

/** What results need of their app. */
export interface ResultsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** A new backend, started. */
  open(): Promise<ResultBackend>;
  /** `result_cache_max`: ready results kept for handles of the same id; 0: no limit, -1: none. */
  cacheMax(): number;
}

/** One app's results. The backend is opened at the first reading, shared by all. */
export class Results {
  readonly clock: Clock;
  readonly #options: ResultsOptions;
  /** Written by `backend` and `close`. */
  #opening: Promise<ResultBackend> | null = null;
  #closed = false;
  /** Ends of the waits in progress: called by `close`. */
  readonly #waits = new Set<(error: Error) => void>();
  /** Ready results, oldest first; null: `result_cache_max` is off. Written by `remember`. */
  #cache: Map<string, ResultMeta> | null = null;
  #cacheMax = -1;
  /** The warning about `get` inside a task was given. */
  #warned = false;

  constructor(options: ResultsOptions) {
    this.#options = options;
    this.clock = options.clock;
  }

  /** A handle. `ignored`: the task is known to store nothing. */
  handle(id: string, ignored = false): AsyncResult<unknown> {
    return new ResultHandle(this, id, { parent: null, ignored });
  }

  /**
   * The backend, opened when first asked for. A failure is not remembered.
   *
   * @throws PetioleError `PET_BACKEND_DISABLED`, `PET_CLOSED`
   */
  async backend(): Promise<ResultBackend> {
    if (this.#closed) throw closed();
    this.#opening ??= this.#open();
    const backend = await this.#opening;
    if (!backend.enabled) {
      throw new PetioleError(
        "PET_BACKEND_DISABLED",
        "the app has no result backend: set resultBackend, e.g. to redis://localhost:6379/1",
      );
    }
    return backend;
  }

  #open(): Promise<ResultBackend> {
    const opening = this.#options.open();
    opening.then(
      () => {
        this.#cacheMax = this.#options.cacheMax();
        if (this.#cacheMax >= 0) this.#cache = new Map();
      },
      () => {
        if (this.#opening === opening) this.#opening = null;
      },
    );
    return opening;
  }

  /** One reading; null: nothing stored. */
  async read(id: string): Promise<ResultMeta | null> {
    const known = this.#cache?.get(id);
    if (known !== undefined) return known;
    const backend = await this.backend();
    const [meta = null] = await backend.get([id]);
    if (meta !== null) this.remember(meta);
    return meta;
  }

  /** Keeps a ready result for later handles, when `result_cache_max` says so. */
  remember(meta: ResultMeta): void {
    const cache = this.#cache;
    if (cache === null || !isReady(meta.status)) return;
    cache.delete(meta.taskId);
    cache.set(meta.taskId, meta);
    if (this.#cacheMax > 0 && cache.size > this.#cacheMax) {
      const oldest = cache.keys().next();
      if (!oldest.done) cache.delete(oldest.value);
    }
  }

  async forget(id: string): Promise<void> {
    this.#cache?.delete(id);
    const backend = await this.backend();
    await backend.forget(id);
  }

  /** Waits until the task is ready. */
  async wait(id: string, options: GetOptions): Promise<ResultMeta> {
    options.signal?.throwIfAborted();
    this.#warnInTask();
    const known = this.#cache?.get(id);
    if (known !== undefined) return known;
    const started = this.clock.monotonic();
    const backend = await this.#openedWithin(id, options);
    const meta = await new Wait(this, { id, backend, options, started }).done(this.#waits);
    this.remember(meta);
    return meta;
  }

  /** Opening counts towards the timeout. */
  async #openedWithin(id: string, options: GetOptions): Promise<ResultBackend> {
    const opening = this.backend();
    const { timeout, signal } = options;
    if (timeout === undefined && signal === undefined) return opening;
    return new Promise((resolve, reject) => {
      const timer =
        timeout === undefined
          ? null
          : this.clock.setTimer(timeout * 1000, () => end(() => reject(timedOut(id, timeout))));
      const onAbort = (): void => end(() => reject(signal?.reason as Error));
      const end = (settle: () => void): void => {
        timer?.cancel();
        signal?.removeEventListener("abort", onAbort);
        settle();
      };
      signal?.addEventListener("abort", onAbort);
      opening.then(
        (backend) => end(() => resolve(backend)),
        (error: unknown) => end(() => reject(error as Error)),
      );
    });
  }

  #warnInTask(): void {
    if (this.#warned || currentExecution() === undefined) return;
    this.#warned = true;
    this.#options.logger.warn(
      { task: currentExecution()?.context.name },
      "a task waits for the result of another: when all slots wait, nothing runs. Use link, or a chain",
    );
  }

  /** Ends all waits with `PET_CLOSED` and stops the backend. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#waits) end(closed());
    const opening = this.#opening;
    this.#opening = null;
    if (opening === null) return;
    const backend = await opening.catch(() => null);
    await backend?.stop();
  }
}

function closed(): PetioleError {
  return new PetioleError("PET_CLOSED", "the app was closed: results can no longer be read with it");
}

function timedOut(id: string, timeout: number): TimeoutError {
  return new TimeoutError(
    `the result of task ${id} was not ready after ${timeout} s; the task goes on. Give get() a longer timeout, or see whether a worker runs`,
  );
}

/** One wait for one task. */
class Wait {
  readonly #results: Results;
  readonly #id: string;
  readonly #backend: ResultBackend;
  readonly #options: GetOptions;
  /** Monotonic ms. */
  readonly #started: number;

  constructor(
    results: Results,
    parts: { id: string; backend: ResultBackend; options: GetOptions; started: number },
  ) {
    this.#results = results;
    this.#id = parts.id;
    this.#backend = parts.backend;
    this.#options = parts.options;
    this.#started = parts.started;
  }

  /** `ends`: where the app finds the waits to end when it closes. */
  done(ends: Set<(error: Error) => void>): Promise<ResultMeta> {
    const { timeout, signal, interval } = this.#options;
    return new Promise((resolve, reject) => {
      let over = false;
      const timers: { deadline: Timer | null; poll: Timer | null } = { deadline: null, poll: null };
      const finish = (): void => {
        over = true;
        timers.deadline?.cancel();
        timers.poll?.cancel();
        signal?.removeEventListener("abort", onAbort);
        ends.delete(fail);
        watch.close();
      };
      const fail = (error: Error): void => {
        if (over) return;
        finish();
        reject(error);
      };
      const seen = (meta: ResultMeta | null | undefined): void => {
        if (over || !meta || !isReady(meta.status)) return;
        finish();
        resolve(meta);
      };
      const onAbort = (): void => fail(signal?.reason as Error);
      const read = (): Promise<void> => this.#backend.get([this.#id]).then(([meta]) => seen(meta));
      const poll = (everyMs: number): void => {
        timers.poll = this.#results.clock.setTimer(everyMs, () => {
          const again = (): void => {
            if (!over) poll(everyMs);
          };
          read().then(again, again);
        });
      };
      const watch = this.#backend.watch(this.#id, (meta) => {
        // The first call may come before `watch` is assigned.
        queueMicrotask(() => seen(meta));
      });
      ends.add(fail);
      signal?.addEventListener("abort", onAbort);
      if (timeout !== undefined) {
        const leftMs = timeout * 1000 - (this.#results.clock.monotonic() - this.#started);
        timers.deadline = this.#results.clock.setTimer(leftMs, () => fail(timedOut(this.#id, timeout)));
      }
      if (interval !== undefined) poll(Math.max(interval * 1000, 1));
      watch.ready.then(read).catch(fail);
    });
  }
}

/** The one implementation of {@link AsyncResult}. Light: one is made for each send. */
export class ResultHandle implements AsyncResult<unknown> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly #results: Results;
  readonly #ignored: boolean;
  /** The ready result, once seen. Written by `#keep` and `forget`. */
  #meta: ResultMeta | null = null;

  constructor(
    results: Results,
    id: string,
    rest: { readonly parent: AsyncResult<unknown> | null; readonly ignored: boolean },
  ) {
    this.id = id;
    this.parent = rest.parent;
    this.#results = results;
    this.#ignored = rest.ignored;
  }

  async get(options: GetOptions & { readonly propagate?: boolean | undefined } = {}): Promise<never> {
    const outcome = await this.outcome(options);
    if (outcome.state === "SUCCESS") return outcome.result as never;
    if (options.propagate === false) return outcome.error as never;
    throw outcome.error;
  }

  async outcome(options: GetOptions = {}): Promise<TaskOutcome<unknown>> {
    if (this.#ignored) {
      throw new PetioleError(
        "PET_RESULT_IGNORED",
        `task ${this.id} stores no result (ignoreResult): there is nothing to wait for`,
      );
    }
    return this.#outcomeOf(this.#meta ?? this.#keep(await this.#results.wait(this.id, options)));
  }

  async status(): Promise<TaskStatus<unknown>> {
    const meta = await this.#read();
    if (meta === null) return { ready: false, state: "PENDING", info: null };
    if (isReady(meta.status)) return this.#outcomeOf(meta);
    return { ready: false, state: meta.status, info: infoOf(meta) } as TaskStatus<unknown>;
  }

  async state(): Promise<TaskState> {
    return (await this.#read())?.status ?? "PENDING";
  }

  async info(): Promise<unknown> {
    const meta = await this.#read();
    if (meta === null) return null;
    return meta.status === "SUCCESS" ? this.#value(meta) : infoOf(meta);
  }

  async ready(): Promise<boolean> {
    return isReady(await this.state());
  }

  async successful(): Promise<boolean> {
    return (await this.state()) === "SUCCESS";
  }

  async failed(): Promise<boolean> {
    return (await this.state()) === "FAILURE";
  }

  async traceback(): Promise<string | null> {
    return (await this.#read())?.traceback ?? null;
  }

  async children(): Promise<readonly AsyncResult<unknown>[]> {
    const meta = await this.#read();
    return (meta?.children ?? []).flatMap((tuple) => handlesOf(this.#results, tuple));
  }

  async *collect(
    options: GetOptions = {},
  ): AsyncGenerator<readonly [result: AsyncResult<unknown>, value: unknown], void, void> {
    const abort = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, abort.signal]) : abort.signal;
    const started = this.#results.clock.monotonic();
    const open = new Set<Promise<Found>>();
    const seen = new Set<string>();
    const visit = (result: AsyncResult<unknown>): void => {
      if (seen.has(result.id)) return;
      seen.add(result.id);
      const found: Promise<Found> = this.#visit(result, { ...options, signal }, started).then(
        (value) => ({ from: found, ...value }),
        (error: unknown) => ({ from: found, error }),
      );
      open.add(found);
    };
    visit(this);
    try {
      while (open.size > 0) {
        const next = await Promise.race(open);
        open.delete(next.from);
        if ("error" in next) throw next.error;
        for (const child of next.children) visit(child);
        yield [next.result, next.value];
      }
    } finally {
      abort.abort();
    }
  }

  async #visit(result: AsyncResult<unknown>, options: GetOptions, started: number): Promise<Visited> {
    const { timeout } = options;
    const spentSeconds = (this.#results.clock.monotonic() - started) / 1000;
    const left =
      timeout === undefined ? options : { ...options, timeout: Math.max(timeout - spentSeconds, 0) };
    const value = await result.get(left);
    return { result, value, children: await result.children() };
  }

  async forget(): Promise<void> {
    this.#meta = null;
    await this.#results.forget(this.id);
  }

  /** The tuple that Celery stores for a result, so that a task may return one. */
  toJSON(): unknown {
    return resultTuple(this.id, this.parent);
  }

  async #read(): Promise<ResultMeta | null> {
    if (this.#meta !== null) return this.#meta;
    const meta = await this.#results.read(this.id);
    return meta === null ? null : this.#keep(meta);
  }

  /** A ready result does not change any more. */
  #keep(meta: ResultMeta): ResultMeta {
    if (isReady(meta.status)) this.#meta = meta;
    return meta;
  }

  #value(meta: ResultMeta): unknown {
    return isResultTuple(meta.result) ? handleOf(this.#results, meta.result) : (meta.result ?? null);
  }

  #outcomeOf(meta: ResultMeta): TaskOutcome<unknown> {
    if (meta.status === "SUCCESS") return { ready: true, state: "SUCCESS", result: this.#value(meta) };
    const error = errorOf(meta);
    if (meta.status === "REVOKED") return { ready: true, state: "REVOKED", error: error as TaskRevokedError };
    return { ready: true, state: "FAILURE", error, traceback: meta.traceback };
  }
}

interface Visited {
  readonly result: AsyncResult<unknown>;
  readonly value: unknown;
  readonly children: readonly AsyncResult<unknown>[];
}
type Found = { readonly from: Promise<Found> } & (Visited | { readonly error: unknown });

function infoOf(meta: ResultMeta): unknown {
  return isException(meta.status) ? errorOf(meta) : (meta.result ?? null);
}

/** `[[id, parent], null]`: how Celery stores a result that is itself a result, and the children of a task. */
export type ResultTuple = readonly [readonly [id: string, parent: ResultTuple | null], null];

/** Nesting of parents at most: the data may come from anywhere. */
const MAX_PARENTS = 100;

/** Celery's tuple of a handle. */
export function resultTuple(id: string, parent: AsyncResult<unknown> | null): ResultTuple {
  return [[id, parent === null ? null : resultTuple(parent.id, parent.parent)], null];
}

/** Whether a value is the tuple of a single task's result. */
export function isResultTuple(value: unknown, depth = 0): value is ResultTuple {
  if (!Array.isArray(value) || value.length !== 2 || value[1] !== null || depth > MAX_PARENTS) return false;
  const head: unknown = value[0];
  if (!Array.isArray(head) || head.length !== 2 || typeof head[0] !== "string") return false;
  return head[1] === null || isResultTuple(head[1], depth + 1);
}

function handleOf(results: Results, tuple: ResultTuple): AsyncResult<unknown> {
  const [id, parent] = tuple[0];
  return new ResultHandle(results, id, {
    parent: parent === null ? null : handleOf(results, parent),
    ignored: false,
  });
}

/** Handles of a stored child: of one task, or of a group's members. What is neither is left out. */
function handlesOf(results: Results, child: unknown): readonly AsyncResult<unknown>[] {
  if (isResultTuple(child)) return [handleOf(results, child)];
  if (!Array.isArray(child) || child.length !== 2 || !Array.isArray(child[1])) return [];
  return (child[1] as readonly unknown[])
    .filter((one) => isResultTuple(one))
    .map((one) => handleOf(results, one));
}
