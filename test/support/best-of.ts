/** For promises about time, on a machine that has other things to do. */
const TRIES = 5;

/** Measures until one try takes less than `limitMs`, five times at most: what is late each time is late by itself. */
export async function bestOf(limitMs: number, measure: () => Promise<number>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let left = TRIES; left > 0 && best >= limitMs; left -= 1) best = Math.min(best, await measure());
  return best;
}

/** The one in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Milliseconds of processor time: what `run` costs, however busy the machine is. */
export function cpuMs(run: () => void): number {
  const from = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}
