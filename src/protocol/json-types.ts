/** kombu's types inside JSON: `{"__type__": …, "__value__": …}` with exactly these two keys, anywhere. */
import { DecodeError } from "../errors.ts";
import { bytesOfBase64 } from "./base64.ts";
import { parseIso } from "./iso8601.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "./values.ts";

/** The `__type__`s that are read. */
export const KNOWN_TYPES: ReadonlySet<string> = new Set([
  "datetime",
  "date",
  "time",
  "uuid",
  "decimal",
  "bytes",
  "base64",
]);

/**
 * The value that an object stands for if it is of kombu's form, else the object.
 *
 * @throws DecodeError for a type that is not known, or a value that is not of its type
 */
export function fromTypedOr(object: Readonly<Record<string, unknown>>): unknown {
  if (!Object.hasOwn(object, "__type__") || !Object.hasOwn(object, "__value__")) return object;
  return Object.keys(object).length === 2 ? fromTyped(object["__type__"], object["__value__"]) : object;
}

/** Whether a receiver would take a plain object for kombu's form of a type that it does not know. */
export function isUnknownForm(object: Readonly<Record<string, unknown>>): boolean {
  const { __type__: type, __value__: value } = object;
  if (type === undefined || value === undefined || (typeof type === "string" && KNOWN_TYPES.has(type)))
    return false;
  return Object.values(object).filter((member) => member !== undefined).length === 2;
}

function fromTyped(type: unknown, value: unknown): unknown {
  const known = typeof type === "string" && KNOWN_TYPES.has(type);
  if (!known) {
    const name = typeof type === "string" ? JSON.stringify(type.slice(0, 64)) : `of a ${typeof type}`;
    throw new DecodeError(`__type__ ${name} is not known: a type of the sender's own cannot be read here`);
  }
  try {
    return convert(type, value);
  } catch (error) {
    throw new DecodeError(`a ${type} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function convert(type: string, value: unknown): unknown {
  if (type === "uuid" && typeof value === "object" && value !== null) {
    return new Uuid(text((value as { hex?: unknown }).hex));
  }
  const content = text(value);
  switch (type) {
    case "datetime":
      return new Date(parseIso(content));
    case "date":
      return new PlainDate(content);
    case "time":
      return new PlainTime(content);
    case "decimal":
      return new Decimal(content);
    case "bytes":
      return new TextEncoder().encode(content);
    case "base64":
      return bytesIn(content);
    default:
      return new Uuid(content);
  }
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new TypeError("its value is not a text");
  return value;
}

function bytesIn(base64: string): Uint8Array {
  const bytes = bytesOfBase64(base64);
  if (bytes === null) throw new TypeError("its value is not base64");
  return Uint8Array.from(bytes);
}
