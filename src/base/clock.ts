/** Time behind one interface, so that tests move it. The only file that reads the system's clocks. */

/** A timer that was set; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** Wall clock for data, monotonic clock for durations, timers. */
export interface Clock {
  /** Wall clock, ms since the epoch. For data only: it may jump. */
  now(): number;
  /** Monotonic, ms, fractional. For durations and deadlines. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs`. `unref`: does not keep the process alive. */
  setTimer(delayMs: number, callback: () => void, options?: { readonly unref?: boolean }): Timer;
}

/** The real thing. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs, callback, options) {
    const handle = setTimeout(callback, Math.max(0, delayMs));
    if (options?.unref) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Seconds of the host's monotonic clock, as Python's `time.monotonic()`: the same for every process of this host. */
export function hostUptimeSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}
