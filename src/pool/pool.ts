/** The contract of every pool: it runs the user's function, nothing else; broker and backend stay with the parent. */
import type { Job, JobPort, Outcome } from "../protocol/job.ts";

export interface Pool {
  readonly name: string;
  readonly size: number;
  /** Jobs that have not ended. */
  readonly busy: number;
  /** Jobs that could start now: at most `size - busy`, and fewer while a child is being replaced. */
  readonly free: number;
  /** Called when a slot became free in another way than by a job's outcome. Set by whoever submits. */
  onFree: (() => void) | null;
  /** Resolves when the first slot is free. @throws when no child can be started */
  start(signal: AbortSignal): Promise<void>;
  /** Waits `graceMs` for running jobs; then aborts them with `reason`, or kills them where it can. */
  stop(options: { readonly graceMs: number; readonly reason?: unknown }): Promise<void>;
  /** A slot must be free. */
  submit(job: Job, port: JobPort): RunningJob;
  /** What runs goes on; surplus slots end with their job. */
  resize(size: number): Promise<void>;
  /** Replaces every child; those that run, after their job. Python: `pool_restart`. */
  restart(): Promise<void>;
  info(): PoolInfo;
}

/** What `inspect stats` says of a pool, by the wire's names. */
export interface PoolInfo {
  readonly implementation: string;
  readonly "max-concurrency": number;
  /** Process ids of those that run jobs. */
  readonly processes: readonly number[];
  readonly "max-tasks-per-child": number | "N/A";
  /** Soft and hard limit of the worker, seconds; 0: none. */
  readonly timeouts: readonly [soft: number, hard: number];
}

export interface RunningJob {
  /** Never rejects; a plain value when the job ended at once (no promise to wait for). */
  readonly outcome: Promise<Outcome> | Outcome;
  /** The process that runs it. null: none yet. */
  readonly pid: number | null;
  /** Aborts the job's signal: a request to end. */
  abort(reason: unknown): void;
  /**
   * Ends the job now, with a process signal where it has a process. False: this pool cannot stop a running function, and
   * has aborted its signal only. `SIGUSR1` is Celery's way to raise the soft limit, and does no more than that.
   */
  terminate(signal: NodeJS.Signals, reason: unknown): boolean;
}
