/** The thread of `loop-watch.ts`. Has to work while the main thread does not. */
import { writeSync } from "node:fs";
import { type Debugger, Session } from "node:inspector";
import { workerData } from "node:worker_threads";
import { HOOK, type LoopWatchData } from "./loop-watch.ts";

/** Code that V8 cannot halt (a system call, a native module) does not answer. ms. */
const HALT_MS = 3000;
const MAX_FRAMES = 30;

const { beats, beatMs, blockedMs } = workerData as LoopWatchData;
let seen = -1;
let sinceMs = performance.now();
let told = false;

setInterval(() => {
  const now = Atomics.load(beats, 0);
  if (now !== seen) {
    seen = now;
    sinceMs = performance.now();
    told = false;
  } else if (!told && performance.now() - sinceMs > blockedMs) {
    told = true;
    report(now);
  }
}, beatMs);

function report(beat: number): void {
  const over = (): boolean => Atomics.load(beats, 0) !== beat;
  const sayPlainly = setTimeout(() => {
    if (!over()) plain("a task or native code", "");
  }, HALT_MS);
  let session: Session;
  try {
    session = new Session();
    session.connectToMainThread();
  } catch {
    return;
  }
  const end = (): void => {
    clearTimeout(sayPlainly);
    session.post("Debugger.resume", () => session.post("Debugger.disable", () => session.disconnect()));
  };
  /** Of each script: a frame of a module has no URL of its own. */
  const urls = new Map<string, string>();
  session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
  session.on("Debugger.paused", ({ params }) => {
    const [top] = params.callFrames;
    if (over() || top === undefined) return end();
    const stack = stackOf(params.callFrames, urls);
    const ms = Math.round(performance.now() - sinceMs);
    const expression = `globalThis[Symbol.for(${JSON.stringify(HOOK)})](${ms}, ${JSON.stringify(stack)})`;
    session.post(
      "Debugger.evaluateOnCallFrame",
      { callFrameId: top.callFrameId, expression, silent: true },
      (error, result) => {
        if (error !== null || result.exceptionDetails !== undefined) plain("a task", `\n${stack}`);
        end();
      },
    );
  });
  session.post("Debugger.enable", () => session.post("Debugger.pause"));
}

/** From the function that runs up to where the worker called the task. */
function stackOf(frames: readonly Debugger.CallFrame[], urls: ReadonlyMap<string, string>): string {
  const own = frames.findIndex(({ functionName }) => functionName === "callTaskFunction");
  return frames
    .slice(0, own > 0 ? Math.min(own, MAX_FRAMES) : MAX_FRAMES)
    .map((frame) => lineOf(frame, urls.get(frame.location.scriptId) ?? frame.url))
    .join("\n");
}

function lineOf({ functionName, location }: Debugger.CallFrame, url: string): string {
  const place = `${url}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
  return functionName === "" ? `    at ${place}` : `    at ${functionName} (${place})`;
}

/** Without the help of the main thread and its logger. */
function plain(what: string, rest: string): void {
  const seconds = ((performance.now() - sinceMs) / 1000).toFixed(1);
  writeSync(2, `petiole error: ${what} has held up the event loop for ${seconds} s${rest}\n`);
}
