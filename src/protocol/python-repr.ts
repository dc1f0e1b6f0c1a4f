/**
 * Values as Python's `repr` shows them, for `argsrepr` and `kwargsrepr`: read by people, in logs, events and monitors.
 * As Celery's `saferepr`: at most {@link MAX_REPR} characters and three levels, texts are not escaped, bytes that are not
 * text are shown in hexadecimal.
 */
import { Buffer, isUtf8 } from "node:buffer";
import { Decimal, PlainDate, PlainTime, Uuid } from "./values.ts";

/** Length from which a repr is cut. */
export const MAX_REPR = 1024;
const MAX_LEVELS = 3;
/** Characters that the last part may have beyond the room: dates and the like stay whole. */
const SLACK = 80;

/** Bounds of what `argsrepr`, events and logs show. */
export interface ReprOptions {
  /** Characters; default 1024. */
  readonly maxLength?: number;
  /** Levels of nesting that are shown; default 3. */
  readonly maxLevels?: number;
}

/** `repr(value)` as Python would print what the value arrives as. */
export function repr(value: unknown, options?: ReprOptions): string {
  const simple = simpleRepr(value);
  const maxLength = options?.maxLength ?? MAX_REPR;
  if (simple !== "" && simple.length <= maxLength) return simple;
  const printer = new Printer(maxLength, options?.maxLevels ?? MAX_LEVELS);
  printer.print(value, 0);
  return printer.text;
}

/** `argsrepr`: a tuple. */
export function reprArgs(args: readonly unknown[]): string {
  const { length } = args;
  if (length === 0) return "()";
  let text = "(";
  for (let index = 0; index < length; index++) {
    const part = simpleRepr(args[index]);
    if (part === "") return fullArgs(args);
    text += index === 0 ? part : `, ${part}`;
  }
  text += length === 1 ? ",)" : ")";
  return text.length <= MAX_REPR ? text : fullArgs(args);
}

function fullArgs(args: readonly unknown[]): string {
  const printer = new Printer(MAX_REPR, MAX_LEVELS);
  printer.sequence(args, ["(", args.length === 1 ? ",)" : ")"], 0);
  return printer.text;
}

/** `kwargsrepr`: a dict. */
export function reprKwargs(kwargs: Readonly<Record<string, unknown>>): string {
  let text = "";
  for (const key in kwargs) {
    const part = simpleRepr(kwargs[key]);
    if (part === "") return repr(kwargs);
    text += text === "" ? `'${key}': ${part}` : `, '${key}': ${part}`;
  }
  return text.length <= MAX_REPR - 2 ? `{${text}}` : repr(kwargs);
}

/** Repr of a value that has no parts, or `""`. */
function simpleRepr(value: unknown): string {
  if (typeof value === "string") return value.length <= MAX_REPR ? `'${value}'` : "";
  if (typeof value === "number") return numberRepr(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value === null || value === undefined) return "None";
  return typeof value === "bigint" ? value.toString() : "";
}

function numberRepr(value: number): string {
  if (Number.isInteger(value)) {
    if (Number.isSafeInteger(value)) return `${value}`;
  } else if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }
  // Python turns to exponents below 1e-4 and from 1e16, and writes two digits of them.
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e16) return `${value}`;
  return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

/** Prints into `text`; the part that uses up the room is the last one, `, ...` follows and brackets stay open. */
class Printer {
  text = "";
  readonly #maxLevels: number;
  /** Characters left. */
  #room: number;
  #full = false;
  readonly #above: object[] = [];

  constructor(maxLength: number, maxLevels: number) {
    this.#room = maxLength;
    this.#maxLevels = maxLevels;
  }

