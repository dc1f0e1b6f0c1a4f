/**
 * Notices that a task holds up the event loop, and says which one and where. A function in this process cannot be stopped
 * from outside; what can be done is to tell. Costs a thread, a timer that fires once a second, and nothing for each task.
 *
 * The thread (`loop-watch-thread.ts`) sees that the loop makes no progress, halts it through the inspector, reads the stack,
 * and lets {@link LoopWatchOptions.onBlocked} run right there, in the context of what holds it up.
 */
import { url } from "node:inspector";
import { Worker } from "node:worker_threads";

export interface LoopWatchOptions {
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

/** Stops watching. */
export type StopWatching = () => Promise<void>;

export function watchLoop(options: LoopWatchOptions): StopWatching {
  const here = import.meta.url;
  // Under a debugger everything stands still now and then. Node 20 cannot start a thread from TypeScript.
  if (url() !== undefined || here.endsWith(".ts")) return () => Promise.resolve();
  const beats = new Int32Array(new SharedArrayBuffer(4));
  const data: LoopWatchData = { beats, beatMs: BEAT_MS, blockedMs: BLOCKED_MS };
  const hooks = globalThis as { [name: symbol]: unknown };
  hooks[Symbol.for(HOOK)] = (ms: number, stack: string): void => options.onBlocked({ ms, stack });
  let lastMs = performance.now();
  const timer = setInterval(() => {
    Atomics.add(beats, 0, 1);
    const nowMs = performance.now();
    const pauseMs = nowMs - lastMs - BEAT_MS;
    lastMs = nowMs;
    if (pauseMs > BLOCKED_MS) options.onOver(pauseMs);
  }, BEAT_MS);
  timer.unref();
  const thread = new Worker(new URL("./loop-watch-thread.js", here), {
    name: "petiole-loop-watch",
    workerData: data,
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  thread.on("error", () => {});
  thread.unref();
  return async () => {
    clearInterval(timer);
    delete hooks[Symbol.for(HOOK)];
    await thread.terminate();
  };
}
