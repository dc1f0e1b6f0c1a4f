/**
 * Entries as RedBeat writes them: the fields `definition` and `meta` of a hash. Python: `redbeat/decoder.py`. What its classes have
 * no place for, and would fail of, is in a field of our own, `petiole`.
 */
import type { PeriodicTask } from "../../../app/periodic.ts";
import { camelKeys, snakeKeys } from "../../../base/case.ts";
import { instantOf } from "../../../base/time-zone.ts";
import { TaskSignature } from "../../../canvas/signature.ts";
import { toIso } from "../../../protocol/iso8601.ts";
import { parseJson } from "../../../protocol/json.ts";
import { cron, crontab } from "../../crontab.ts";
import { type EntryPolicy, PLAIN_POLICY, readPolicy } from "../../policy.ts";
import { type CrontabSchedule, clocked, type Schedule, type SolarEvent, schedule } from "../../schedule.ts";
import { solar } from "../../solar.ts";
import type { EntryRuns } from "../store.ts";

type Fields = Readonly<Record<string, unknown>>;

/** An entry, as its hash has it. */
export interface EntryTexts {
  readonly definition: string;
  /** '': nothing. */
  readonly own: string;
}

/** `apart`: RedBeat could not read it, or would run it at other times. */
export type WrittenEntry = EntryTexts & { readonly apart: boolean };

export interface ReadEntry {
  readonly task: PeriodicTask;
  readonly enabled: boolean;
  /** The same for two definitions that differ in their spelling, or in `enabled`, alone. */
  readonly shape: string;
}

// ---- writing

/** null: it has parts that are no data, such as a canvas, or a function among the arguments. */
export function writeEntry(task: PeriodicTask, enabled: boolean): WrittenEntry | null {
  const { signature, schedule: when } = task;
  if (signature !== null && !(signature instanceof TaskSignature)) return null;
  if (signature !== null && signature.subtaskType !== null) return null;
  if (when.nowfun !== null) return null;
  const options = { ...signature?.options, ...task.options };
  if (!isData([task.args, task.kwargs, options])) return null;
  const written = {
    name: task.name,
    task: task.task,
    args: task.args,
    kwargs: task.kwargs,
    options: snakeKeys(options),
    schedule: writeSchedule(when),
    enabled,
  };
  return { definition: stringify(written), own: writeOwn(when, task.policy), apart: isApart(task) };
}

/** Whether RedBeat could not read an entry, or would run it at other times. */
export function isApart({ schedule: when, policy }: PeriodicTask): boolean {
  const { oneOff, startTimeMs, endTimeMs, overlap } = policy;
  if (oneOff || startTimeMs !== null || endTimeMs !== null || overlap !== "allow") return true;
  if (when.type === "interval") return false;
  return when.type !== "crontab" || when.timezone !== null || when.dstFold !== "celery";
}

function writeOwn(when: Schedule, policy: EntryPolicy): string {
  const own: Record<string, unknown> = {};
  if (when.type === "crontab" || when.type === "cron") {
    if (when.timezone !== null) own["timezone"] = when.timezone;
    if (when.dstFold !== "celery") own["dstFold"] = when.dstFold;
  }
  if (policy !== PLAIN_POLICY) {
    const { startTimeMs, endTimeMs, jitterMs, ...options } = policy;
    own["options"] = {
      ...options,
      startTime: startTimeMs === null ? null : toIso(startTimeMs),
      endTime: endTimeMs === null ? null : toIso(endTimeMs),
      jitter: jitterMs / 1000,
    };
  }
  return Object.keys(own).length === 0 ? "" : JSON.stringify(own);
}

/** What JSON keeps as it is, and instants. */
function isData(value: unknown): boolean {
  if (value === null || value === undefined || value instanceof Date) return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value !== "object") return false;
  if (Array.isArray(value)) return value.every(isData);
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && Object.values(value).every(isData);
}

function stringify(value: object): string {
  // Before `toJSON` has made a text of a Date.
  return JSON.stringify(value, function (this: Fields, key, given: unknown) {
    const one = this[key];
    return one instanceof Date ? writeInstant(one.getTime()) : given;
  });
}

function writeSchedule(when: Schedule): object {
  if (when.type === "interval") {
    return { __type__: "interval", every: when.every, relative: when.relative };
  }
  if (when.type === "solar") {
    return { __type__: "solar", event: when.event, lat: when.lat, lon: when.lon };
  }
  if (when.type === "cron") return { __type__: "cron", expression: when.expression };
  if (when.type === "clocked") return { __type__: "clocked", clocked_time: when.clockedTime };
  const { minute, hour, dayOfWeek, dayOfMonth, monthOfYear } = when;
  return { __type__: "crontab", ...snakeKeys({ minute, hour, dayOfWeek, dayOfMonth, monthOfYear }) };
}

