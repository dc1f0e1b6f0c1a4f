/**
 * Child processes: a crash, a leak or an endless loop of a task ends its process and nothing else. Python: `celery.concurrency.prefork`.
 *
 * A child has a session of its own, so that a signal to the worker's process group (Ctrl-C) does not reach it, no standard
 * input, and the worker's output. It ends when its end of the worker's pipes closes: however the worker died.
 */
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import type { ChildLink, Exit } from "./child.ts";
import { ChildPool, type ChildPoolOptions } from "./child-pool.ts";
import { PARENT_FD } from "./orphan.ts";

export type PreforkPoolOptions = Omit<ChildPoolOptions, "name" | "open" | "startsAtOnce"> & {
  /** The module that a child runs: it serves `child-loop.ts` on its channel. */
  readonly entry: URL;
};

export function preforkPool({ entry, ...options }: PreforkPoolOptions): ChildPool {
  const open = (): ChildLink => new ProcessLink(entry);
  return new ChildPool({ ...options, name: "prefork", open, startsAtOnce: 2 * availableParallelism() });
}

/** After a child's end its last messages are waited for; a process of its own may still hold the channel. ms. */
const DRAIN_MS = 500;

class ProcessLink implements ChildLink {
  readonly pid: number;
  onMessage: ((text: unknown) => void) | null = null;
  onExit: ((exit: Exit) => void) | null = null;
  readonly #process: ChildProcess;
  #exit: Exit | null = null;

  constructor(entry: URL) {
    const child = fork(entry, [], {
      detached: true,
      stdio: ["ignore", "inherit", "inherit", "ipc", "pipe"],
      // The parent's debugger has its port already.
      execArgv: process.execArgv.filter((one) => !one.startsWith("--inspect")),
    });
    this.#process = child;
    this.pid = child.pid ?? 0;
    child.on("message", (text) => this.onMessage?.(text));
    child.once("error", (error) => {
      if (child.pid === undefined) this.#gone({ code: null, signal: null, error: error.message });
    });
    child.once("exit", (code, signal) => this.#onExit({ code, signal, error: null }));
    child.stdio[PARENT_FD]?.on("error", () => {});
  }

  send(text: string): void {
    // The error of a channel that has closed comes with the exit.
    this.#process.send(text, () => {});
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  #onExit(exit: Exit): void {
    if (!this.#process.connected) {
      this.#gone(exit);
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      this.#gone(exit);
    };
    const timer = setTimeout(end, DRAIN_MS);
    this.#process.once("disconnect", end);
  }

  #gone(exit: Exit): void {
    if (this.#exit !== null) return;
    this.#exit = exit;
    if (this.#process.connected) this.#process.disconnect();
    this.#process.stdio[PARENT_FD]?.destroy();
    this.onExit?.(exit);
  }
}
