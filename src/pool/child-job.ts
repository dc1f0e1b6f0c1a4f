/**
 * One job of a pool of children, as the parent sees it.
 *
 * | job     | given to a child | starts     | child dies                                | ends    |
 * |---------|------------------|------------|-------------------------------------------|---------|
 * | waiting | -> sent          |            |                                           |         |
 * | sent    |                  | -> started | -> waiting, once; then -> over as lost    | -> over |
 * | started |                  |            | -> over: as it was killed for, else lost  | -> over |
 *
 * What a child tells before its death counts: a function that ended just before it was killed has ended.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { exceptionInfo } from "../protocol/exceptions.ts";
import type { Job, JobPort, Outcome } from "../protocol/job.ts";
import type { Child, Exit } from "./child.ts";
import { softLimit } from "./limits.ts";
import { write } from "./messages.ts";
import type { RunningJob } from "./pool.ts";

/** A job goes to a second child when the first died before its function began, and to no third. */
const MAX_CHILDREN = 2;

export interface ChildJobParts {
  readonly job: Job;
  readonly port: JobPort;
  /** The message that carries it. */
  readonly text: string;
  readonly clock: Clock;
  /** It is over. */
  onOver(job: ChildJob): void;
}

export class ChildJob implements RunningJob {
  readonly outcome: Promise<Outcome>;
  readonly #parts: ChildJobParts;
  /** Written by the constructor. */
  #resolve: (outcome: Outcome) => void = NOT_YET;
  readonly #timers: Timer[] = [];
  /** Written by `sendTo` and `onDeath`. */
  #child: Child | null = null;
  #children = 0;
  #started = false;
  #over = false;
  /** What its child was killed for. Written by `#kill`. */
  #ending: Outcome | null = null;
  /** An abort that came before there was a child. */
  #abortText: string | null = null;

  constructor(parts: ChildJobParts) {
    this.#parts = parts;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    const { clock, job } = parts;
    const { softTimeLimitMs, timeLimitMs } = job;
    if (softTimeLimitMs !== null) {
      this.#timers.push(clock.setTimer(softTimeLimitMs, () => this.abort(softLimit())));
    }
    if (timeLimitMs !== null) {
      const ending: Outcome = { kind: "timed-out", limitMs: timeLimitMs };
      this.#timers.push(clock.setTimer(timeLimitMs, () => this.#kill("SIGKILL", ending)));
    }
  }

  get job(): Job {
    return this.#parts.job;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  get started(): boolean {
    return this.#started;
  }

  get over(): boolean {
    return this.#over;
  }

  sendTo(child: Child): void {
    this.#child = child;
    this.#children += 1;
    child.send(this.#parts.text);
    if (this.#abortText !== null) child.send(this.#abortText);
  }

  onStart(pid: number): void {
    this.#started = true;
    this.#parts.port.onStart(pid);
  }

  updateState(state: string, meta: unknown): Promise<void> {
    return this.#parts.port.updateState(state, meta);
  }

  sendEvent(type: string, fields: string): void {
    this.#parts.port.sendEvent(type, fields);
  }

  keepLog(line: string): void {
    this.#parts.port.keepLog?.(line);
  }

  abort(reason: unknown): void {
    if (this.#over) return;
    this.#abortText = write(["abort", exceptionInfo(reason, "builtins")]);
    this.#child?.send(this.#abortText);
  }

  terminate(signal: NodeJS.Signals, _reason: unknown): boolean {
    if (signal === "SIGUSR1") {
      this.abort(softLimit());
      return false;
    }
    this.#kill(signal, { kind: "terminated", signal });
    return true;
  }

  #kill(signal: NodeJS.Signals, ending: Outcome): void {
    if (this.#over) return;
    if (this.#child === null) {
      this.end(ending);
      return;
    }
    this.#ending ??= ending;
    this.#child.kill(signal);
  }

  /** Its child has died. False: the job has not begun, and may go to another one. */
  onDeath({ code, signal }: Exit): boolean {
    this.#child = null;
    const untouched = !this.#started && this.#ending === null;
    if (untouched && this.#children < MAX_CHILDREN) return false;
    this.end(this.#ending ?? { kind: "lost", exitCode: code, signal });
    return true;
  }

  end(outcome: Outcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#child = null;
    for (const timer of this.#timers) timer.cancel();
    this.#parts.onOver(this);
    this.#resolve(outcome);
  }
}

const NOT_YET = (): void => {};
