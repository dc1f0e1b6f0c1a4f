/** Arguments of commands: bound as Python binds keyword arguments, with its errors, and read as what they must be. */
import type { ControlCommandInfo } from "../../app/control-commands.ts";
import { CommandError, textRepr } from "./errors.ts";

/** What a request gives its command. */
export type Arguments = Readonly<Record<string, unknown>>;

/** @throws CommandError `TypeError`, with Python's words */
export function checkArguments(info: ControlCommandInfo, given: Arguments): void {
  if (info.optional !== null) {
    const known = new Set([...info.required, ...info.optional]);
    const unknown = Object.keys(given).find((name) => !known.has(name));
    if (unknown !== undefined) {
      throw typeError(`${info.name}() got an unexpected keyword argument ${textRepr(unknown)}`);
    }
  }
  const missing = info.required.filter((name) => !Object.hasOwn(given, name));
  if (missing.length === 0) return;
  const noun = missing.length === 1 ? "argument" : "arguments";
  throw typeError(
    `${info.name}() missing ${missing.length} required positional ${noun}: ${inWords(missing.map((name) => `'${name}'`))}`,
  );
}

/** `'a'`; `'a' and 'b'`; `'a', 'b', and 'c'`. */
function inWords(names: readonly string[]): string {
  if (names.length <= 2) return names.join(" and ");
  return `${names.slice(0, -1).join(", ")}, and ${names.at(-1) ?? ""}`;
}

function typeError(text: string): CommandError {
  return new CommandError("TypeError", text);
}

/** A name: text of a sane length. */
export function textOf(given: Arguments, name: string): string {
  const value = given[name];
  if (typeof value === "string" && value.length <= MAX_TEXT) return value;
  throw typeError(`${name} must be a text of at most ${MAX_TEXT} characters`);
}

/** As {@link textOf}; null: not given. */
export function optionalText(given: Arguments, name: string): string | null {
  return isGiven(given, name) ? textOf(given, name) : null;
}

/** One text, or a list of them; each once, in order. */
export function textsOf(given: Arguments, name: string): readonly string[] {
  const value = given[name];
  if (value === null || value === undefined) return [];
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return [...new Set(values.map((one) => textOf({ [name]: one }, name)))];
}

/** A number; null: not given. */
export function optionalNumber(given: Arguments, name: string): number | null {
  if (!isGiven(given, name)) return null;
  const value = given[name];
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw typeError(`${name} must be a number, 0 or more`);
}

/** A whole number of at least 1. */
export function countOf(given: Arguments, name: string, otherwise: number): number {
  const value = isGiven(given, name) ? given[name] : otherwise;
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
  throw typeError(`${name} must be a whole number, 1 or more`);
}

/** Python's truth of a switch. */
export function flagOf(given: Arguments, name: string): boolean {
  const value = given[name];
  return !(value === undefined || value === null || value === false || value === 0 || value === "");
}

function isGiven(given: Arguments, name: string): boolean {
  return given[name] !== undefined && given[name] !== null;
}

const MAX_TEXT = 1024;
