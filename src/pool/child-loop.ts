/**
 * The child's side of a pool of children: runs the jobs it is sent, one at a time, and tells how they ended.
 * Loads nothing by itself; `worker/child-main.ts` has the app.
 */
import type { Logger } from "../base/logger.ts";
import { errorFrom } from "../protocol/exceptions.ts";
import type { Execute, Job, JobPort, Outcome } from "../protocol/job.ts";
import { broken } from "./broken.ts";
import { JobAbort } from "./lazy-abort.ts";
import {
  jobOf,
  type LogLevel,
  readInChild,
  sendableFields,
  type ToParent,
  write,
  writeEnd,
} from "./messages.ts";

/** The way to the parent. */
export interface Channel {
  /** Leaves at once: what follows may block the process. Never throws. */
  send(text: string): void;
  onMessage(listener: (text: unknown) => void): void;
}

/** What a child makes of its first message. */
export interface ChildSetUp {
  readonly execute: Execute;
  readonly logger: Logger;
  /** Tell the memory in use after each job. */
  readonly reportMemory: boolean;
  /** The parent wants it to end. No job is running. */
  onStop(): Promise<void>;
}

/** Serves a parent until it says stop. Calls `setUp` with what came with `init`. */
export function serveJobs(channel: Channel, setUp: (init: unknown) => Promise<ChildSetUp>): void {
  const loop = new ChildLoop(channel, setUp);
  channel.onMessage((text) => loop.onMessage(text));
}

class ChildLoop {
  readonly #channel: Channel;
  readonly #setUp: (init: unknown) => Promise<ChildSetUp>;
  #ready: ChildSetUp | null = null;
  #abort: JobAbort | null = null;
  /** States that are being stored, by number. */
  readonly #storing = new Map<number, () => void>();
  #states = 0;

  constructor(channel: Channel, setUp: (init: unknown) => Promise<ChildSetUp>) {
    this.#channel = channel;
    this.#setUp = setUp;
  }

  onMessage(text: unknown): void {
    const message = readInChild(text);
    if (message === null) return;
    switch (message[0]) {
      case "init":
        void this.#init(message[1]);
        return;
      case "job":
        this.#run(jobOf(message));
        return;
      case "abort":
        this.#abort?.abort(errorFrom(message[1]));
        return;
      case "stored":
        this.#stored(message[1]);
        return;
      case "ping":
        this.#say(["pong"]);
        return;
      case "stop":
        void this.#ready?.onStop();
        return;
      default:
    }
  }

  #say(message: ToParent): void {
    this.#channel.send(write(message));
  }

  async #init(init: unknown): Promise<void> {
    try {
      this.#ready = await this.#setUp(init);
    } catch (error) {
      this.#say(["failed", error instanceof Error ? error.message : String(error)]);
      return;
    }
    this.#say(["ready"]);
  }

  #run(job: Job): void {
    if (this.#ready === null) return;
    const abort = new JobAbort();
    this.#abort = abort;
    let outcome: Promise<Outcome> | Outcome;
    try {
      outcome = this.#ready.execute(job, this.#portOf(job), abort);
    } catch (error) {
      outcome = broken(error);
    }
    if (!(outcome instanceof Promise)) this.#end(job, outcome);
    else
      outcome.then(
        (ended) => this.#end(job, ended),
        (error: unknown) => this.#end(job, broken(error)),
      );
  }

  #end({ task }: Job, outcome: Outcome): void {
    this.#abort = null;
    for (const resolve of this.#storing.values()) resolve();
    this.#storing.clear();
    const memoryKib = this.#ready?.reportMemory ? process.memoryUsage.rss() / 1024 : null;
    const dot = task.lastIndexOf(".");
    this.#channel.send(writeEnd(outcome, memoryKib, dot <= 0 ? task : task.slice(0, dot)));
  }

  #portOf({ id, task }: Job): JobPort {
    return {
      onStart: () => this.#say(["start"]),
      sendEvent: (type, fields) => this.#say(["event", type, fields]),
      keepLog: (line) => this.#say(["keep", line]),
      updateState: (state, meta) => {
        this.#states += 1;
        const number = this.#states;
        try {
          this.#say(["state", number, state, meta]);
        } catch (err) {
          this.#ready?.logger.error({ id, task, state, err }, "a state of a task could not be stored");
          return Promise.resolve();
        }
        return new Promise((resolve) => this.#storing.set(number, resolve));
      },
    };
  }

  #stored(number: number): void {
    this.#storing.get(number)?.();
    this.#storing.delete(number);
  }
}

/** A logger whose lines the parent writes, so that there is one log. `least`: the first level that it wants. */
export function channelLogger(channel: Channel, least: LogLevel, own: object | null = null): Logger {
  const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
  const wanted = levels.slice(levels.indexOf(least));
  const line =
    (level: LogLevel) =>
    (fields: object, message: string): void => {
      if (!wanted.includes(level)) return;
      channel.send(
        write(["log", level, own === null ? null : sendableFields(own), sendableFields(fields), message]),
      );
    };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: (fields) => channelLogger(channel, least, { ...own, ...fields }),
  };
}
