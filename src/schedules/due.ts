/**
 * When a schedule runs. Pure: the clock and the zone are arguments. Instants are ms since the epoch.
 *
 * - A crontab's fields are read on the clocks of its zone. A wall time that is skipped runs as long after the change as it would
 *   have been before it (02:30 at 03:30); one that comes twice runs the first time only. Both as Celery, but for one case: Celery
 *   takes a run in the repeated hour for the first one, and runs without a pause until the hour is over.
 * - An interval is real time. Celery adds it to the clocks of its zone, and is an hour early or late at a change.
 * - A run that follows a late one keeps to its grid; runs that were missed are one run, the latest of them.
 */
import { instantOf, wallOf } from "../base/time-zone.ts";
import {
  type CrontabSchedule,
  type CrontabValues,
  crontabValues,
  type IntervalSchedule,
  type Schedule,
} from "./schedule.ts";

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

/** ms until the run after `lastRunAtMs`; 0 or less: it is due. Python: `remaining_estimate`. */
export function remainingEstimate(of: Schedule, { lastRunAtMs, nowMs, zone }: Moment): number {
  if (of.type === "interval") return nextOfInterval(of, lastRunAtMs, zone) - nowMs;
  const own = of.timezone ?? zone;
  // Celery looks at the minutes of the last run's hour only while its day lasts.
  const sameDay = dayOf(wallOf(lastRunAtMs, own)) === dayOf(wallOf(nowMs, own));
  return nextOfCrontab(of, { afterMs: lastRunAtMs, zone: own, sameDay }) - nowMs;
}

/** The run after an instant. */
export function nextRun(of: Schedule, afterMs: number, zone: string): number {
  return of.type === "interval"
    ? nextOfInterval(of, afterMs, zone)
    : nextOfCrontab(of, { afterMs, zone: of.timezone ?? zone, sameDay: true });
}

/** The latest run that is due; null: none is. */
export function dueRun(of: Schedule, moment: Moment): number | null {
  const { lastRunAtMs, nowMs, zone } = moment;
  if (remainingEstimate(of, moment) > 0) return null;
  return of.type === "interval"
    ? latestOfInterval(of, moment)
    : latestOfCrontab(of, { lastRunAtMs, nowMs, zone: of.timezone ?? zone });
}

// ---- interval ----

/** ms of the unit that a relative interval is rounded down to. */
function resolutionMs(every: number): number {
  if (every >= 86_400) return DAY_MS;
  if (every >= 3600) return HOUR_MS;
  return every >= 60 ? MINUTE_MS : 1000;
}

function nextOfInterval({ every, relative }: IntervalSchedule, afterMs: number, zone: string): number {
  const next = afterMs + every * 1000;
  if (!relative) return next;
  const rounded = roundDown(next, resolutionMs(every), zone);
  return rounded > afterMs ? rounded : next;
}

function roundDown(ms: number, unit: number, zone: string): number {
  const wall = wallOf(ms, zone);
  const whole = wall - (((wall % unit) + unit) % unit);
  return unit === DAY_MS ? instantOf(whole, zone) : ms - (wall - whole);
}

function latestOfInterval(of: IntervalSchedule, { lastRunAtMs, nowMs, zone }: Moment): number {
  const first = nextOfInterval(of, lastRunAtMs, zone);
  const everyMs = of.every * 1000;
  if (!of.relative) return first + Math.floor((nowMs - first) / everyMs) * everyMs;
  const unit = resolutionMs(of.every);
  const stepMs = Math.max(unit, Math.floor(everyMs / unit) * unit);
  const about = first + Math.floor((nowMs - first) / stepMs) * stepMs;
  const rounded = roundDown(about, unit, zone);
  return rounded >= first ? rounded : first;
}

// ---- crontab ----

interface After {
  readonly afterMs: number;
  readonly zone: string;
  readonly sameDay: boolean;
}

function nextOfCrontab(of: CrontabSchedule, { afterMs, zone, sameDay }: After): number {
  const fields = crontabValues(of);
  let wall = nextWall(fields, wallOf(afterMs, zone), sameDay);
  let next = instantOf(wall, zone);
  while (next <= afterMs) {
    wall = nextWall(fields, wall, true);
    next = instantOf(wall, zone);
  }
  return next;
}

/** Days are jumped over: at most those of the last one with a run are gone through. */
function latestOfCrontab(of: CrontabSchedule, { lastRunAtMs, nowMs, zone }: Moment): number {
  const fields = crontabValues(of);
  let at = lastRunAtMs;
  for (let day = dayOf(wallOf(nowMs, zone)); ; day = previousDay(fields, day)) {
    const start = instantOf(day * DAY_MS, zone) - 1;
    if (start <= lastRunAtMs) break;
    if (nextOfCrontab(of, { afterMs: start, zone, sameDay: true }) <= nowMs) {
      at = start;
      break;
    }
  }
  for (;;) {
    const next = nextOfCrontab(of, { afterMs: at, zone, sameDay: true });
    if (next > nowMs) return at;
    at = next;
  }
}

function dayOf(wall: number): number {
  return Math.floor(wall / DAY_MS);
}

/** The first wall time after another that matches, by the clocks alone. */
function nextWall(fields: CrontabValues, wall: number, sameDay: boolean): number {
  const { minute: minutes, hour: hours } = fields;
  const date = new Date(wall);
  const minute = date.getUTCMinutes();
  const hour = date.getUTCHours();
  const today = dayOf(wall) * DAY_MS;
  if (dayMatches(fields, date)) {
    if (sameDay && hours.includes(hour)) {
      const later = minutes.find((one) => one > minute);
      if (later !== undefined) return today + hour * HOUR_MS + later * MINUTE_MS;
    }
    const later = hours.find((one) => one > hour);
    if (later !== undefined) return today + later * HOUR_MS + (minutes[0] as number) * MINUTE_MS;
  }
  return nextDay(fields, date) + (hours[0] as number) * HOUR_MS + (minutes[0] as number) * MINUTE_MS;
}

function dayMatches(fields: CrontabValues, date: Date): boolean {
  return (
    fields.monthOfYear.includes(date.getUTCMonth() + 1) &&
    fields.dayOfMonth.includes(date.getUTCDate()) &&
    fields.dayOfWeek.includes(date.getUTCDay())
  );
}

/** The first day after a date that matches, as its wall time 0:00. There is one within 40 years: `crontab` has looked. */
function nextDay(fields: CrontabValues, after: Date): number {
  let year = after.getUTCFullYear();
  let month = after.getUTCMonth();
  let day = after.getUTCDate();
  for (;;) {
    if (fields.monthOfYear.includes(month + 1)) {
      for (const one of fields.dayOfMonth) {
        if (one <= day) continue;
        const date = new Date(Date.UTC(year, month, one));
        if (date.getUTCMonth() !== month) break;
        if (fields.dayOfWeek.includes(date.getUTCDay())) return date.getTime();
      }
    }
    day = 0;
    month += 1;
    if (month === 12) {
      month = 0;
      year += 1;
    }
  }
}

/** The day before, in days since the epoch, that matches. */
function previousDay(fields: CrontabValues, day: number): number {
  let before = day - 1;
  while (!dayMatches(fields, new Date(before * DAY_MS))) before -= 1;
  return before;
}
