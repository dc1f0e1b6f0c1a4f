/**
 * Crontabs where clocks change: no run is skipped, doubled or stuck. What is to run is counted minute by minute, from the offsets alone.
 * `PETIOLE_ZONES=all` (make schedules) takes every zone of the database instead of some.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { zoneOffsetMs } from "../../../src/base/time-zone.ts";
import { crontab } from "../../../src/schedules/crontab.ts";
import { dueRun, nextRun } from "../../../src/schedules/due.ts";
import type { CrontabSchedule, DstFold } from "../../../src/schedules/schedule.ts";
import { seed } from "../../support/seed.ts";
import { zoneChanges } from "../../support/zone-changes.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const FROM = Date.UTC(2020, 0, 1);
const TO = Date.UTC(2036, 0, 1);
const all = process.env["PETIOLE_ZONES"] === "all";
const zones = Intl.supportedValuesOf("timeZone").filter((_, at) => all || at % 16 === seed % 16);

interface Change {
  readonly zone: string;
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

const changes: readonly Change[] = zones.flatMap((zone) =>
  zoneChanges(zone, FROM, TO).map((at) => ({
    zone,
    at,
    before: zoneOffsetMs(at - 1, zone),
    after: zoneOffsetMs(at, zone),
  })),
);

interface Minutes {
  readonly minute: readonly number[];
  readonly hour: readonly number[];
}

/** Every run within some hours around a change. */
function expected({ at, before, after }: Change, { minute, hour }: Minutes, fold: DstFold): number[] {
  const found = new Set<number>();
  const from = at - 5 * HOUR_MS;
  const to = at + 5 * HOUR_MS;
  const matches = (wall: number): boolean =>
    minute.includes(new Date(wall).getUTCMinutes()) && hour.includes(new Date(wall).getUTCHours());
  for (let ms = from; ms < to; ms += MINUTE_MS) {
    const wall = ms + (ms < at ? before : after);
    const again = ms >= at && wall < at + before;
    if (matches(wall) && !(again && fold === "celery")) found.add(ms);
  }
  for (let wall = at + before; wall < at + after; wall += MINUTE_MS) {
    if (matches(wall)) found.add(wall - before);
  }
  return [...found].sort((a, b) => a - b);
}

function runs(of: CrontabSchedule, { zone, at }: Change): number[] {
  const found: number[] = [];
  for (let last = at - 5 * HOUR_MS - 1; ; ) {
    const next = nextRun(of, last, zone);
    if (next >= at + 5 * HOUR_MS) return found;
    if (next <= last) throw new Error(`stuck at ${new Date(last).toISOString()}`);
    found.push(next);
    last = next;
  }
}

const values = (max: number): fc.Arbitrary<number[]> =>
  fc.oneof(
    fc.uniqueArray(fc.integer({ min: 0, max }), { minLength: 1, maxLength: 6 }),
    fc
      .constantFrom(1, 2, 7, 15, 30)
      .map((step) => Array.from({ length: Math.ceil((max + 1) / step) }, (_, at) => at * step)),
  );

test(`${changes.length} changes of the clocks in ${zones.length} zones, 2020 to 2035`, () => {
  expect(changes.length).toBeGreaterThan(10);
  const drawn = fc.sample(
    fc.tuple(values(59), values(23), fc.constantFrom("celery" as const, "both" as const)),
    { numRuns: changes.length, seed },
  );
  const wrong: unknown[] = [];
  for (const [index, change] of changes.entries()) {
    const [minute, hours, dstFold] = drawn[index] as (typeof drawn)[number];
    // Hours around the change, so that most are of interest.
    const local = new Date(change.at + change.before).getUTCHours();
    const hour = [...new Set([...hours, local, (local + 1) % 24])];
    const of = crontab({ minute, hour, dstFold });
    const should = expected(change, { minute, hour }, dstFold);
    const has = runs(of, change);
    if (JSON.stringify(has) !== JSON.stringify(should))
      wrong.push({ ...change, minute, hour, dstFold, has, should });
    // And the latest of those that were missed is the last of them.
    const nowMs = change.at + 5 * HOUR_MS - 1;
    const latest = dueRun(of, { lastRunAtMs: change.at - 5 * HOUR_MS - 1, nowMs, zone: change.zone });
    if (latest !== (should.at(-1) ?? null)) wrong.push({ ...change, minute, hour, dstFold, latest, should });
  }
  expect(wrong.slice(0, 3)).toEqual([]);
});
