/** A clock that stands still until a test moves it. Timers run in the order of their times, inside `advance`. */
import type { Clock, Timer } from "../../src/base/clock.ts";

interface Pending {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class VirtualClock implements Clock {
  /** Wall clock, ms since the epoch. */
  #nowMs: number;
  #monotonicMs = 0;
  #order = 0;
  readonly #pending = new Set<Pending>();
  /** Timers set so far: shows a busy loop. */
  timersSet = 0;

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    this.timersSet += 1;
    const pending = { atMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order, callback };
    this.#order += 1;
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** Timers that are waiting. */
  get timers(): number {
    return this.#pending.size;
  }

  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms;
    for (;;) {
      let next: Pending | null = null;
      for (const one of this.#pending) {
        if (one.atMs > endMs) continue;
        if (next === null || one.atMs < next.atMs || (one.atMs === next.atMs && one.order < next.order)) {
          next = one;
        }
      }
      if (next === null) break;
      this.#pending.delete(next);
      this.#step(next.atMs - this.#monotonicMs);
      next.callback();
    }
    this.#step(endMs - this.#monotonicMs);
  }

  /** Sets the wall clock forward, or back; timers do not notice. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }

  #step(ms: number): void {
    this.#nowMs += ms;
    this.#monotonicMs += ms;
  }
}
