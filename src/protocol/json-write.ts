/**
 * Values to JSON text as kombu reads it. One pass builds the text of plain data; anything that cannot travel ends it with
 * `""` (never a JSON text), and only then `flaws.ts` looks for the path.
 */
import { Buffer, isUtf8 } from "node:buffer";
import { EncodeError } from "../errors.ts";
import { findFlaw } from "./flaws.ts";
import { toIso } from "./iso8601.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "./values.ts";
import { isPythonDate, MAX_DEPTH, wireForm } from "./wire-form.ts";

// What a JSON string must escape; surrogates go the slow way too, where lone ones are escaped.
const SPECIAL = /["\\\u0000-\u001f\ud800-\udfff]/;

/** A string as JSON text. */
export function quote(text: string): string {
  return SPECIAL.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/**
 * JSON text of a value, with kombu's types for what JSON has not. `undefined` properties are left out; `undefined` itself
 * is `null`. NaN and infinities are written as Python writes them.
 *
 * @param where - names the value in an error: `argument 1`, `the result`
 * @throws EncodeError with the path of what cannot travel, and what to send instead
 */
export function stringifyJson(value: unknown, where = "the value"): string {
  const text = value === undefined ? "null" : write(value, 0);
  if (text === "" || (text.includes('"__type__"') && findFlaw(value, where) !== null)) {
    throw new EncodeError(findFlaw(value, where) ?? `${where} cannot be encoded`);
  }
  return text;
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return writeNumber(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      return value.toString();
    case "object":
      if (value === null) return "null";
      if (depth >= MAX_DEPTH) return "";
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1);
    default:
      return "";
  }
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
  const { length } = value;
  if (length === 0) return "[]";
  let text = "[";
  for (let index = 0; index < length; index++) {
    const part = write(value[index], depth);
    if (part === "") return "";
    text += index === 0 ? part : `,${part}`;
  }
  return `${text}]`;
}

function writeObject(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    return writePlain(value as Record<string, unknown>, depth);
  }
  return writeSpecial(value, depth);
}

function writePlain(value: Readonly<Record<string, unknown>>, depth: number): string {
  let text = "{";
  for (const key of Object.keys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    const part = write(member, depth);
    if (part === "") return "";
    text += text === "{" ? `${quote(key)}:${part}` : `,${quote(key)}:${part}`;
  }
  return `${text}}`;
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
