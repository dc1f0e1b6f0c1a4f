/**
 * Runs jobs in this process's event loop. A job that waits for I/O costs no thread; one that computes holds up all others.
 *
 * A function cannot be stopped here: `terminate` aborts its signal, and at the hard time limit its job ends without it.
 *
 * | slot    | submit        | function ends | hard limit              | stop                    |
 * |---------|---------------|---------------|-------------------------|-------------------------|
 * | free    | -> busy       |               |                         |                         |
 * | busy    |               | -> free       | -> free, late end dropped | signal aborted after the grace, -> free when it ends |
 */
import type { Clock, Timer } from "../base/clock.ts";
import { LinkedSet } from "../base/linked-set.ts";
import type { Logger } from "../base/logger.ts";
import type { Execute, Job, JobPort, Outcome } from "../protocol/job.ts";
import { broken } from "./broken.ts";
import { JobAbort } from "./lazy-abort.ts";
import { hardLimit, softLimit } from "./limits.ts";
import type { Pool, PoolInfo, RunningJob } from "./pool.ts";

export interface AsyncPoolOptions {
  /** `solo` is this pool with one slot. Default: async. */
  readonly name?: "async" | "solo";
  /** Jobs that run at once. */
  readonly size: number;
  readonly execute: Execute;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Soft and hard limit of the worker, seconds; 0: none. For `info`. */
  readonly timeouts?: readonly [soft: number, hard: number];
}

export class AsyncPool implements Pool {
  readonly name: string;
  onFree: (() => void) | null = null;
  readonly #timeouts: readonly [soft: number, hard: number];
  readonly #execute: Execute;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #size: number;
  #busy = 0;
  /** Jobs whose function has not ended; written by `submit` and `#release`. Jobs that end at once are never in it. */
  readonly #running = new LinkedSet<AsyncJob>();
  /** Called when the last job ends. Written by `stop`. */
  #onIdle: (() => void) | null = null;

  constructor(options: AsyncPoolOptions) {
    this.name = options.name ?? "async";
    this.#timeouts = options.timeouts ?? [0, 0];
    this.#size = options.size;
    this.#execute = options.execute;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  get size(): number {
    return this.#size;
  }

  get busy(): number {
    return this.#busy;
  }

  get free(): number {
    return Math.max(0, this.#size - this.#busy);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  submit(job: Job, port: JobPort): RunningJob {
    const running = new AsyncJob();
    this.#busy += 1;
    let outcome: Promise<Outcome> | Outcome;
    try {
      outcome = this.#execute(job, port, running);
    } catch (error) {
      outcome = broken(error);
    }
    if (!(outcome instanceof Promise)) {
      this.#busy -= 1;
      running.outcome = outcome;
      return running;
    }
    this.#running.add(running);
    running.outcome =
      job.softTimeLimitMs === null && job.timeLimitMs === null
        ? this.#finish(running, outcome)
        : this.#limited({ job, running, outcome });
    return running;
  }

  resize(size: number): Promise<void> {
    const grows = size > this.#size;
    this.#size = Math.max(0, size);
    if (grows) this.onFree?.();
    return Promise.resolve();
  }

  /** There is no child to replace. */
  restart(): Promise<void> {
    return Promise.resolve();
  }

  info(): PoolInfo {
    return {
      implementation: `petiole.pool:${this.name}`,
      "max-concurrency": this.#size,
      processes: [process.pid],
      "max-tasks-per-child": "N/A",
      timeouts: this.#timeouts,
    };
  }

  async stop(options: { readonly graceMs: number; readonly reason?: unknown }): Promise<void> {
    if (this.#running.size === 0) return;
    let timer: Timer | null = null;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (Number.isFinite(options.graceMs)) timer = this.#clock.setTimer(options.graceMs, resolve);
    });
    this.#onIdle = null;
    (timer as Timer | null)?.cancel();
    for (const running of this.#running) running.abort(options.reason);
  }

  async #finish(running: AsyncJob, outcome: Promise<Outcome>): Promise<Outcome> {
    try {
      return await outcome;
    } catch (error) {
      return broken(error);
    } finally {
      this.#release(running);
    }
  }

  #release(running: AsyncJob): void {
    if (!this.#running.delete(running)) return;
    this.#busy -= 1;
    if (this.#running.size === 0) this.#onIdle?.();
  }

  #limited(one: {
    readonly job: Job;
    readonly running: AsyncJob;
    readonly outcome: Promise<Outcome>;
  }): Promise<Outcome> {
    const { job, running, outcome } = one;
    return new Promise((resolve) => {
      const timers: Timer[] = [];
      let over = false;
      const { softTimeLimitMs, timeLimitMs } = job;
      if (softTimeLimitMs !== null) {
        timers.push(this.#clock.setTimer(softTimeLimitMs, () => running.abort(softLimit())));
      }
      if (timeLimitMs !== null) {
        const onLimit = (): void => {
          over = true;
          running.abort(hardLimit(timeLimitMs));
          this.#release(running);
          resolve({ kind: "timed-out", limitMs: timeLimitMs });
        };
        timers.push(this.#clock.setTimer(timeLimitMs, onLimit));
      }
      void this.#finish(running, outcome).then((ended) => {
        for (const timer of timers) timer.cancel();
        if (over) {
          this.#logger.warn(
            { task: job.task, id: job.id, outcome: ended.kind },
            "a task that had passed its time limit ended late: its outcome is dropped",
          );
        }
        resolve(ended);
      });
    });
  }
}

class AsyncJob extends JobAbort implements RunningJob {
  /** Written once, by the pool. */
  outcome: Promise<Outcome> | Outcome = NOT_RUN;

  get pid(): number {
    return process.pid;
  }

  terminate(_signal: NodeJS.Signals, reason: unknown): boolean {
    this.abort(reason);
    return false;
  }
}

const NOT_RUN: Outcome = { kind: "ignored", reason: "not run" };
