/** Several waits as one: a timeout and a signal for all of them, and none is left when it ends. */
import { setMaxListeners } from "node:events";
import type { Clock, Timer } from "../base/clock.ts";
import { TimeoutError } from "../errors.ts";
import type { GetOptions } from "./result-types.ts";

export class SharedWait<O extends GetOptions> {
  /** For each of the waits. */
  readonly options: O;
  readonly #abort = new AbortController();
  readonly #deadline: Timer | null;

  constructor(options: O, clock: Clock) {
    const { timeout, signal } = options;
    const own = this.#abort.signal;
    const both = signal ? AbortSignal.any([signal, own]) : own;
    // One listener for each wait: not a leak.
    setMaxListeners(0, both);
    this.options = { ...options, timeout: undefined, signal: both };
    this.#deadline =
      timeout === undefined ? null : clock.setTimer(timeout * 1000, () => this.#abort.abort(late(timeout)));
  }

  end(): void {
    this.#deadline?.cancel();
    this.#abort.abort();
  }
}

function late(timeoutSeconds: number): TimeoutError {
  return new TimeoutError(
    `not all results were ready after ${timeoutSeconds} s; their tasks go on. Give a longer timeout, or see whether a worker runs`,
  );
}
