/** Readers of single headers and properties of a task message. What Python leaves out or sets to null is let through. */
import { DecodeError } from "../errors.ts";
import { parseIso } from "./iso8601.ts";
import type { DecodedTask } from "./wire.ts";

const NONE: Readonly<Record<string, unknown>> = Object.freeze({});
const NO_NAMES: readonly string[] = Object.freeze([]);
const NO_LIMITS: readonly [null, null] = [null, null];

/** A plain object: what JSON's `{}` becomes. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The object, or an empty one. */
export function readRecord(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : NONE;
}

/** A text that is not empty, or null. */
export function readText(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** Ms since the epoch of an ISO 8601 text, or null. @throws DecodeError */
export function readInstant(value: unknown, name: string): number | null {
  if (value === null || value === undefined || value === "") return null;
  if (value instanceof Date) return value.getTime();
  if (typeof value !== "string") throw new DecodeError(`the header ${name} is not an ISO 8601 text`);
  try {
    return parseIso(value);
  } catch (error) {
    throw new DecodeError(`the header ${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** A whole number that is not negative; absent: 0. @throws DecodeError */
export function readCount(value: unknown, name: string): number {
  if (value === null || value === undefined) return 0;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw new DecodeError(`the header ${name} is not a whole number`);
}

/** The wire's `[hard, soft]`, seconds. @throws DecodeError */
export function readTimeLimits(value: unknown): readonly [hard: number | null, soft: number | null] {
  if (value === null || value === undefined) return NO_LIMITS;
  if (!Array.isArray(value)) throw new DecodeError("the header timelimit is not [hard, soft]");
  const [hard, soft] = value as readonly unknown[];
  return hard === null && soft === null ? NO_LIMITS : [readSeconds(hard), readSeconds(soft)];
}

function readSeconds(value: unknown): number | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "number" && value >= 0) return value;
  throw new DecodeError("the header timelimit holds something else than seconds");
}

/** The texts of an array; absent: none. */
export function readNames(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return NO_NAMES;
  return value.filter((name) => typeof name === "string");
}

/** `properties.delivery_info`; what is missing is `""`. A redelivery is marked there and in the headers. */
export function readDeliveryInfo(value: unknown, redelivered: boolean): DecodedTask["deliveryInfo"] {
  const info = readRecord(value);
  const { exchange, routing_key: routingKey } = info;
  return {
    exchange: typeof exchange === "string" ? exchange : "",
    routingKey: typeof routingKey === "string" ? routingKey : "",
    redelivered: redelivered || info["redelivered"] === true,
  };
}
