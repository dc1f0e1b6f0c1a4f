/** Why a value cannot travel, with its path and what to send instead. Runs only after an encoder has failed. */
import { isUnknownForm } from "./json-types.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "./values.ts";
import { isPythonDate, MAX_DEPTH, wireForm } from "./wire-form.ts";

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** A sentence such as `argument 1.when is a Map: send …`, or null when the value can travel. */
export function findFlaw(value: unknown, where: string): string | null {
  return look(value, where, []);
}

function look(value: unknown, path: string, above: readonly object[]): string | null {
  if (typeof value === "object" && value !== null) return lookInObject(value, path, above);
  if (typeof value === "undefined") {
    return `${path} is undefined: it would arrive as null; send null, or leave it out`;
  }
  if (typeof value === "function") return `${path} is a function: only data can be sent`;
  return typeof value === "symbol" ? `${path} is a symbol: only data can be sent` : null;
}

function lookInObject(value: object, path: string, above: readonly object[]): string | null {
  if (above.includes(value)) return `${path} refers back to an object that holds it: send a tree, or ids`;
  if (above.length >= MAX_DEPTH) return `${path} is nested deeper than ${MAX_DEPTH} levels: send it flat`;
  const inside = [...above, value];
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const flaw = look(value[index], `${path}[${index}]`, inside);
      if (flaw !== null) return flaw;
    }
    return null;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    const problem = problemOf(value);
    if (problem !== null) return `${path} is ${problem}`;
    if (isLeaf(value)) return null;
  }
  return lookInMembers(wireForm(value) ?? (value as Record<string, unknown>), path, inside);
}

function lookInMembers(
  value: Readonly<Record<string, unknown>>,
  path: string,
  inside: readonly object[],
): string | null {
  if (isUnknownForm(value)) {
    return `${path} has just the keys __type__ and __value__ with a type that no receiver knows: rename one`;
  }
  for (const key of Object.keys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    if (key === "__proto__") return `${path} has a key __proto__, which receivers drop: rename it`;
    const at = IDENTIFIER.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
    const flaw = look(member, at, inside);
    if (flaw !== null) return flaw;
  }
  return null;
}

function isLeaf(value: object): boolean {
  return (
    value instanceof Date ||
    value instanceof Uint8Array ||
    value instanceof Uuid ||
    value instanceof PlainDate ||
    value instanceof PlainTime ||
    value instanceof Decimal
  );
}

function problemOf(value: object): string | null {
  if (value instanceof Date) {
    if (isPythonDate(value.getTime())) return null;
    return Number.isNaN(value.getTime())
      ? "an invalid Date: send a valid one, or null"
      : "a Date outside the years 1 to 9999, which Python cannot hold: send a number or a text";
  }
  if (isLeaf(value)) return null;
  if (value instanceof Map) return "a Map: send an object (Object.fromEntries) or an array of pairs";
  if (value instanceof Set) return "a Set: send an array ([...set])";
  if (value instanceof Error) return "an Error: throw it instead, or send its message";
  if (value instanceof Promise) return "a Promise: await it first";
  if (value instanceof RegExp) return "a RegExp: send its source";
  if (value instanceof ArrayBuffer) return "an ArrayBuffer: send a Uint8Array of it";
  if (ArrayBuffer.isView(value)) return `a ${nameOf(value)}: send an array (Array.from), or a Uint8Array`;
  if (value instanceof WeakMap || value instanceof WeakSet)
    return `a ${nameOf(value)}: only data can be sent`;
  if (["Number", "String", "Boolean"].includes(Object.prototype.toString.call(value).slice(8, -1))) {
    return `a boxed ${nameOf(value)}: send the plain value`;
  }
  if (wireForm(value) !== null) return null;
  const name = nameOf(value);
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    return `an instance of ${name}: send its text (toString, toJSON) or a plain object`;
  }
  return `an instance of ${name}: send a plain object ({ ...it }) of the fields that matter`;
}

function nameOf(value: object): string {
  const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === "string" && name !== "" ? name : "a class without a name";
}
