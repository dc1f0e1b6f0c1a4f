/** The contract of every pool: it runs the user's function, nothing else; broker and backend stay with the parent. */
import type { Job, JobPort, Outcome } from "../protocol/job.ts";

export interface Pool {
  readonly name: string;
  readonly size: number;
  /** Jobs that run now. */
  readonly busy: number;
  start(signal: AbortSignal): Promise<void>;
  /** Waits `graceMs` for running jobs, then aborts them with `reason`. */
  stop(options: { readonly graceMs: number; readonly reason?: unknown }): Promise<void>;
  /** A slot must be free. */
  submit(job: Job, port: JobPort): RunningJob;
  resize(size: number): Promise<void>;
}

/**
 * `outcome` never rejects; it is a plain value when the job ended at once (no promise to wait for).
 * `terminate` answers whether this pool can stop a running function (async: aborts its signal only).
 */
export interface RunningJob {
  readonly outcome: Promise<Outcome> | Outcome;
  terminate(signal: NodeJS.Signals, reason: unknown): boolean;
}
