/** A schedule as settings have it: seconds, a schedule that was made, or one from JSON. */
import { ImproperlyConfigured } from "../errors.ts";
import { cron, crontab } from "./crontab.ts";
import { clocked, type Schedule, type SolarEvent, schedule } from "./schedule.ts";
import { solar } from "./solar.ts";

type Fields = Readonly<Record<string, unknown>>;

const MAKERS: Readonly<Record<Schedule["type"], (fields: Fields) => Schedule>> = {
  interval: ({ every, relative, nowfun }) =>
    schedule(every as number, { relative: relative === true, nowfun: nowfun as never }),
  crontab: (fields) => crontab(fields),
  cron: ({ expression, ...options }) => cron(expression as string, options),
  solar: ({ event, lat, lon, nowfun }) =>
    solar(event as SolarEvent, lat as number, lon as number, { nowfun: nowfun as never }),
  clocked: ({ clockedTime, nowfun }) => clocked(clockedTime as string, { nowfun: nowfun as never }),
};

/**
 * @param given - seconds, or an object with `type` and keys in camelCase
 * @param relative - of seconds
 * @throws ImproperlyConfigured when it cannot be read
 */
export function readSchedule(given: number | Fields, relative: boolean): Schedule {
  if (typeof given === "number") return schedule(given, { relative });
  const { type, ...fields } = given;
  const make = typeof type === "string" && Object.hasOwn(MAKERS, type) ? MAKERS[type as "cron"] : null;
  if (make === null) {
    throw new ImproperlyConfigured(
      `there is no type of schedule ${JSON.stringify(type)}, but ${Object.keys(MAKERS).join(", ")}`,
    );
  }
  return make(fields);
}
