import { zoneOffsetMs } from "../../src/base/time-zone.ts";

const STEP_MS = 5 * 24 * 3_600_000;

/** Every change of a zone's offset from one instant to another: the first ms after each. Changes lie more than five days apart. */
export function zoneChanges(zone: string, from: number, to: number): number[] {
  const found: number[] = [];
  for (let at = from; at < to; at += STEP_MS) {
    let [low, high] = [at, at + STEP_MS];
    if (zoneOffsetMs(low, zone) === zoneOffsetMs(high, zone)) continue;
    while (high - low > 1000) {
      const middle = Math.floor((low + high) / 2000) * 1000;
      if (zoneOffsetMs(middle, zone) === zoneOffsetMs(low, zone)) low = middle;
      else high = middle;
    }
    found.push(high);
  }
  return found;
}
