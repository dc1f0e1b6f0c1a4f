/**
 * Notices that a task holds up the event loop, and says which one and where. A function in this process cannot be stopped
 * from outside; what can be done is to tell. Costs a thread while there are tasks, a timer that fires once a second, and nothing for each task.
 *
 * | state   | work comes          | nothing runs for `REST_MS`      | stop       |
 * |---------|---------------------|---------------------------------|------------|
 * | resting | -> watching         |                                 | -> stopped |
 * | watching| (noted)             | -> resting: the thread ends     | -> stopped |
 * | stopped |                     |                                 |            |
 *
 * The thread (`loop-watch-thread.ts`) sees that the loop makes no progress, halts it through the inspector, reads the stack,
 * and lets {@link LoopWatchOptions.onBlocked} run right there, in the context of what holds it up.
 */
import { url } from "node:inspector";
import { Worker } from "node:worker_threads";

export interface LoopWatchOptions {
  /** Nothing runs. */
  idle(): boolean;
  /** The loop is held up. Called on top of the function that does it: must be synchronous, and may throw. */
  onBlocked(blocked: { readonly ms: number; readonly stack: string }): void;
  /** It goes on, after so long. */
  onOver(ms: number): void;
}

/** What the thread is started with. */
export interface LoopWatchData {
  /** Counts the turns of the timer. */
  readonly beats: Int32Array;
  readonly beatMs: number;
  readonly blockedMs: number;
}

/** Where the thread finds what it has to call. */
export const HOOK = "petiole.loop-watch";

const BEAT_MS = 1000;
/** A loop without progress for so long is told of. ms. */
const BLOCKED_MS = 5000;
/** The thread (about 8 MB) is given back after so long without work. ms. */
const REST_MS = 10_000;

export class LoopWatch {
  readonly #options: LoopWatchOptions;
  readonly #beats = new Int32Array(new SharedArrayBuffer(4));
  #thread: Worker | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lastMs = 0;
  #workMs = 0;
  /** Work has come since the last turn of the timer. Written by `start`. */
  #used = false;
  #stopped: boolean;

  constructor(options: LoopWatchOptions) {
    this.#options = options;
    // Under a debugger everything stands still now and then. Node 20 cannot start a thread from TypeScript.
    this.#stopped = url() !== undefined || import.meta.url.endsWith(".ts");
  }

  /** Work is about to begin. The thread comes up by itself, also when the work never lets the loop go on. */
  start(): void {
    this.#used = true;
    if (this.#thread !== null || this.#stopped) return;
    const options = this.#options;
    const hooks = globalThis as { [name: symbol]: unknown };
    hooks[Symbol.for(HOOK)] = (ms: number, stack: string): void => options.onBlocked({ ms, stack });
    this.#lastMs = performance.now();
    this.#timer = setInterval(() => this.#beat(), BEAT_MS).unref();
    const data: LoopWatchData = { beats: this.#beats, beatMs: BEAT_MS, blockedMs: BLOCKED_MS };
    const thread = new Worker(new URL("./loop-watch-thread.js", import.meta.url), {
      name: "petiole-loop-watch",
      workerData: data,
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    });
    thread.on("error", () => {});
    thread.unref();
    this.#thread = thread;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#rest();
  }

  #beat(): void {
    Atomics.add(this.#beats, 0, 1);
    const nowMs = performance.now();
    const pauseMs = nowMs - this.#lastMs - BEAT_MS;
    this.#lastMs = nowMs;
    if (pauseMs > BLOCKED_MS) this.#options.onOver(pauseMs);
    if (this.#used || !this.#options.idle()) this.#workMs = nowMs;
    this.#used = false;
    if (nowMs - this.#workMs >= REST_MS) void this.#rest();
  }

  async #rest(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    delete (globalThis as { [name: symbol]: unknown })[Symbol.for(HOOK)];
    const thread = this.#thread;
    this.#thread = null;
    await thread?.terminate();
  }
}
