/** Requests that are kept here until their ETA, where the broker cannot. */
import type { Clock, Timer } from "../base/clock.ts";
import type { Request } from "./request.ts";

/** Node's timers take 2^31 - 1 ms at most. */
const LONGEST_TIMER_MS = 2 ** 30;

export class HeldRequests {
  readonly #held = new Map<Request, { readonly etaMs: number; readonly timer: Timer }>();
  readonly #clock: Clock;
  readonly #onDue: (request: Request) => void;

  constructor(clock: Clock, onDue: (request: Request) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#held.size;
  }

  list(): readonly { readonly request: Request; readonly etaMs: number }[] {
    return [...this.#held].map(([request, { etaMs }]) => ({ request, etaMs }));
  }

  add(request: Request, etaMs: number): void {
    const clock = this.#clock;
    const waitMs = Math.min(Math.max(0, etaMs - clock.now()), LONGEST_TIMER_MS);
    const timer = clock.setTimer(waitMs, () => {
      if (clock.now() < etaMs) return this.add(request, etaMs);
      this.#held.delete(request);
      this.#onDue(request);
    });
    this.#held.set(request, { etaMs, timer });
  }

  /** Those that are not waited for any more. */
  drop(isDropped: (request: Request) => boolean): readonly Request[] {
    const dropped: Request[] = [];
    for (const [request, { timer }] of this.#held) {
      if (!isDropped(request)) continue;
      timer.cancel();
      this.#held.delete(request);
      dropped.push(request);
    }
    return dropped;
  }
}
