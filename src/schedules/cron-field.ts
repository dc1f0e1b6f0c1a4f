/**
 * One field of a crontab. Python: `crontab_parser`.
 *
 * ```
 * groups  = expr ("," expr)*
 * expr    = ("*" | number ("-" number)?) ("/" steps)?
 * number  = digits | name            of a day or a month, of which three letters count
 * ```
 * A range whose end is below its start goes on at the beginning: `22-2`. `*` with steps counts from the field's lowest value.
 * Steps of 2 over all days of the month are 1, 3, 5. What follows a range, or steps, without belonging to it is overlooked, as in Celery.
 */
import { ImproperlyConfigured } from "../errors.ts";

/** A field: a number, an expression, or the numbers themselves. */
export type CronField = number | string | readonly number[];

export interface CronRange {
  /** As the user wrote it: `dayOfMonth`. */
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** For messages. Default: `crontab`. */
  readonly maker?: string;
}

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ...["sun", "mon", "tue", "wed", "thu", "fri", "sat"].map((name, at) => [name, at] as const),
  ..."jan feb mar apr may jun jul aug sep oct nov dec".split(" ").map((name, at) => [name, at + 1] as const),
]);
const RANGE = /^([\p{L}\p{N}_]+?)-([\p{L}\p{N}_]+)/u;
const RANGE_STEPS = /^([\p{L}\p{N}_]+?)-([\p{L}\p{N}_]+)\/([\p{L}\p{N}_]+)?/u;
const STAR_STEPS = /^\*\/([\p{L}\p{N}_]+)?/u;
/** What Python's `int` reads. */
const INTEGER = /^\s*([+-]?\d+(?:_\d+)*)\s*$/;

/** Texts that were read, so that thousands of entries have one array of each. */
const read = new Map<string, readonly number[]>();
const MOST_READ = 1000;

/**
 * The values of a field, ascending.
 *
 * @throws ImproperlyConfigured when it cannot be read
 */
export function readCronField(field: CronField, range: CronRange): readonly number[] {
  if (typeof field !== "string") return valuesOf(field, range);
  const key = `${range.min}-${range.max} ${field}`;
  let known = read.get(key);
  if (known === undefined) {
    known = valuesOf(field, range);
    if (read.size < MOST_READ) read.set(key, known);
  }
  return known;
}

function valuesOf(field: CronField, range: CronRange): readonly number[] {
  const found = new Set<number>();
  if (typeof field === "string") {
    for (const part of field.split(",")) for (const one of partValues(part, range)) found.add(one);
  } else {
    const given: readonly unknown[] = Array.isArray(field) ? (field as readonly unknown[]) : [field];
    for (const one of given) {
      if (!Number.isSafeInteger(one)) {
        throw refused(field, range, "it takes a whole number, a text, or an array of whole numbers");
      }
      found.add(one as number);
    }
  }
  if (found.size === 0) throw refused(field, range, "it is empty");
  for (const one of found) {
    if (one < range.min || one > range.max) {
      throw refused(field, range, `${one} is not within ${range.min}-${range.max}`);
    }
  }
  return Object.freeze([...found].sort((a, b) => a - b));
}

function partValues(part: string, range: CronRange): readonly number[] {
  if (part === "") throw refused(part, range, "a part between commas is empty");
  const stepped = RANGE_STEPS.exec(part);
  if (stepped !== null) {
    const [, from = "", to = "", steps] = stepped;
    return everyNth(expand(from, to, range), stepOf(steps, part, range));
  }
  const plain = RANGE.exec(part);
  if (plain !== null) return expand(plain[1] ?? "", plain[2] ?? "", range);
  const star = STAR_STEPS.exec(part);
  if (star !== null) return everyNth(between(range.min, range.max), stepOf(star[1], part, range));
  if (part === "*" || part === "*\n") return between(range.min, range.max);
  return [numberOf(part, range)];
}

function expand(from: string, to: string, range: CronRange): readonly number[] {
  const first = numberOf(from, range);
  const last = numberOf(to, range);
  return last < first ? [...between(first, range.max), ...between(range.min, last)] : between(first, last);
}

function stepOf(steps: string | undefined, part: string, range: CronRange): number {
  if (steps === undefined) throw refused(part, range, "no number follows the slash");
  const step = integer(steps);
  if (step === null) throw refused(part, range, `${JSON.stringify(steps)} is not a number of steps`);
  if (step === 0) throw refused(part, range, "steps of 0 lead nowhere");
  return step;
}

function numberOf(text: string, range: CronRange): number {
  if (text.startsWith("-")) throw refused(text, range, "numbers below 0 are not known");
  const value = integer(text) ?? NUMBERS.get(text.slice(0, 3).toLowerCase());
  if (value === undefined) {
    throw refused(text, range, "it is neither a number nor the name of a day or a month");
  }
  if (value < range.min || value > range.max) {
    throw refused(text, range, `${value} is not within ${range.min}-${range.max}`);
  }
  return value;
}

function integer(text: string): number | null {
  const found = INTEGER.exec(text);
  return found === null ? null : Number(found[1]?.replaceAll("_", ""));
}

function between(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

function everyNth(values: readonly number[], n: number): readonly number[] {
  return values.filter((_, at) => at % n === 0);
}

function refused(field: unknown, range: CronRange, why: string): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `${range.maker ?? "crontab"}: ${range.name} cannot be ${JSON.stringify(field)?.slice(0, 100)}: ${why}`,
  );
}
