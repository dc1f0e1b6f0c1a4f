/** Full-jitter back-off: the first attempt at once, then random(0, min(cap, base * 2^n)). */
export interface BackoffOptions {
  readonly baseMs: number;
  readonly capMs: number;
  /** Returns [0, 1). */
  readonly random?: () => number;
}

/** Milliseconds to wait before attempt `attempt` (0 is the first retry, which does not wait). */
export function fullJitterMs(attempt: number, options: BackoffOptions): number {
  if (attempt <= 0) return 0;
  const ceiling = Math.min(options.capMs, options.baseMs * 2 ** Math.min(attempt, 30));
  return (options.random ?? Math.random)() * ceiling;
}
