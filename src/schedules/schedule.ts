/** What a schedule is, as data. Python: `celery/schedules.py`. When it is due: `due.ts`. */
import { ImproperlyConfigured } from "../errors.ts";
import { parseIso, toIso } from "../protocol/iso8601.ts";
import type { CronField } from "./cron-field.ts";

/**
 * Gives the time that a schedule goes by, instead of the clock. Python: `nowfun`. What fails, or gives no time, is overlooked: the
 * clock counts.
 */
export type NowFun = () => Date | number;

/** Every so many seconds. Made by {@link schedule}. */
export interface IntervalSchedule {
  readonly type: "interval";
  /** Seconds. */
  readonly every: number;
  /** Runs at whole minutes, hours or days: those of the interval's own unit. */
  readonly relative: boolean;
  readonly nowfun: NowFun | null;
}

/**
 * What becomes of a wall time that comes twice, when clocks are set back. `"celery"`: it runs the first time only. `"both"`: each time.
 */
export type DstFold = "celery" | "both";

/** Celery's crontab. Made by {@link crontab}. */
export interface CrontabSchedule {
  readonly type: "crontab";
  readonly minute: CronField;
  readonly hour: CronField;
  readonly dayOfWeek: CronField;
  readonly dayOfMonth: CronField;
  readonly monthOfYear: CronField;
  /** IANA name; null: the setting `timezone`. */
  readonly timezone: string | null;
  readonly dstFold: DstFold;
  readonly nowfun: NowFun | null;
}

/** A cron expression. Made by {@link cron}. */
export interface CronSchedule {
  readonly type: "cron";
  readonly expression: string;
  /** IANA name; null: the setting `timezone`. */
  readonly timezone: string | null;
  readonly dstFold: DstFold;
  readonly nowfun: NowFun | null;
}

/** At one time, once. Made by {@link clocked}. */
export interface ClockedSchedule {
  readonly type: "clocked";
  /** ISO 8601, UTC. */
  readonly clockedTime: string;
  readonly nowfun: NowFun | null;
}

/** What the sun does, each day. Dawn begins, and dusk ends, with the sun 6, 12 or 18 degrees below the horizon. Python's names. */
export type SolarEvent =
  | "dawn_astronomical"
  | "dawn_nautical"
  | "dawn_civil"
  | "sunrise"
  | "solar_noon"
  | "sunset"
  | "dusk_civil"
  | "dusk_nautical"
  | "dusk_astronomical";

/** At an event of the sun. Made by {@link solar}. */
export interface SolarSchedule {
  readonly type: "solar";
  readonly event: SolarEvent;
  /** Degrees, north is positive. */
  readonly lat: number;
  /** Degrees, east is positive. */
  readonly lon: number;
  readonly nowfun: NowFun | null;
}

/** Made by {@link schedule}, {@link crontab}, {@link cron}, {@link solar} or {@link clocked}. */
export type Schedule = IntervalSchedule | CrontabSchedule | CronSchedule | SolarSchedule | ClockedSchedule;

/** For all kinds of schedules. */
export interface ScheduleOptions {
  readonly nowfun?: NowFun | undefined;
}

/**
 * Every so many seconds; in `beatSchedule` the number alone means the same.
 *
 * @throws ImproperlyConfigured when it is not a number of seconds, or below a thousandth
 */
export function schedule(
  every: number,
  options?: ScheduleOptions & { readonly relative?: boolean | undefined },
): IntervalSchedule {
  if (typeof every !== "number" || !Number.isFinite(every) || every < 0.001) {
    throw new ImproperlyConfigured(`schedule: ${String(every)} is not a number of seconds from 0.001`);
  }
  const nowfun = readNowFun(options?.nowfun, "schedule");
  return Object.freeze({ type: "interval", every, relative: options?.relative === true, nowfun });
}

/**
 * Once, at a time: a `Date`, or a text in ISO 8601 (UTC, unless it says otherwise). A time that passed before the scheduler first saw it
 * is made up for, unless the entry's `catchUp` is `"skip"`. Python: django-celery-beat's `clocked`.
 *
 * @throws ImproperlyConfigured when it is no time
 */
export function clocked(time: Date | string, options?: ScheduleOptions): ClockedSchedule {
  const clockedTime = toIso(readTime(time, "clocked"));
  return Object.freeze({ type: "clocked", clockedTime, nowfun: readNowFun(options?.nowfun, "clocked") });
}

/**
 * ms since the epoch.
 *
 * @throws ImproperlyConfigured when it is no time
 */
export function readTime(time: unknown, what: string): number {
  let ms = Number.NaN;
  try {
    if (time instanceof Date) ms = time.getTime();
    else if (typeof time === "string") ms = parseIso(time);
  } catch {
    // Said below.
  }
  if (Number.isFinite(ms)) return ms;
  const given = time instanceof Date ? "an invalid Date" : JSON.stringify(time)?.slice(0, 100);
  throw new ImproperlyConfigured(
    `${what}: ${given} is not a time: give a Date, or a text such as "2026-03-29T02:30:00Z"`,
  );
}

/** @throws ImproperlyConfigured when it is no function */
export function readNowFun(nowfun: unknown, what: string): NowFun | null {
  if (nowfun === undefined || nowfun === null) return null;
  if (typeof nowfun !== "function") {
    throw new ImproperlyConfigured(`${what}: nowfun is not a function that gives a Date`);
  }
  return nowfun as NowFun;
}

/** The time that a schedule goes by, when the clock shows `clockMs`. */
export function nowOf({ nowfun }: Schedule, clockMs: number): number {
  if (nowfun === null) return clockMs;
  try {
    const ms = Number(nowfun());
    return Number.isFinite(ms) ? ms : clockMs;
  } catch {
    return clockMs;
  }
}

/** For logs, as Celery shows it: `<crontab: 0 4 * * * (m/h/dM/MY/d)>`, `<freq: 30 seconds>`. */
export function scheduleText(one: Schedule): string {
  switch (one.type) {
    case "interval":
      return `<freq: ${durationText(one.every)}>`;
    case "clocked":
      return `<clocked: ${one.clockedTime}>`;
    case "solar":
      return `<solar: ${one.event} at latitude ${one.lat}, longitude: ${one.lon}>`;
    case "cron":
      return `<cron: ${one.expression}>`;
    case "crontab": {
      const { minute, hour, dayOfMonth, monthOfYear, dayOfWeek } = one;
      const text = [minute, hour, dayOfMonth, monthOfYear, dayOfWeek].map(String).join(" ");
      return `<crontab: ${text} (m/h/dM/MY/d)>`;
    }
  }
}

const UNITS = [
  [86_400, "day", 2],
  [3600, "hour", 2],
  [60, "minute", 2],
  [1, "second", 2],
] as const;

/** `5.00 minutes`, as Python's `humanize_seconds`. */
export function durationText(seconds: number): string {
  for (const [size, unit, digits] of UNITS) {
    if (seconds >= size) {
      const count = seconds / size;
      return `${count.toFixed(digits)} ${unit}${count > 1 ? "s" : ""}`;
    }
  }
  return `${seconds} seconds`;
}
