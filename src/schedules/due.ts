/**
 * When a schedule runs. Pure: the clock and the zone are arguments. Instants are ms since the epoch.
 *
 * - A crontab's fields are read on the clocks of its zone; what becomes of a time that is skipped, or comes twice: `crontab-runs.ts`.
 * - An interval is real time. Celery adds it to the clocks of its zone, and is an hour early or late at a change.
 * - A run that follows a late one keeps to its grid.
 */
import { instantOf, wallOf } from "../base/time-zone.ts";
import { parseIso } from "../protocol/iso8601.ts";
import { crontabValues } from "./crontab.ts";
import { latestOfCrontab, nextOfCrontab, type ZonedCrontab } from "./crontab-runs.ts";
import type { CronSchedule, CrontabSchedule, IntervalSchedule, Schedule } from "./schedule.ts";
import { latestOfSolar, nextOfSolar } from "./solar.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** What a schedule is asked about. */
export interface Moment {
  /** Of the run before, or of the entry's beginning. */
  readonly lastRunAtMs: number;
  readonly nowMs: number;
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
}

/** The run after an instant; Infinity: there is none. */
export function nextRun(of: Schedule, afterMs: number, zone: string): number {
  switch (of.type) {
    case "interval":
      return nextOfInterval(of, afterMs, zone);
    case "clocked": {
      const atMs = parseIso(of.clockedTime);
      return atMs > afterMs ? atMs : Infinity;
    }
    case "solar":
      return nextOfSolar(of, afterMs);
    case "crontab":
    case "cron":
      return nextOfCrontab(zoned(of, zone), afterMs);
  }
}

/** The latest run that is due; null: none is. */
export function dueRun(of: Schedule, moment: Moment): number | null {
  const { lastRunAtMs, nowMs, zone } = moment;
  const next = nextRun(of, lastRunAtMs, zone);
  if (next > nowMs) return null;
  switch (of.type) {
    case "interval":
      return latestOfInterval(of, next, moment);
    case "clocked":
      return next;
    case "solar":
      return latestOfSolar(of, lastRunAtMs, nowMs);
    case "crontab":
    case "cron":
      return latestOfCrontab(zoned(of, zone), lastRunAtMs, nowMs);
  }
}

function zoned(of: CrontabSchedule | CronSchedule, zone: string): ZonedCrontab {
  return { fields: crontabValues(of), zone: of.timezone ?? zone, both: of.dstFold === "both" };
}

/** ms of the unit that a relative interval is rounded down to. */
function resolutionMs(every: number): number {
  if (every >= 86_400) return DAY_MS;
  if (every >= 3600) return HOUR_MS;
  return every >= 60 ? MINUTE_MS : 1000;
}

function nextOfInterval({ every, relative }: IntervalSchedule, afterMs: number, zone: string): number {
  const next = afterMs + every * 1000;
  if (!relative) return next;
  const unit = resolutionMs(every);
  // A day is one of the calendar, whatever its length.
  if (unit === DAY_MS) return instantOf(floor(wallOf(afterMs, zone) + every * 1000, DAY_MS), zone);
  const wall = wallOf(next, zone);
  const rounded = next - (wall - floor(wall, unit));
  return rounded > afterMs ? rounded : next;
}

function latestOfInterval(of: IntervalSchedule, first: number, { nowMs, zone }: Moment): number {
  const everyMs = of.every * 1000;
  if (!of.relative) return first + floor(nowMs - first, everyMs);
  const unit = resolutionMs(of.every);
  const stepMs = Math.max(unit, floor(everyMs, unit));
  if (unit === DAY_MS) {
    const wall = wallOf(first, zone);
    return instantOf(wall + floor(wallOf(nowMs, zone) - wall, stepMs), zone);
  }
  const about = first + floor(nowMs - first, stepMs);
  const wall = wallOf(about, zone);
  const rounded = about - (wall - floor(wall, unit));
  return rounded >= first ? rounded : first;
}

function floor(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
