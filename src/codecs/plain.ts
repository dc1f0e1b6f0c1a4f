/** What the codecs share: values that JSON's types and nothing else can hold, on the way out and on the way in. */
import { DecodeError, EncodeError } from "../errors.ts";
import { findFlaw } from "../protocol/flaws.ts";
import type { Limits } from "../protocol/wire.ts";
import { wireForm } from "../protocol/wire-form.ts";

/** What a format can hold beyond numbers, texts, booleans and null. */
export interface PlainFormat {
  readonly name: string;
  readonly bytes: boolean;
  /** Integers outside are refused. */
  readonly bigints: readonly [min: bigint, max: bigint] | null;
}

/**
 * A copy of a value of plain arrays, objects and leaves. Signatures become their data, `undefined` properties go.
 *
 * @param where - names the value in an error
 * @throws EncodeError with the path of what the format cannot hold
 */
export function toPlain(value: unknown, where: string, format: PlainFormat): unknown {
  const flaw = value === undefined ? null : findFlaw(value, where);
  if (flaw !== null) throw new EncodeError(flaw);
  return copy(value ?? null, where, format);
}

function copy(value: unknown, path: string, format: PlainFormat): unknown {
  if (typeof value === "bigint") return inRange(value, path, format);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((member, index) => copy(member, `${path}[${index}]`, format));
  if (value instanceof Uint8Array && format.bytes) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  const data =
    prototype === Object.prototype || prototype === null
      ? (value as Record<string, unknown>)
      : wireForm(value);
  if (data === null) {
    throw new EncodeError(
      `${path} is a ${value.constructor.name}, which ${format.name} has no form for: use the json serializer, or send its text`,
    );
  }
  const plain: Record<string, unknown> = {};
  for (const key of Object.keys(data)) {
    if (data[key] !== undefined) plain[key] = copy(data[key], `${path}.${key}`, format);
  }
  return plain;
}

function inRange(value: bigint, path: string, format: PlainFormat): bigint {
  const range = format.bigints;
  if (range !== null && (value < range[0] || value > range[1])) {
    throw new EncodeError(
      `${path} needs more than the 64 bits that ${format.name} has: use the json serializer`,
    );
  }
  return value;
}

/**
 * What came in, made safe in place: a bigint that a number can hold becomes one, keys `__proto__` go, depth is bounded,
 * cycles (YAML aliases) are refused, bytes are plain Uint8Arrays.
 *
 * @throws DecodeError
 */
export function fromPlain(value: unknown, format: string, limits: Limits): unknown {
  return new Cleaner(format, limits.maxDepth).clean(value, 0);
}

class Cleaner {
  readonly #format: string;
  readonly #maxDepth: number;
  readonly #above = new Set<object>();
  readonly #done = new Set<object>();

  constructor(format: string, maxDepth: number) {
    this.#format = format;
    this.#maxDepth = maxDepth;
  }

  clean(value: unknown, depth: number): unknown {
    if (typeof value === "bigint") {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : value;
    }
    if (typeof value !== "object" || value === null || value instanceof Date) return value;
    if (value instanceof Uint8Array) return new Uint8Array(value);
    this.#enter(value, depth);
    if (!this.#done.has(value)) {
      if (Array.isArray(value)) {
        for (let index = 0; index < value.length; index++) value[index] = this.clean(value[index], depth + 1);
      } else {
        this.#cleanObject(value as Record<string, unknown>, depth);
      }
    }
    this.#above.delete(value);
    this.#done.add(value);
    return value;
  }

  #enter(value: object, depth: number): void {
    if (this.#above.has(value)) throw new DecodeError(`${this.#format}: a value holds itself`);
    if (depth >= this.#maxDepth) {
      throw new DecodeError(`${this.#format}: nested deeper than ${this.#maxDepth} levels`, {
        code: "PET_MESSAGE_TOO_LARGE",
      });
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) {
      throw new DecodeError(`${this.#format}: a ${value.constructor.name} cannot be read`);
    }
    this.#above.add(value);
  }

  #cleanObject(value: Record<string, unknown>, depth: number): void {
    if (Object.hasOwn(value, "__proto__")) delete value["__proto__"];
    for (const key of Object.keys(value)) value[key] = this.clean(value[key], depth + 1);
  }
}
