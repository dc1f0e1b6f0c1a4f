/** Polling with a deadline: for what another process does and no test signal can tell. */
import { setTimeout as pause } from "node:timers/promises";

export interface EventuallyOptions {
  /** Milliseconds until it gives up. Default 20 000. */
  readonly timeoutMs?: number;
  /** Milliseconds between two looks. Default 20. */
  readonly intervalMs?: number;
}

/**
 * Calls `look` until it returns something other than `undefined` or `false` without throwing, and returns that.
 * At the deadline it throws an error that has `what`, and the last failure as its cause.
 */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const { timeoutMs = 20_000, intervalMs = 20 } = options;
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await look();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      const reason = last instanceof Error ? `: ${last.message}` : "";
      throw new Error(`within ${timeoutMs} ms never so: ${what}${reason}`, { cause: last });
    }
    await pause(intervalMs);
  }
}
