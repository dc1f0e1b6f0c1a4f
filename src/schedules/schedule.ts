/** What a schedule is, as data. Python: `celery/schedules.py`. When it is due: `due.ts`. */
import { zoneOffsetMs } from "../base/time-zone.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { type CronField, readCronField } from "./cron-field.ts";

/** Every so many seconds. Made by {@link schedule}. */
export interface IntervalSchedule {
  readonly type: "interval";
  /** Seconds. */
  readonly every: number;
  /** Runs at whole minutes, hours or days: those of the interval's own unit. */
  readonly relative: boolean;
}

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
}

/** Made by {@link crontab} or {@link schedule}. */
export type Schedule = IntervalSchedule | CrontabSchedule;

/** Fields of {@link crontab}: one left out is `*`. */
export interface CrontabFields {
  /** 0-59. */
  readonly minute?: CronField | undefined;
  /** 0-23. */
  readonly hour?: CronField | undefined;
  /** 0-6, 0 is Sunday; names. Wire name `day_of_week`. */
  readonly dayOfWeek?: CronField | undefined;
  /** 1-31. Wire name `day_of_month`. */
  readonly dayOfMonth?: CronField | undefined;
  /** 1-12; names. Wire name `month_of_year`. */
  readonly monthOfYear?: CronField | undefined;
  /** IANA name. Default: the setting `timezone`. */
  readonly timezone?: string | undefined;
}

/** The values of a crontab's fields, ascending. */
export interface CrontabValues {
  readonly minute: readonly number[];
  readonly hour: readonly number[];
  readonly dayOfWeek: readonly number[];
  readonly dayOfMonth: readonly number[];
  readonly monthOfYear: readonly number[];
}

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const FIELDS = ["minute", "hour", "dayOfWeek", "dayOfMonth", "monthOfYear"] as const;
const values = new WeakMap<CrontabSchedule, CrontabValues>();

/**
 * Every so many seconds; in `beatSchedule` the number alone means the same.
 *
 * @throws ImproperlyConfigured when it is not a number of seconds, or below a thousandth
 */
export function schedule(
  every: number,
  options?: { readonly relative?: boolean | undefined },
): IntervalSchedule {
  if (typeof every !== "number" || !Number.isFinite(every) || every < 0.001) {
    throw new ImproperlyConfigured(`schedule: ${String(every)} is not a number of seconds from 0.001`);
  }
  return Object.freeze({ type: "interval", every, relative: options?.relative === true });
}

/**
 * Celery's `crontab`: day of the month and day of the week must both match. What the texts may be: `cron-field.ts`.
 *
 * @throws ImproperlyConfigured when a field or the time zone cannot be read, or no date can match
 */
export function crontab(fields: CrontabFields = {}): CrontabSchedule {
  const unknown = Object.keys(fields).find((name) => name !== "timezone" && !FIELDS.includes(name as "hour"));
  if (unknown !== undefined) {
    throw new ImproperlyConfigured(
      `crontab: there is no field ${JSON.stringify(unknown)}, but ${FIELDS.join(", ")}, timezone`,
    );
  }
  const made: CrontabSchedule = Object.freeze({
    type: "crontab",
    minute: fields.minute ?? "*",
    hour: fields.hour ?? "*",
    dayOfWeek: fields.dayOfWeek ?? "*",
    dayOfMonth: fields.dayOfMonth ?? "*",
    monthOfYear: fields.monthOfYear ?? "*",
    timezone: zoneName(fields.timezone),
  });
  crontabValues(made);
  return made;
}

function zoneName(zone: string | undefined): string | null {
  if (zone === undefined || zone === null) return null;
  try {
    zoneOffsetMs(0, zone);
    return zone;
  } catch (cause) {
    throw new ImproperlyConfigured(
      `crontab: timezone ${JSON.stringify(zone)} is not in the IANA database: write for example "Europe/Berlin"`,
      { cause },
    );
  }
}

/** What the fields of a crontab stand for. */
export function crontabValues(of: CrontabSchedule): CrontabValues {
  let known = values.get(of);
  if (known === undefined) {
    known = {
      minute: readCronField(of.minute, { name: "minute", min: 0, max: 59 }),
      hour: readCronField(of.hour, { name: "hour", min: 0, max: 23 }),
      dayOfWeek: readCronField(of.dayOfWeek, { name: "dayOfWeek", min: 0, max: 6 }),
      dayOfMonth: readCronField(of.dayOfMonth, { name: "dayOfMonth", min: 1, max: 31 }),
      monthOfYear: readCronField(of.monthOfYear, { name: "monthOfYear", min: 1, max: 12 }),
    };
    const first = known.dayOfMonth[0] as number;
    if (!known.monthOfYear.some((month) => first <= (DAYS[month - 1] as number))) {
      throw new ImproperlyConfigured(
        `crontab: dayOfMonth ${JSON.stringify(of.dayOfMonth)} is in none of the months of monthOfYear ${JSON.stringify(of.monthOfYear)}`,
      );
    }
    values.set(of, known);
  }
  return known;
}

/** For logs, as Celery shows it: `<crontab: 0 4 * * * (m/h/dM/MY/d)>`, `<freq: 30 seconds>`. */
export function scheduleText(one: Schedule): string {
  if (one.type === "interval") return `<freq: ${durationText(one.every)}>`;
  const { minute, hour, dayOfMonth, monthOfYear, dayOfWeek } = one;
  const text = [minute, hour, dayOfMonth, monthOfYear, dayOfWeek].map(String).join(" ");
  return `<crontab: ${text} (m/h/dM/MY/d)>`;
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