function writeInstant(ms: number): object {
  const date = new Date(ms);
  return {
    __type__: "datetime",
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    microsecond: Math.round((ms - Math.floor(ms / 1000) * 1000) * 1000),
    timezone: "UTC",
  };
}

export function writeMeta({ lastRunAtMs, totalRunCount }: EntryRuns): string {
  return JSON.stringify({ last_run_at: writeInstant(lastRunAtMs), total_run_count: totalRunCount });
}

// ---- reading

/** @throws Error that says what cannot be read */
export function readEntry({ definition, own }: EntryTexts): ReadEntry {
  const read = revive(parseJson(definition));
  if (!isFields(read)) throw new TypeError("the definition is no object");
  const { name, task, args, kwargs, options, schedule: when, enabled, ...rest } = read;
  if (typeof name !== "string" || name === "") throw new TypeError("the definition has no name");
  if (typeof task !== "string" || task === "") throw new TypeError("the definition has no task");
  if (args != null && !Array.isArray(args)) throw new TypeError("args is no list");
  for (const [key, one] of Object.entries({ kwargs, options })) {
    if (one != null && !isFields(one)) throw new TypeError(`${key} is no object`);
  }
  const shape = JSON.stringify([name, task, args ?? [], kwargs ?? {}, options ?? {}, when, rest, own]);
  const fields = readOwn(own);
  return {
    shape,
    enabled: enabled !== false,
    task: {
      name,
      task,
      schedule: readSchedule(when, fields),
      policy: readPolicy(fields["options"] ?? {}, "the field petiole"),
      args: (args ?? []) as readonly unknown[],
      kwargs: (kwargs ?? {}) as Fields,
      options: camelKeys((options ?? {}) as Fields),
      signature: null,
    },
  };
}

/** null: it has never run, or that cannot be read. */
export function readMeta(text: string | null): EntryRuns | null {
  if (text === null) return null;
  try {
    const read = revive(parseJson(text));
    if (!isFields(read) || !(read["last_run_at"] instanceof Date)) return null;
    const count = read["total_run_count"];
    return {
      lastRunAtMs: read["last_run_at"].getTime(),
      totalRunCount: Number.isSafeInteger(count) ? (count as number) : 0,
    };
  } catch {
    return null;
  }
}

function readOwn(text: string): Fields {
  if (text === "") return {};
  const read = parseJson(text);
  return isFields(read) ? read : {};
}

function readSchedule(when: unknown, own: Fields): Schedule {
  if (!isFields(when)) throw new TypeError("the schedule is no object");
  const { __type__: type, ...fields } = when;
  if (type === "interval") {
    return schedule(fields["every"] as number, { relative: fields["relative"] === true });
  }
  if (type === "solar") {
    return solar(fields["event"] as SolarEvent, fields["lat"] as number, fields["lon"] as number);
  }
  if (type === "clocked") return clocked(fields["clocked_time"] as string);
  const timezone = typeof own["timezone"] === "string" ? own["timezone"] : undefined;
  const dstFold = own["dstFold"] === "both" ? "both" : undefined;
  if (type === "cron") return cron(fields["expression"] as string, { timezone, dstFold });
  if (type === "crontab") {
    return crontab({ ...(camelKeys(fields) as Partial<CrontabSchedule>), timezone, dstFold } as never);
  }
  throw new TypeError(`a schedule of the type ${JSON.stringify(type ?? null)} is not known`);
}

/** RedBeat's instants become `Date`. */
function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive);
  if (!isFields(value)) return value;
  if (value["__type__"] === "datetime") return readInstant(value);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revive(one)]));
}

function readInstant(fields: Fields): Date {
  const [year, month, day, hour = 0, minute = 0, second = 0, microsecond = 0] = [
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "microsecond",
  ].map((key) => fields[key] as number);
  const wall =
    Date.UTC(year as number, (month as number) - 1, day, hour, minute, second) + microsecond / 1000;
  const { timezone = "UTC" } = fields;
  const ms = typeof timezone === "number" ? wall - timezone * 1000 : instantOf(wall, String(timezone));
  if (!Number.isFinite(ms)) throw new TypeError("an instant cannot be read");
  return new Date(ms);
}

function isFields(value: unknown): value is Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
