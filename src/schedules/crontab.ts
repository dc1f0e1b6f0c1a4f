/** Crontabs as data: Celery's, by fields, and the plain expression. When they are due: `crontab-runs.ts`. */
import { zoneOffsetMs } from "../base/time-zone.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { type CronField, readCronField } from "./cron-field.ts";
import {
  type CronSchedule,
  type CrontabSchedule,
  type DstFold,
  readNowFun,
  type ScheduleOptions,
} from "./schedule.ts";

/** Of {@link crontab} and {@link cron}. */
export interface CrontabOptions extends ScheduleOptions {
  /** IANA name. Default: the setting `timezone`. */
  readonly timezone?: string | undefined;
  /** Default: `"celery"`. */
  readonly dstFold?: DstFold | undefined;
}

/** Fields of {@link crontab}: one left out is `*`. */
export interface CrontabFields extends CrontabOptions {
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
}

/** The values of a crontab's fields, ascending. */
export interface CrontabValues {
  readonly minute: readonly number[];
  readonly hour: readonly number[];
  readonly dayOfWeek: readonly number[];
  readonly dayOfMonth: readonly number[];
  readonly monthOfYear: readonly number[];
  /** A day that matches one of the two is enough. */
  readonly eitherDay: boolean;
}

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const FIELDS = ["minute", "hour", "dayOfWeek", "dayOfMonth", "monthOfYear"] as const;
const OPTIONS = ["timezone", "dstFold", "nowfun"] as const;
const values = new WeakMap<CrontabSchedule | CronSchedule, CrontabValues>();

/**
 * Celery's `crontab`: day of the month and day of the week must both match. What the texts may be: `cron-field.ts`.
 *
 * @throws ImproperlyConfigured when a field or the time zone cannot be read, or no date can match
 */
export function crontab(fields: CrontabFields = {}): CrontabSchedule {
  refuseUnknown(fields, { what: "crontab", known: [...FIELDS, ...OPTIONS] });
  const made: CrontabSchedule = Object.freeze({
    type: "crontab",
    minute: fields.minute ?? "*",
    hour: fields.hour ?? "*",
    dayOfWeek: fields.dayOfWeek ?? "*",
    dayOfMonth: fields.dayOfMonth ?? "*",
    monthOfYear: fields.monthOfYear ?? "*",
    ...readOptions(fields, "crontab"),
  });
  crontabValues(made);
  return made;
}

/**
 * A cron expression of five fields, `"0 9 * * 1-5"`: minute, hour, day of the month, month, day of the week. Also `@hourly`, `@daily`,
 * `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
 *
 * The standard meaning, unlike Celery's {@link crontab}: when both day of the month and day of the week are restricted (do not begin with
 * `*`), a day that matches **either** is enough, and 7 is Sunday too. Fields have the grammar of `crontab` otherwise.
 *
 * @throws ImproperlyConfigured when it cannot be read, or no date can match
 */
export function cron(expression: string, options: CrontabOptions = {}): CronSchedule {
  refuseUnknown(options, { what: "cron", known: OPTIONS });
  if (typeof expression !== "string") {
    throw new ImproperlyConfigured(`cron: ${JSON.stringify(expression)} is no text such as "0 9 * * 1-5"`);
  }
  const made: CronSchedule = Object.freeze({
    type: "cron",
    expression: expression.trim().replaceAll(/\s+/g, " "),
    ...readOptions(options, "cron"),
  });
  crontabValues(made);
  return made;
}

/** Whether an object was made by {@link crontab} or {@link cron}. */
export function isCrontab(given: object): given is CrontabSchedule | CronSchedule {
  return values.has(given as CrontabSchedule);
}

/** What the fields of a crontab stand for. */
export function crontabValues(of: CrontabSchedule | CronSchedule): CrontabValues {
  let known = values.get(of);
  if (known === undefined) {
    known = of.type === "crontab" ? fieldValues(of) : expressionValues(of.expression);
    values.set(of, known);
  }
  return known;
}

const NICKNAMES: ReadonlyMap<string, string> = new Map([
  ["@hourly", "0 * * * *"],
  ["@daily", "0 0 * * *"],
  ["@midnight", "0 0 * * *"],
  ["@weekly", "0 0 * * 0"],
  ["@monthly", "0 0 1 * *"],
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
]);

