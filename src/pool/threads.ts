/**
 * Threads of this process, each with an event loop and a copy of the app of its own. Python: `celery.concurrency.thread`, whose
 * threads cannot be stopped; these can. A thread that fails or runs out of memory ends alone; a crash of native code does not.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { ChildLink, Exit } from "./child.ts";
import { ChildPool, type ChildPoolOptions } from "./child-pool.ts";

export type ThreadPoolOptions = Omit<ChildPoolOptions, "name" | "open" | "startsAtOnce"> & {
  /** The module that a thread runs: it serves `child-loop.ts` on its port. */
  readonly entry: URL;
};

/** V8 needs some room to be of any use. */
const LEAST_MB = 16;

/** `maxMemoryPerChildKib` is the limit of a thread's heap: one that goes beyond it ends with its task. */
export function threadPool({ entry, maxMemoryPerChildKib, ...options }: ThreadPoolOptions): ChildPool {
  const heapMb =
    maxMemoryPerChildKib === null ? null : Math.max(LEAST_MB, Math.floor(maxMemoryPerChildKib / 1024));
  const open = (): ChildLink => new ThreadLink(entry, heapMb);
  return new ChildPool({
    ...options,
    maxMemoryPerChildKib: null,
    name: "threads",
    open,
    startsAtOnce: 2 * availableParallelism(),
  });
}

class ThreadLink implements ChildLink {
  readonly pid: number = process.pid;
  onMessage: ((text: unknown) => void) | null = null;
  onExit: ((exit: Exit) => void) | null = null;
  readonly #thread: Worker;
  #error: string | null = null;

  constructor(entry: URL, heapMb: number | null) {
    const limits = heapMb === null ? {} : { resourceLimits: { maxOldGenerationSizeMb: heapMb } };
    this.#thread = new Worker(entry, { name: "petiole-pool", ...limits });
    this.#thread.on("message", (text) => this.onMessage?.(text));
    this.#thread.on("messageerror", () => {});
    this.#thread.once("error", (error: unknown) => {
      this.#error = error instanceof Error ? error.message : String(error);
    });
    this.#thread.once("exit", (code) => this.onExit?.({ code, signal: null, error: this.#error }));
  }

  send(text: string): void {
    this.#thread.postMessage(text, []);
  }

  /** A thread has no signals: whichever it is, it ends. */
  kill(): void {
    void this.#thread.terminate();
  }
}
