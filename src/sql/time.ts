/** Time as text: what the three databases read and write alike, to the microsecond, which a `Date` has not. */
import type { SqlTime } from "./tables.ts";

const FORM = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00(?::?00)?|Z)?$/;

/** @param ms - since the epoch; microseconds may be in its fraction */
export function sqlTime(ms: number): SqlTime {
  const micros = Math.round(ms * 1000);
  const whole = Math.floor(micros / 1000);
  const rest = String(micros - whole * 1000).padStart(3, "0");
  return normalTime(`${new Date(whole).toISOString().slice(0, 23)}${rest}`);
}

/** Milliseconds since the epoch, with a fraction; NaN for what is no time of these years (PostgreSQL's `infinity`). */
export function msOfSqlTime(text: SqlTime): number {
  const match = FORM.exec(text);
  if (match === null) return Number.NaN;
  const [, day = "", time = "", fraction = ""] = match;
  return Date.parse(`${day}T${time}Z`) + Number(fraction.padEnd(6, "0")) / 1000;
}

/** As Django writes it to SQLite: six decimals, or none when they are zeros. What has another form is left as it is. */
export function normalTime(text: string): SqlTime {
  const match = FORM.exec(text);
  if (match === null) return text;
  const [, day = "", time = "", fraction = ""] = match;
  const digits = fraction.padEnd(6, "0");
  return digits === "000000" ? `${day} ${time}` : `${day} ${time}.${digits}`;
}
