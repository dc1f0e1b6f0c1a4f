/**
 * One child of a pool, as the parent sees it.
 *
 * | state    | ready   | failed   | job     | end of a job             | overdue          | told to end | killed      | exit    |
 * |----------|---------|----------|---------|--------------------------|------------------|-------------|-------------|---------|
 * | starting | -> idle | killed, -> stopping | | | killed, -> stopping      | -> stopping      | -> stopping | -> dead     |
 * | idle     |         |          | -> busy |                          | killed, -> stopping | -> stopping | -> stopping | -> dead |
 * | busy     |         |          |         | -> idle, or -> stopping when it has done its share | before the start: killed, -> stopping | | -> stopping | -> dead |
 * | stopping |         |          |         |                          | SIGKILL          |             |             | -> dead |
 * | dead     |         |          |         |                          |                  |             |             |         |
 *
 * overdue: no `ready` in time, no answer to a ping, a job that was sent and does not start, an end that does not come.
 */
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "../protocol/job.ts";
import type { ChildJob } from "./child-job.ts";
import { type Fields, type LogLevel, outcomeOf, readInParent, write } from "./messages.ts";

/** How a child ended. `signal`: by which it was killed. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it never ran, where the system says so. */
  readonly error: string | null;
}

/** A child process or thread. Its events are connected by {@link Child}, in the turn in which it was opened. */
export interface ChildLink {
  /** 0: it could not be started. */
  readonly pid: number;
  onMessage: ((text: unknown) => void) | null;
  /** After its last message. */
  onExit: ((exit: Exit) => void) | null;
  /** Never throws. */
  send(text: string): void;
  /** Never throws. */
  kill(signal: NodeJS.Signals): void;
}

export type ChildState = "starting" | "idle" | "busy" | "stopping" | "dead";

const TRANSITIONS: Readonly<Record<ChildState, readonly ChildState[]>> = {
  starting: ["idle", "stopping", "dead"],
  idle: ["busy", "stopping", "dead"],
  busy: ["idle", "stopping", "dead"],
  stopping: ["dead"],
  dead: [],
};

/** A child that is up answers within this, or its event loop hangs. ms. */
const ANSWER_MS = 10_000;
/** Time for an orderly end, and for a signal to do its work. ms. */
const STOP_MS = 5_000;
/** A child that is idle is asked so often whether it is there. ms. */
const PING_MS = 10_000;

const PING = write(["ping"]);
const STOP = write(["stop"]);

export interface ChildOwner {
  readonly clock: Clock;
  /** Within which a child has to be ready. */
  readonly startTimeoutMs: number;
  onReady(child: Child): void;
  /** A job is over, the child is idle. */
  onEnd(child: Child, memoryKib: number | null): void;
  onOverdue(child: Child, was: ChildState): void;
  /** `job`: what it had not finished. */
  onExit(child: Child, exit: Exit, job: ChildJob | null): void;
  onLog(level: LogLevel, line: { own: Fields | null; fields: Fields; message: string }): void;
}

export class Child {
  /** Jobs that it has finished. */
  done = 0;
  /** It is to end as soon as it is idle. Written by the pool. */
  outdated = false;
  /** Why its app could not be loaded. */
  trouble: string | null = null;
  readonly #link: ChildLink;
  readonly #owner: ChildOwner;
  #state: ChildState = "starting";
  #job: ChildJob | null = null;
  /** Monotonic, ms: until then it has to say something. */
  #deadlineMs: number;
  #heardMs: number;

  constructor(link: ChildLink, init: string, owner: ChildOwner) {
    this.#link = link;
    this.#owner = owner;
    this.#heardMs = owner.clock.monotonic();
    this.#deadlineMs = this.#heardMs + owner.startTimeoutMs;
    link.onMessage = (text) => this.#onMessage(text);
    link.onExit = (exit) => this.#onExit(exit);
    link.send(init);
  }

  get pid(): number {
    return this.#link.pid;
  }

  get state(): ChildState {
    return this.#state;
  }

  get job(): ChildJob | null {
    return this.#job;
  }

  run(job: ChildJob): void {
    this.#become("busy");
    this.#job = job;
    this.#answerWithin(ANSWER_MS);
    job.sendTo(this);
  }

  send(text: string): void {
    this.#link.send(text);
  }

  /** Lets it end by itself. It is idle, or not ready yet. */
  retire(): void {
    if (this.#state === "stopping" || this.#state === "dead") return;
    const wasStarting = this.#state === "starting";
    this.#become("stopping");
    this.#answerWithin(STOP_MS);
    // While it loads the app it cannot hear.
    if (wasStarting) this.#link.kill("SIGKILL");
    else this.#link.send(STOP);
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#state === "dead") return;
    if (this.#state !== "stopping") this.#become("stopping");
    this.#answerWithin(STOP_MS);
    this.#link.kill(signal);
  }

  /** To be called now and then. */
  check(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) {
      const was = this.#state;
      this.kill("SIGKILL");
      this.#owner.onOverdue(this, was);
    } else if (this.#state === "idle" && this.#deadlineMs === Number.POSITIVE_INFINITY) {
      if (nowMs < this.#heardMs + PING_MS) return;
      this.#answerWithin(ANSWER_MS);
      this.#link.send(PING);
    }
  }

  #become(state: ChildState): void {
    if (!TRANSITIONS[this.#state].includes(state)) {
      throw new Error(`a pool's child cannot go from ${this.#state} to ${state}`);
    }
    this.#state = state;
  }

  #answerWithin(ms: number): void {
    this.#deadlineMs = this.#owner.clock.monotonic() + ms;
  }

  #heard(): void {
    if (this.#state === "stopping") return;
    this.#heardMs = this.#owner.clock.monotonic();
    if (this.#state !== "starting") this.#deadlineMs = Number.POSITIVE_INFINITY;
  }

  #onMessage(text: unknown): void {
    const message = readInParent(text);
    if (message === null || this.#state === "dead") return;
    switch (message[0]) {
      case "ready":
        if (this.#state !== "starting") return;
        this.#become("idle");
        this.#heard();
        this.#owner.onReady(this);
        return;
      case "failed":
        this.trouble = message[1];
        this.kill("SIGKILL");
        return;
      case "start":
        this.#heard();
        this.#job?.onStart(this.pid);
        return;
      case "state":
        this.#heard();
        this.#store(message[1], message[2], message[3]);
        return;
      case "event":
        this.#heard();
        this.#job?.sendEvent(message[1], message[2]);
        return;
      case "keep":
        this.#heard();
        this.#job?.keepLog(message[1]);
        return;
      case "end":
        this.#end(outcomeOf(message[1]), message[2]);
        return;
      case "pong":
        this.#heard();
        return;
      case "log":
        this.#owner.onLog(message[1], { own: message[2], fields: message[3], message: message[4] });
        return;
      default:
    }
  }

  #store(number: number, state: string, meta: unknown): void {
    void this.#job?.updateState(state, meta).then(() => this.#link.send(write(["stored", number])));
  }

  #end(outcome: Outcome, memoryKib: number | null): void {
    const job = this.#job;
    if (job === null) return;
    this.#job = null;
    this.done += 1;
    // One that is being killed tells of its last job, and dies all the same.
    if (this.#state === "busy") {
      this.#become("idle");
      this.#heard();
      this.#owner.onEnd(this, memoryKib);
    }
    job.end(outcome);
  }

  #onExit(exit: Exit): void {
    if (this.#state === "dead") return;
    this.#become("dead");
    const job = this.#job;
    this.#job = null;
    this.#owner.onExit(this, exit, job);
  }
}
