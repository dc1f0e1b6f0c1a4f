/**
 * Values as YAML that PyYAML's `safe_load` and every other reader takes for the same: flow style, all texts quoted, floats
 * with a point.
 */
import { Buffer } from "node:buffer";
import { type PlainFormat, toPlain } from "./plain.ts";

const FORMAT: PlainFormat = { name: "yaml", bytes: true, bigints: null };

/** Keys longer than this must be announced with a question mark. */
const LONG_KEY = 500;

/** @throws EncodeError with the path of what YAML has no core type for */
export function writeYaml(value: unknown, where: string): string {
  return `${write(toPlain(value, where, FORMAT))}\n`;
}

function write(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number") return number(value);
  if (value instanceof Uint8Array) return `!!binary "${Buffer.from(value).toString("base64")}"`;
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value)
      ? `[${value.map(write).join(", ")}]`
      : mapping(value as Record<string, unknown>);
  }
  return typeof value === "bigint" || typeof value === "boolean" ? `${value}` : "null";
}

function mapping(value: Readonly<Record<string, unknown>>): string {
  const members = Object.keys(value).map((key) => {
    const name = quoted(key);
    return `${name.length > LONG_KEY ? `? ${name} ` : name}: ${write(value[key])}`;
  });
  return `{${members.join(", ")}}`;
}

function number(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? ".nan" : value > 0 ? ".inf" : "-.inf";
  const text = Object.is(value, -0) ? "-0.0" : `${value}`;
  if (text.includes("e")) return /\..*e/.test(text) ? text : text.replace("e", ".0e");
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? `${text}.0` : text;
}

/** What YAML does not allow as it is, beside quote and backslash: controls, separators, lone surrogates, the BOM. */
const SPECIAL = /["\\\p{Cc}\u2028\u2029\ufeff\ufffe\uffff]|\p{Surrogate}/gu;

function quoted(text: string): string {
  return `"${text.replace(SPECIAL, escaped)}"`;
}

function escaped(char: string): string {
  if (char === '"' || char === "\\") return `\\${char}`;
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
