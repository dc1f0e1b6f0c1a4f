/**
 * When a crontab runs. Its runs are a set of instants: those of every wall time that matches, on the clocks of its zone.
 *
 * | a wall time    | runs                                                                        |
 * |----------------|-----------------------------------------------------------------------------|
 * | comes once     | then                                                                        |
 * | is skipped     | as long after the change as it would have been before it: 02:30 at 03:30     |
 * | comes twice    | the first time; with `dstFold: "both"` each time                            |
 *
 * Two wall times with one instant (02:30 and 03:30 in the example) are one run.
 */
import { instantOf, segmentAt, wallOf } from "../base/time-zone.ts";
import type { CrontabValues } from "./crontab.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** More than two clocks of the earth ever differ. */
const FAR_MS = 2 * DAY_MS;

/** A crontab on the clocks of a zone. */
export interface ZonedCrontab {
  readonly fields: CrontabValues;
  /** IANA name. */
  readonly zone: string;
  /** A wall time that comes twice runs twice. */
  readonly both: boolean;
}

/** The first run after an instant. There is one: `crontab` has looked. */
export function nextOfCrontab(of: ZonedCrontab, afterMs: number): number {
  const { fields, zone, both } = of;
  for (let from = Math.floor(afterMs) + 1; ; ) {
    const { startMs, endMs, offsetMs, beforeMs } = segmentAt(from, zone);
    const firstNew = !both && beforeMs > offsetMs ? Math.max(from, startMs + beforeMs - offsetMs) : from;
    const wall = nextWall(fields, firstNew + offsetMs - 1);
    let next = wall - offsetMs;
    if (beforeMs < offsetMs) {
      const skipped = nextWall(fields, from + beforeMs - 1);
      if (skipped < startMs + offsetMs) next = Math.min(next, skipped - beforeMs);
    }
    if (next < endMs) return next;
    // Up to a match that is far away nothing matches, as soon as no clock can show an earlier time than it did here.
    from = from < endMs - FAR_MS ? Math.max(endMs, wall - offsetMs - FAR_MS) : endMs;
  }
}

/**
 * The latest run up to `nowMs`, of which there is one after `lastRunAtMs`. Days are jumped over: at most those of the last one with a run
 * are gone through.
 */
export function latestOfCrontab(of: ZonedCrontab, lastRunAtMs: number, nowMs: number): number {
  const { fields, zone } = of;
  let at = lastRunAtMs;
  for (let day = dayOf(wallOf(nowMs, zone)); ; day = previousDay(fields, day)) {
    const start = instantOf(day * DAY_MS, zone) - 1;
    if (start <= lastRunAtMs) break;
    if (nextOfCrontab(of, start) <= nowMs) {
      at = start;
      break;
    }
  }
  for (;;) {
    const next = nextOfCrontab(of, at);
    if (next > nowMs) return at;
    at = next;
  }
}

function dayOf(wall: number): number {
  return Math.floor(wall / DAY_MS);
}

/** The first wall time after another that matches, by the clocks alone. */
function nextWall(fields: CrontabValues, wall: number): number {
  const { minute: minutes, hour: hours } = fields;
  const date = new Date(wall);
  const minute = date.getUTCMinutes();
  const hour = date.getUTCHours();
  const today = dayOf(wall) * DAY_MS;
  if (dayMatches(fields, date)) {
    if (hours.includes(hour)) {
      const later = minutes.find((one) => one > minute);
      if (later !== undefined) return today + hour * HOUR_MS + later * MINUTE_MS;
    }
    const later = hours.find((one) => one > hour);
    if (later !== undefined) return today + later * HOUR_MS + (minutes[0] as number) * MINUTE_MS;
  }
  return nextDay(fields, date) + (hours[0] as number) * HOUR_MS + (minutes[0] as number) * MINUTE_MS;
}

function dayMatches({ monthOfYear, dayOfMonth, dayOfWeek, eitherDay }: CrontabValues, date: Date): boolean {
  if (!monthOfYear.includes(date.getUTCMonth() + 1)) return false;
  const ofMonth = dayOfMonth.includes(date.getUTCDate());
  const ofWeek = dayOfWeek.includes(date.getUTCDay());
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek;
}

/** The first day after a date that matches, as its wall time 0:00. There is one within 40 years. */
function nextDay(fields: CrontabValues, after: Date): number {
  let year = after.getUTCFullYear();
  let month = after.getUTCMonth();
  let day = after.getUTCDate() + 1;
  for (;;) {
    if (fields.monthOfYear.includes(month + 1)) {
      for (; ; day += 1) {
        const date = new Date(Date.UTC(year, month, day));
        if (date.getUTCMonth() !== month) break;
        if (dayMatches(fields, date)) return date.getTime();
      }
    }
    day = 1;
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
