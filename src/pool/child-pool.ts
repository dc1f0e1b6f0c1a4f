/**
 * A pool of children, processes or threads: each runs one job at a time. What a child's life is, `child.ts` tells; this keeps
 * as many of them as there are slots.
 *
 * A child that dies is replaced, and so is one that hangs. While none comes up, the pauses between attempts grow, and the
 * reason is told once. A job whose child died before its function began goes to the next free child.
 */
import { type BackoffOptions, fullJitterMs } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { PetioleError } from "../errors.ts";
import type { Job, JobPort } from "../protocol/job.ts";
import { broken } from "./broken.ts";
import { Child, type ChildLink, type ChildOwner, type ChildState, type Exit } from "./child.ts";
import { ChildJob } from "./child-job.ts";
import { type Fields, type LogLevel, receivedFields, write, writeJob } from "./messages.ts";
import type { Pool, PoolInfo, RunningJob } from "./pool.ts";

export interface ChildPoolOptions {
  readonly name: string;
  readonly size: number;
  /** What each child is told first. */
  readonly init: unknown;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A child is replaced after so many jobs. */
  readonly maxTasksPerChild: number | null;
  /** A child that has more memory after a job is replaced. KiB. */
  readonly maxMemoryPerChildKib: number | null;
  /** Soft and hard limit of the worker, seconds; 0: none. For `info`. */
  readonly timeouts: readonly [soft: number, hard: number];
  /** A child that is not ready within this is replaced. */
  readonly startTimeoutMs: number;
  /** Children that may load the app at once. */
  readonly startsAtOnce: number;
  /** A child is about to be started. */
  onOpen?(): void;
  /** Starts a child. */
  open(): ChildLink;
}

const CHECK_MS = 1000;
const START_BACKOFF: BackoffOptions = { baseMs: 250, capMs: 30_000 };
/** A child that dies sooner than this after it became ready has failed to start, in effect. ms. */
const INFANT_MS = 1000;

export class ChildPool implements Pool, ChildOwner {
  readonly name: string;
  readonly clock: Clock;
  readonly startTimeoutMs: number;
  onFree: (() => void) | null = null;
  readonly #options: ChildPoolOptions;
  readonly #logger: Logger;
  readonly #init: string;
  /** All that are not dead. */
  readonly #children = new Set<Child>();
  /** Last in, first out: the same few work when there is little to do. */
  #idle: Child[] = [];
  readonly #jobs = new Set<ChildJob>();
  /** Jobs that wait for a child, for they lost theirs. */
  #waiting: ChildJob[] = [];
  /** When each child became ready, monotonic ms. */
  readonly #readyMs = new WeakMap<Child, number>();
  #size: number;
  #stopping = false;
  #stopped: Promise<void> | null = null;
  /** Starts that failed, one after the other. */
  #failures = 0;
  #told = "";
  #retry: Timer | null = null;
  #check: Timer | null = null;
  #starting: { resolve(): void; reject(error: Error): void } | null = null;
  #onChange: (() => void) | null = null;

  constructor(options: ChildPoolOptions) {
    this.name = options.name;
    this.clock = options.clock;
    this.startTimeoutMs = options.startTimeoutMs;
    this.#options = options;
    this.#logger = options.logger;
    this.#size = options.size;
    this.#init = write(["init", options.init]);
  }

  get size(): number {
    return this.#size;
  }

  get busy(): number {
    return this.#jobs.size;
  }

