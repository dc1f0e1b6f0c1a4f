/** Numbers from query parameters and paths, which are text. */
import { RequestError } from "../errors.ts";

interface Range {
  readonly min: number;
  readonly max: number;
  /** Where the field is not given. Without it, the field is required. */
  readonly fallback?: number;
}

/** @throws RequestError 400, which names the field */
export function wholeNumber(fields: unknown, name: string, { min, max, fallback }: Range): number {
  const text = (fields as Readonly<Record<string, unknown>>)[name];
  if (text === undefined) {
    if (fallback !== undefined) return fallback;
    throw new RequestError(400, name, `${name} is missing`);
  }
  const value = typeof text === "string" && /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new RequestError(400, name, `${name} must be a whole number from ${min} to ${max}`);
}
