/**
 * Values that Python's JSON has and JavaScript has no type for. They exist so that a value survives the way there and back:
 * a task that returns the `UUID` it was given returns a `UUID`. `String(value)` is the text; `value.value` too.
 * kombu's `datetime` is a `Date`, `bytes` and `base64` are a `Uint8Array` and need no class.
 */
import { EncodeError } from "../errors.ts";

const DATE = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/;
const TIME =
  /^(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?)?$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DECIMAL = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|Infinity|s?NaN\d*)$/;

function checked(text: string, pattern: RegExp, form: string): string {
  if (!pattern.test(text)) throw new EncodeError(`${JSON.stringify(text)} is not ${form}`);
  return text;
}

/** A day without a time. Python: `datetime.date`; wire: `{"__type__": "date"}`. */
export class PlainDate {
  /** `2024-01-02`. */
  readonly value: string;
  constructor(value: string) {
    this.value = checked(value, DATE, "a date like 2024-01-02");
  }
  /** The text that Python's `str()` gives. */
  toString(): string {
    return this.value;
  }
  /** Its text: what `JSON.stringify` of yours shows. Messages carry kombu's typed form instead. */
  toJSON(): string {
    return this.value;
  }
}

/** A time of day. Python: `datetime.time`; wire: `{"__type__": "time"}`. */
export class PlainTime {
  /** `03:04:05.000006`, with an offset where Python's had one. */
  readonly value: string;
  constructor(value: string) {
    this.value = checked(value, TIME, "a time like 03:04:05.5");
  }
  /** The text that Python's `str()` gives. */
  toString(): string {
    return this.value;
  }
  /** Its text: what `JSON.stringify` of yours shows. Messages carry kombu's typed form instead. */
  toJSON(): string {
    return this.value;
  }
}

/** Python: `uuid.UUID`; wire: `{"__type__": "uuid"}`. */
export class Uuid {
  /** `12345678-1234-5678-1234-567812345678`, lower case. */
  readonly value: string;
  constructor(value: string) {
    const hex = value.toLowerCase();
    const dashed =
      hex.length === 32
        ? `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
        : hex;
    this.value = checked(dashed, UUID, "a UUID of 32 hexadecimal digits");
  }
  /** The text that Python's `str()` gives. */
  toString(): string {
    return this.value;
  }
  /** Its text: what `JSON.stringify` of yours shows. Messages carry kombu's typed form instead. */
  toJSON(): string {
    return this.value;
  }
}

/** A number of exact decimal digits. Python: `decimal.Decimal`; wire: `{"__type__": "decimal"}`. */
export class Decimal {
  /** As Python prints it: `1.50`. */
  readonly value: string;
  constructor(value: string) {
    this.value = checked(value, DECIMAL, "a decimal number like 1.50");
  }
  /** The text that Python's `str()` gives. */
  toString(): string {
    return this.value;
  }
  /** Its text: what `JSON.stringify` of yours shows. Messages carry kombu's typed form instead. */
  toJSON(): string {
    return this.value;
  }
}
