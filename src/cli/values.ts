/** What the words of a command line become. A refusal says what was given and what is accepted. */
import { PetioleError } from "../errors.ts";
import { parseJson } from "../protocol/json.ts";

/** A value that cannot be read; the parser puts the option's name in front. */
export class InvalidValue extends PetioleError {
  constructor(given: string, accepted: string) {
    super("PET_USAGE", `${JSON.stringify(given)} is not ${accepted}`);
  }
}

export function text(value: string): string {
  if (value === "") throw new InvalidValue(value, "a value: it is empty");
  return value;
}

/** A whole number of at least 1. */
export function count(value: string): number {
  return whole(value, 1);
}

/** A whole number of at least 0. */
export function size(value: string): number {
  return whole(value, 0);
}

function whole(value: string, least: number): number {
  const read = Number(value);
  if (/^\d+$/.test(value.trim()) && Number.isSafeInteger(read) && read >= least) return read;
  throw new InvalidValue(value, `a whole number of at least ${least}`);
}

/** `10,3`, in either order, or `10`. */
export function range(value: string): { readonly max: number; readonly min: number } {
  const [, first, second = "0"] = /^(\d+)(?:,(\d+))?$/.exec(value.replaceAll(" ", "")) ?? [];
  const bounds = [Number(first), Number(second)];
  const max = Math.max(...bounds);
  if (max >= 1 && Number.isSafeInteger(max)) return { max, min: Math.min(...bounds) };
  throw new InvalidValue(value, "two whole numbers, such as 10,3");
}

export function seconds(value: string): number {
  const read = Number(value);
  if (value.trim() !== "" && Number.isFinite(read) && read >= 0) return read;
  throw new InvalidValue(value, "a number of seconds");
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** `90`, `90s`, `15m`, `12h`, `30d`, `2w`: in seconds. */
export function age(value: string): number {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)([smhdw])?$/.exec(value.trim()) ?? [];
  if (amount !== undefined) return Number(amount) * (UNITS[unit] ?? 1);
  throw new InvalidValue(value, "an age: seconds, or such as 90m, 12h, 30d");
}

/** More than nothing. */
export function interval(value: string): number {
  const read = seconds(value);
  if (read > 0) return read;
  throw new InvalidValue(value, "a number of seconds above 0");
}

/** `10/s`, `100/m`, `1000/h`, or a number a second; more than none. */
export function perSecond(value: string): number {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?|\.\d+)(?:\/([smh]))?$/.exec(value.trim()) ?? [];
  const read = Number(amount) / (UNITS[unit] ?? 1);
  if (read > 0) return read;
  throw new InvalidValue(value, "a rate above 0, such as 10/m (s, m, h)");
}

/** `a,b,c`; several uses add up. */
export function list(value: string, previous: unknown): readonly string[] {
  const names = value
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) throw new InvalidValue(value, "a list of names, separated by commas");
  return [...(Array.isArray(previous) ? (previous as readonly string[]) : []), ...names];
}

export function jsonList(value: string): readonly unknown[] {
  const read = json(value);
  if (Array.isArray(read)) return read as readonly unknown[];
  throw new InvalidValue(value, `a JSON list, such as '[1, "two"]'`);
}

export function jsonObject(value: string): Readonly<Record<string, unknown>> {
  const read = json(value);
  const plain = typeof read === "object" && read !== null && Object.getPrototypeOf(read) === Object.prototype;
  if (plain) return read as Readonly<Record<string, unknown>>;
  throw new InvalidValue(value, `a JSON object, such as '{"width": 80}'`);
}

function json(value: string): unknown {
  try {
    return parseJson(value);
  } catch (error) {
    throw new InvalidValue(value, `JSON: ${(error as Error).message.replace(/^not JSON: /, "")}`);
  }
}

/** `022`, as the shell writes it. */
export function octal(value: string): number {
  const read = Number.parseInt(value, 8);
  if (/^(0o?)?[0-7]{1,4}$/.test(value) && read <= 0o777) return read;
  throw new InvalidValue(value, "a file mode mask in octal, such as 022");
}

/** `8080`, `0.0.0.0:8080`, `[::1]:8080`. */
export function endpoint(value: string): { readonly host: string; readonly port: number } {
  const [, host, digits] = /^(?:(\[[\da-f:.]+\]|[\w.-]+):)?(\d{1,5})$/i.exec(value) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) throw new InvalidValue(value, "a port, or host:port");
  return { host: host?.replace(/^\[|\]$/g, "") ?? "127.0.0.1", port };
}

/** An ISO 8601 instant, as Celery's `--eta`. Without an offset it means UTC. */
export function instant(value: string): string {
  if (/^\d{4}-\d{2}-\d{2}/.test(value) && !Number.isNaN(Date.parse(value))) return value;
  throw new InvalidValue(value, "an ISO 8601 time, such as 2030-01-31T12:00:00Z");
}

/** Seconds from now, or an instant. */
export function expiry(value: string): number | string {
  return /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : instant(value);
}

/** Reads one of some words, in any case; gives it as it is written in `among`. */
export function oneOf(among: readonly string[]): (value: string) => string {
  return (value) => {
    const found = among.find((word) => word.toLowerCase() === value.toLowerCase());
    if (found !== undefined) return found;
    throw new InvalidValue(value, `one of ${among.join(", ")}`);
  };
}

/** `true` of click's words for a switch in the environment. */
export function isOn(value: string): boolean {
  if (/^(1|true|t|yes|y|on)$/i.test(value)) return true;
  if (/^(0|false|f|no|n|off)$/i.test(value)) return false;
  throw new InvalidValue(value, "a switch: true or false");
}