  get free(): number {
    if (this.#stopping) return 0;
    return Math.max(0, Math.min(this.#idle.length, this.#size - this.#jobs.size) - this.#waiting.length);
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#scheduleCheck();
    const up = new Promise<void>((resolve, reject) => {
      this.#starting = { resolve, reject };
    });
    const onAbort = (): void => this.#starting?.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#fill();
    try {
      if (this.#size > 0) await up;
    } finally {
      this.#starting = null;
      signal.removeEventListener("abort", onAbort);
    }
  }

  submit(job: Job, port: JobPort): RunningJob {
    let text: string;
    try {
      text = writeJob(job);
    } catch (error) {
      return new UnsentJob(broken(error));
    }
    const onOver = (over: ChildJob): void => this.#onOver(over);
    const running = new ChildJob({ job, port, text, clock: this.clock, onOver });
    this.#jobs.add(running);
    const child = this.#idle.pop();
    if (child === undefined) this.#waiting.push(running);
    else child.run(running);
    return running;
  }

  resize(size: number): Promise<void> {
    this.#size = Math.max(0, size);
    this.#trim();
    this.#fill();
    if (this.free > 0) this.onFree?.();
    return Promise.resolve();
  }

  restart(): Promise<void> {
    this.#failures = 0;
    for (const child of this.#children) child.outdated = true;
    const idle = this.#idle;
    this.#idle = [];
    for (const child of idle) child.retire();
    for (const child of this.#children) if (child.state === "starting") child.retire();
    this.#fill();
    return Promise.resolve();
  }

  info(): PoolInfo {
    const { name, maxTasksPerChild, timeouts } = this.#options;
    return {
      implementation: `petiole.pool:${name}`,
      "max-concurrency": this.#size,
      processes: [...new Set([...this.#children].map((child) => child.pid))],
      "max-tasks-per-child": maxTasksPerChild ?? "N/A",
      timeouts,
    };
  }

  stop(options: { readonly graceMs: number; readonly reason?: unknown }): Promise<void> {
    this.#stopped ??= this.#stop(options);
    return this.#stopped;
  }

  async #stop(options: { readonly graceMs: number; readonly reason?: unknown }): Promise<void> {
    this.#stopping = true;
    this.#retry?.cancel();
    this.#starting?.resolve();
    const idle = this.#idle;
    this.#idle = [];
    for (const child of idle) child.retire();
    for (const child of this.#children) if (child.state === "starting") child.retire();
    if (options.graceMs > 0) await this.#until(() => this.#jobs.size === 0, options.graceMs);
    for (const job of this.#jobs) job.terminate("SIGKILL", options.reason);
    for (const child of this.#children) if (child.state === "busy") child.kill("SIGKILL");
    await this.#until(() => this.#children.size === 0, Number.POSITIVE_INFINITY);
    this.#check?.cancel();
  }

  /** Resolves when it is so, or the time is over. */
  async #until(is: () => boolean, withinMs: number): Promise<void> {
    const untilMs = this.clock.monotonic() + withinMs;
    const timer = Number.isFinite(withinMs) ? this.clock.setTimer(withinMs, () => this.#onChange?.()) : null;
    while (!is() && this.clock.monotonic() < untilMs) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    }
    this.#onChange = null;
    timer?.cancel();
  }

  // ---- keeping children

  /** Opens what is missing. */
  #fill(): void {
    if (this.#stopping || this.#retry !== null) return;
    let starting = 0;
    let kept = 0;
    for (const { state } of this.#children) {
      if (state === "starting") starting += 1;
      if (state !== "stopping") kept += 1;
    }
    const atOnce = this.#failures > 0 ? 1 : this.#options.startsAtOnce;
    while (kept < this.#size && starting < atOnce) {
      this.#options.onOpen?.();
      this.#children.add(new Child(this.#options.open(), this.#init, this));
      starting += 1;
      kept += 1;
    }
  }

  /** Lets go of what is too many. Those that run end with their job. */
  #trim(): void {
    let surplus = this.#kept() - this.#size;
    while (surplus > 0) {
      const child = this.#idle.shift();
      if (child === undefined) return;
      child.retire();
      surplus -= 1;
    }
  }

  #kept(): number {
    let kept = 0;
    for (const { state } of this.#children) if (state !== "stopping") kept += 1;
    return kept;
  }

  #scheduleCheck(): void {
    this.#check = this.clock.setTimer(CHECK_MS, () => {
      const nowMs = this.clock.monotonic();
      for (const child of this.#children) child.check(nowMs);
      this.#scheduleCheck();
    });
  }

  onReady(child: Child): void {
    this.#readyMs.set(child, this.clock.monotonic());
    if (this.#failures > 0) {
      this.#logger.info({ pid: child.pid, failures: this.#failures }, "a child of the pool is up again");
    }
    this.#starting?.resolve();
    if (this.#isSurplus(child)) child.retire();
    else if (this.#offer(child)) this.onFree?.();
    this.#fill();
  }

  #isSurplus(child: Child): boolean {
    return child.outdated || this.#stopping || this.#kept() > this.#size;
  }

  onEnd(child: Child, memoryKib: number | null): void {
    const { maxTasksPerChild, maxMemoryPerChildKib } = this.#options;
    const isFull = maxTasksPerChild !== null && child.done >= maxTasksPerChild;
    const isLarge = maxMemoryPerChildKib !== null && memoryKib !== null && memoryKib > maxMemoryPerChildKib;
    if (isLarge) {
      this.#logger.warn(
        { pid: child.pid, memoryKib, maxMemoryPerChildKib },
        "a child of the pool uses more memory than it may: it is replaced",
      );
    }
    this.#failures = 0;
    this.#told = "";
    if (isFull || isLarge || this.#isSurplus(child)) {
      child.retire();
      this.#fill();
      return;
    }
    this.#offer(child);
  }

  /** False: a job that waited has it. */
  #offer(child: Child): boolean {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#idle.push(child);
      return true;
    }
    child.run(next);
    return false;
  }

  #onOver(job: ChildJob): void {
    this.#jobs.delete(job);
    if (this.#waiting.length > 0) this.#waiting = this.#waiting.filter((one) => one !== job);
    this.#onChange?.();
  }

  onOverdue(child: Child, was: ChildState): void {
    this.#idle = this.#idle.filter((one) => one !== child);
    if (was === "starting") child.trouble ??= "it did not become ready in time";
    this.#logger.error(
      { pid: child.pid, state: was },
      "a child of the pool does not answer: it is killed and replaced",
    );
  }

  onExit(child: Child, exit: Exit, job: ChildJob | null): void {
    this.#children.delete(child);
    this.#idle = this.#idle.filter((one) => one !== child);
    if (job !== null && exit.error !== null) {
      const { id, task } = job.job;
      this.#logger.error({ id, task, reason: exit.error }, "a child of the pool broke down under a task");
    }
    if (!this.#stopping && job === null) this.#judge(child, exit);
    if (job !== null && !job.onDeath(exit)) {
      if (this.#stopping) job.end({ kind: "lost", exitCode: exit.code, signal: exit.signal });
      else this.#waiting.push(job);
    }
    this.#onChange?.();
    this.#fill();
  }

  /** Whether a death without a job says that children cannot live here. Then the next attempt waits. */
  #judge(child: Child, exit: Exit): void {
    const readyMs = this.#readyMs.get(child);
    const young = readyMs !== undefined && this.clock.monotonic() - readyMs < INFANT_MS;
    const unborn = readyMs === undefined && !child.outdated;
    if (!unborn && !(young && child.done === 0 && exit.signal === null && exit.code !== 0)) {
      return;
    }
    const reason = child.trouble ?? exit.error ?? `it ended with ${exit.signal ?? `exit code ${exit.code}`}`;
    if (this.#starting !== null && readyMs === undefined) {
      const message = `the pool ${this.name} cannot start a child: ${reason}`;
      this.#starting.reject(new PetioleError("PET_MODULE_FAILED", message));
      return;
    }
    if (reason !== this.#told) {
      this.#told = reason;
      this.#logger.error({ pid: child.pid, reason }, "a child of the pool did not come up: trying again");
    }
    this.#failures += 1;
    this.#retry?.cancel();
    this.#retry = this.clock.setTimer(fullJitterMs(this.#failures, START_BACKOFF), () => {
      this.#retry = null;
      this.#fill();
    });
  }

  onLog(level: LogLevel, line: { own: Fields | null; fields: Fields; message: string }): void {
    const { own, fields, message } = line;
    const logger = own === null ? this.#logger : this.#logger.child(receivedFields(own));
    logger[level](receivedFields(fields), message);
  }
}

/** A job whose arguments cannot travel. */
class UnsentJob implements RunningJob {
  readonly outcome: RunningJob["outcome"];
  readonly pid = null;

  constructor(outcome: RunningJob["outcome"]) {
    this.outcome = outcome;
  }

  abort(): void {}

  terminate(): boolean {
    return true;
  }
}