  #add(part: string): void {
    if (this.#room > 0) {
      this.text += part.length <= this.#room + SLACK ? part : `${part.slice(0, this.#room)}...`;
    } else if (!this.#full) {
      this.#full = true;
      this.text += ", ...";
    }
    this.#room -= part.length;
  }

  print(value: unknown, level: number): void {
    if (typeof value === "string") {
      this.#quoted(value);
    } else if (typeof value === "object" && value !== null) {
      const leaf = leafRepr(value, this.#room);
      if (leaf === "") this.#nested(value, level);
      else this.#add(leaf);
    } else {
      this.#add(simpleRepr(value) || `<${typeof value}>`);
    }
  }

  #quoted(text: string): void {
    this.#add(text.length <= this.#room ? `'${text}'` : `'${text.slice(0, Math.max(0, this.#room))}...'`);
  }

  #nested(value: object, level: number): void {
    const list = Array.isArray(value);
    if (level >= this.#maxLevels || this.#above.includes(value)) {
      this.#add(list ? "[...]" : "{...}");
      return;
    }
    this.#above.push(value);
    if (list) this.sequence(value, ["[", "]"], level);
    else this.#mapping(value, level);
    this.#above.pop();
  }

  sequence(items: readonly unknown[], ends: readonly [string, string], level: number): void {
    this.#add(ends[0]);
    for (let index = 0; index < items.length; index++) {
      if (this.#full) return;
      if (index > 0) this.#add(", ");
      this.print(items[index], level + 1);
    }
    this.#add(ends[1]);
  }

  #mapping(value: object, level: number): void {
    this.#add("{");
    let first = true;
    for (const key of Object.keys(value)) {
      if (this.#full) return;
      if (!first) this.#add(", ");
      first = false;
      this.#quoted(key);
      this.#add(": ");
      this.print((value as Record<string, unknown>)[key], level + 1);
    }
    this.#add("}");
  }
}

/** Repr of an object that is one value to Python, or `""`. */
function leafRepr(value: object, room: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === Array.prototype || prototype === null) return "";
  if (value instanceof Date) return dateRepr(value);
  if (value instanceof Uint8Array) return bytesRepr(value, room);
  if (value instanceof Uuid) return `UUID('${value.value}')`;
  if (value instanceof Decimal) return `Decimal('${value.value}')`;
  if (value instanceof PlainDate) {
    return `datetime.date(${value.value.split("-").map(Number).join(", ")})`;
  }
  if (value instanceof PlainTime) return timeRepr(value.value);
  if (value instanceof Error) return `<${value.name}>`;
  return "";
}

function dateRepr(value: Date): string {
  if (Number.isNaN(value.getTime())) return "<invalid date>";
  const fields = [
    value.getUTCFullYear(),
    value.getUTCMonth() + 1,
    value.getUTCDate(),
    value.getUTCHours(),
    value.getUTCMinutes(),
  ];
  const micros = value.getUTCMilliseconds() * 1000;
  if (micros > 0) fields.push(value.getUTCSeconds(), micros);
  else if (value.getUTCSeconds() > 0) fields.push(value.getUTCSeconds());
  return `datetime.datetime(${fields.join(", ")}, tzinfo=datetime.timezone.utc)`;
}

function timeRepr(text: string): string {
  const found = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?$/.exec(text);
  if (found === null) return `datetime.time('${text}')`;
  const [, hour, minute, second = "0", fraction = ""] = found;
  const fields = [Number(hour), Number(minute)];
  const micros = Number(fraction.padEnd(6, "0"));
  if (micros > 0) fields.push(Number(second), micros);
  else if (Number(second) > 0) fields.push(Number(second));
  return `datetime.time(${fields.join(", ")})`;
}

function bytesRepr(value: Uint8Array, room: number): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, Math.min(value.byteLength, Math.max(0, room)));
  const text = isUtf8(bytes) ? bytes.toString("utf8") : bytes.toString("hex");
  return value.byteLength > bytes.byteLength || text.length > room
    ? `b'${text.slice(0, Math.max(0, room))}...'`
    : `b'${text}'`;
}
