/**
 * Values to JSON text as kombu reads it. Plain data is recognised and left to `JSON.stringify`; what needs kombu's types is
 * written here. Anything that cannot travel ends that with `""` (never a JSON text), and only then `flaws.ts` looks for its
 * path.
 */
import { Buffer, isUtf8 } from "node:buffer";
import { EncodeError } from "../errors.ts";
import { findFlaw } from "./flaws.ts";
import { toIso } from "./iso8601.ts";
import { isUnknownForm } from "./json-types.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "./values.ts";
import { isPythonDate, MAX_DEPTH, wireForm } from "./wire-form.ts";

/** Printable ASCII that JSON leaves as it is: nearly every text, and the quickest test. */
const PLAIN_TEXT = /^[ !#-[\]-~]*$/;

/** A string as JSON text. */
export function quote(text: string): string {
  return PLAIN_TEXT.test(text) ? `"${text}"` : JSON.stringify(text);
}

const lastId = { id: "", text: '""' };

/** As {@link quote}, for an id: a message has its own three times. */
export function quoteId(id: string): string {
  if (lastId.id !== id) {
    lastId.text = quote(id);
    lastId.id = id;
  }
  return lastId.text;
}

/**
 * JSON text of a value, with kombu's types for what JSON has not. `undefined` properties are left out; `undefined` itself
 * is `null`. NaN and infinities are written as Python writes them.
 *
 * @param where - names the value in an error: `argument 1`, `the result`
 * @throws EncodeError with the path of what cannot travel, and what to send instead
 */
export function stringifyJson(value: unknown, where = "the value"): string {
  if (typeof value === "object" && value !== null) {
    const small = Array.isArray(value) && value.length <= SMALL ? writeSmall(value) : "";
    if (small !== "") return small;
    if (isNative(value, 0)) return JSON.stringify(value);
  }
  const text = value === undefined ? "null" : write(value, 0);
  if (text === "") throw new EncodeError(findFlaw(value, where) ?? `${where} cannot be encoded`);
  return text;
}

/** Up to this length, arrays of scalars are written quicker here than by `JSON.stringify`. */
const SMALL = 4;

/** Text of an array of scalars, or `""`. */
function writeSmall(value: readonly unknown[]): string {
  let text = "[";
  for (let index = 0; index < value.length; index++) {
    const member = value[index];
    if (index > 0) text += ",";
    if (typeof member === "string") text += quote(member);
    else if (typeof member === "number" && isNativeNumber(member)) text += member;
    else if (member === null) text += "null";
    else return "";
  }
  return `${text}]`;
}

/** Whether `JSON.stringify` gives what {@link write} would: the quicker way for all but the smallest values. */
function isNative(value: unknown, depth: number): boolean {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return true;
  if (typeof value === "number") return isNativeNumber(value);
  if (typeof value !== "object" || depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      if (!isNative(value[index], depth + 1)) return false;
    }
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key];
    if (key === "__type__" || key === "__proto__" || (member !== undefined && !isNative(member, depth + 1)))
      return false;
  }
  return true;
}

/** Fractions are written alike; of whole numbers, those that are safe and not minus zero. */
function isNativeNumber(value: number): boolean {
  return Number.isSafeInteger(value)
    ? value !== 0 || !Object.is(value, -0)
    : value % 1 !== 0 && Number.isFinite(value);
}

function write(value: unknown, depth: number): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") return writeNumber(value);
  if (typeof value === "boolean") return value ? "true" : "false";
  if (value === null) return "null";
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || depth >= MAX_DEPTH) return "";
  return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1);
}

/** Whole numbers beyond 2^53 get a fraction: they are floats to Python and must come back as numbers, not as bigint. */
function writeNumber(value: number): string {
  if (Number.isFinite(value)) {
    if (!Number.isInteger(value) || Number.isSafeInteger(value))
      return Object.is(value, -0) ? "-0.0" : `${value}`;
    const text = `${value}`;
    return text.includes("e") ? text : `${text}.0`;
  }
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

function writeArray(value: readonly unknown[], depth: number): string {
  let text = "";
  for (let index = 0; index < value.length; index++) {
    const part = write(value[index], depth);
    if (part === "") return "";
    text += index === 0 ? part : `,${part}`;
  }
  return `[${text}]`;
}

function writeObject(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    return writePlain(value as Record<string, unknown>, depth);
  }
  return writeSpecial(value, depth);
}

function writePlain(value: Readonly<Record<string, unknown>>, depth: number): string {
  let text = "";
  for (const key of Object.keys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    if (key === "__proto__" || (key === "__type__" && isUnknownForm(value))) return "";
    const part = write(member, depth);
    if (part === "") return "";
    text += text === "" ? `${quote(key)}:${part}` : `,${quote(key)}:${part}`;
  }
  return `{${text}}`;
}

function typed(type: string, value: string): string {
  return `{"__type__":"${type}","__value__":${value}}`;
}

function writeSpecial(value: object, depth: number): string {
  if (value instanceof Date) {
    const ms = value.getTime();
    return isPythonDate(ms) ? typed("datetime", `"${toIso(ms)}"`) : "";
  }
  if (value instanceof Uint8Array) return writeBytes(value);
  if (value instanceof Uuid) return typed("uuid", `{"hex":"${value.value.replaceAll("-", "")}"}`);
  if (value instanceof PlainDate) return typed("date", quote(value.value));
  if (value instanceof PlainTime) return typed("time", quote(value.value));
  if (value instanceof Decimal) return typed("decimal", quote(value.value));
  const data = wireForm(value);
  return data === null ? "" : writePlain(data, depth);
}

function writeBytes(value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return isUtf8(bytes)
    ? typed("bytes", quote(bytes.toString("utf8")))
    : typed("base64", `"${bytes.toString("base64")}"`);
}