function expressionValues(expression: string): CrontabValues {
  const fields = (NICKNAMES.get(expression.toLowerCase()) ?? expression).split(" ");
  if (fields.length !== 5) {
    const known = expression.startsWith("@")
      ? `of those with @ there are ${[...NICKNAMES.keys()].join(", ")}`
      : `it has ${fields.length} fields, not the five: minute, hour, day of the month, month, day of the week`;
    throw new ImproperlyConfigured(`cron: ${JSON.stringify(expression.slice(0, 100))}: ${known}`);
  }
  const [minute = "", hour = "", dayOfMonth = "", monthOfYear = "", dayOfWeek = ""] = fields;
  const weekdays = readCronField(dayOfWeek, { name: "day of the week", min: 0, max: 7, maker: "cron" });
  return checkDates(
    {
      minute: readCronField(minute, { name: "minute", min: 0, max: 59, maker: "cron" }),
      hour: readCronField(hour, { name: "hour", min: 0, max: 23, maker: "cron" }),
      dayOfWeek: Object.freeze([...new Set(weekdays.map((day) => day % 7))].sort((a, b) => a - b)),
      dayOfMonth: readCronField(dayOfMonth, { name: "day of the month", min: 1, max: 31, maker: "cron" }),
      monthOfYear: readCronField(monthOfYear, { name: "month", min: 1, max: 12, maker: "cron" }),
      eitherDay: !dayOfMonth.startsWith("*") && !dayOfWeek.startsWith("*"),
    },
    `cron: the day of the month ${JSON.stringify(dayOfMonth)} is in none of the months ${JSON.stringify(monthOfYear)}`,
  );
}

function fieldValues(of: CrontabSchedule): CrontabValues {
  return checkDates(
    {
      minute: readCronField(of.minute, { name: "minute", min: 0, max: 59 }),
      hour: readCronField(of.hour, { name: "hour", min: 0, max: 23 }),
      dayOfWeek: readCronField(of.dayOfWeek, { name: "dayOfWeek", min: 0, max: 6 }),
      dayOfMonth: readCronField(of.dayOfMonth, { name: "dayOfMonth", min: 1, max: 31 }),
      monthOfYear: readCronField(of.monthOfYear, { name: "monthOfYear", min: 1, max: 12 }),
      eitherDay: false,
    },
    `crontab: dayOfMonth ${JSON.stringify(of.dayOfMonth)} is in none of the months of monthOfYear ${JSON.stringify(of.monthOfYear)}`,
  );
}

function checkDates(found: CrontabValues, otherwise: string): CrontabValues {
  const first = found.dayOfMonth[0] as number;
  const some = found.eitherDay || found.monthOfYear.some((month) => first <= (DAYS[month - 1] as number));
  if (!some) throw new ImproperlyConfigured(otherwise);
  return found;
}

interface Known {
  readonly what: string;
  readonly known: readonly string[];
}

function refuseUnknown(given: object, { what, known }: Known): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new ImproperlyConfigured(
    `${what}: there is no field ${JSON.stringify(unknown)}, but ${known.join(", ")}`,
  );
}

function readOptions(
  { timezone, dstFold, nowfun }: CrontabOptions,
  what: string,
): Pick<CrontabSchedule, "timezone" | "dstFold" | "nowfun"> {
  if (dstFold !== undefined && dstFold !== "celery" && dstFold !== "both") {
    throw new ImproperlyConfigured(
      `${what}: dstFold cannot be ${JSON.stringify(dstFold)}, but "celery" or "both"`,
    );
  }
  return {
    timezone: zoneName(timezone, what),
    dstFold: dstFold ?? "celery",
    nowfun: readNowFun(nowfun, what),
  };
}

const zones = new Set<string>();

function zoneName(zone: string | undefined, what: string): string | null {
  if (zone === undefined || zone === null) return null;
  if (zones.has(zone)) return zone;
  try {
    zoneOffsetMs(0, zone);
    zones.add(zone);
    return zone;
  } catch (cause) {
    throw new ImproperlyConfigured(
      `${what}: timezone ${JSON.stringify(zone)} is not in the IANA database: write for example "Europe/Berlin"`,
      { cause },
    );
  }
}
