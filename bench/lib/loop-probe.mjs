/**
 * How long the event loop of this thread stood still at most: by the clock, and in CPU time of the thread, which a busy machine does
 * not lengthen (Linux; elsewhere the clock's).
 */
import { readFileSync } from "node:fs";

function cpuMs() {
  try {
    return (
      Number(readFileSync(`/proc/${process.pid}/task/${process.pid}/schedstat`, "latin1").split(" ")[0]) / 1e6
    );
  } catch {
    return performance.now();
  }
}

export class LoopProbe {
  #timer = null;
  #last = { wall: 0, cpu: 0 };
  #most = { wall: 0, cpu: 0 };

  start() {
    this.#last = { wall: performance.now(), cpu: cpuMs() };
    this.#most = { wall: 0, cpu: 0 };
    this.#timer ??= setInterval(() => this.#look(), 1);
    this.#timer.unref();
  }

  #look() {
    const now = { wall: performance.now(), cpu: cpuMs() };
    this.#most = {
      wall: Math.max(this.#most.wall, now.wall - this.#last.wall - 1),
      cpu: Math.max(this.#most.cpu, now.cpu - this.#last.cpu),
    };
    this.#last = now;
  }

  /** Since the start, ms. */
  stop() {
    this.#look();
    clearInterval(this.#timer);
    this.#timer = null;
    return this.#most;
  }
}
