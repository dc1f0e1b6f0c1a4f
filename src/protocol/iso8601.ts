/**
 * ISO 8601 dates as Python's `datetime.isoformat` writes and `fromisoformat` reads them. JavaScript's clock has
 * milliseconds: microseconds are cut. A date without an offset is UTC, as in Celery.
 */
import { zoneOffsetMs } from "../base/time-zone.ts";
import { DecodeError } from "../errors.ts";

const FORM =
  /^(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?\s?(Z|z|[+-]\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)?)?)?$/;

/**
 * Ms since the epoch of an ISO 8601 text.
 *
 * @throws DecodeError when the text is not a date
 */
export function parseIso(text: string): number {
  const found = FORM.exec(text);
  if (found === null) throw notADate(text);
  const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "", offset = "Z"] = found;
  const ms = Math.trunc(Number(`${fraction}000`.slice(0, 3)));
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second), ms);
  // A day that its month has not has moved to another month.
  const valid =
    Number(month) >= 1 &&
    date.getUTCMonth() === Number(month) - 1 &&
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) < 60;
  if (!valid) throw notADate(text);
  return date.getTime() - offsetMs(offset, text);
}

function offsetMs(offset: string, text: string): number {
  if (offset === "Z" || offset === "z") return 0;
  const digits = offset.slice(1).replaceAll(":", "");
  const hours = Number(digits.slice(0, 2));
  const minutes = Number(digits.slice(2, 4));
  const seconds = Math.trunc(Number(digits.slice(4)));
  if (hours > 23 || minutes > 59 || seconds > 59) throw notADate(text);
  return (offset[0] === "-" ? -1 : 1) * ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

function notADate(text: string): DecodeError {
  return new DecodeError(`${JSON.stringify(text.slice(0, 64))} is not an ISO 8601 date`);
}

let lastMs = Number.NaN;
let lastText = "";
let lastSecond = Number.NaN;
let lastSecondText = "";

/**
 * `2026-11-21T00:54:57.981000+00:00`: Python's `isoformat` of an aware datetime; no fraction on a whole second.
 *
 * @param timezone - IANA name of the zone whose offset is written (the `timezone` setting); without it UTC
 */
export function toIso(ms: number, timezone?: string | null): string {
  if (timezone != null && timezone !== "UTC") return zoned(ms, timezone);
  if (ms !== lastMs) {
    lastText = `${wallClock(ms)}+00:00`;
    lastMs = ms;
  }
  return lastText;
}

/** Text of an instant without its offset. The second's part is kept: results of one second share it. */
function wallClock(ms: number): string {
  const whole = Math.trunc(ms);
  const second = Math.floor(whole / 1000);
  if (second !== lastSecond) {
    const date = new Date(second * 1000);
    const year = date.getUTCFullYear();
    if (!(year >= 1 && year <= 9999)) {
      throw new RangeError(`${ms} ms is outside the years 1 to 9999: Python has no such date`);
    }
    lastSecondText = date.toISOString().slice(0, 19);
    lastSecond = second;
  }
  const rest = whole - second * 1000;
  if (rest === 0) return lastSecondText;
  return `${lastSecondText}.${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}000`;
}

function two(n: number): string {
  return String(Math.trunc(n)).padStart(2, "0");
}

function zoned(ms: number, timezone: string): string {
  const offset = zoneOffsetMs(ms, timezone);
  const seconds = Math.abs(offset) / 1000;
  const tail = seconds % 60 === 0 ? "" : `:${two(seconds % 60)}`;
  return `${wallClock(ms + offset)}${offset < 0 ? "-" : "+"}${two(seconds / 3600)}:${two((seconds / 60) % 60)}${tail}`;
}
