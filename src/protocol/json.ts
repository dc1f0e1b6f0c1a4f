/**
 * JSON as kombu writes and reads it. Native `JSON.parse` does the work whenever a cheap look shows nothing that it would
 * lose or get wrong; else `json-tolerant.ts`.
 */
import { parseTolerant } from "./json-tolerant.ts";
import { fromTypedOr } from "./json-types.ts";
import { DEFAULT_LIMITS, type Limits } from "./wire.ts";

export { stringifyJson } from "./json-write.ts";

/**
 * The value of a JSON text. kombu's types become `Date`, `Uint8Array`, `Uuid`, `PlainDate`, `PlainTime`, `Decimal`;
 * integers beyond 2^53 become bigint; the last of two equal keys counts; a key `__proto__` is dropped.
 *
 * @throws DecodeError: not JSON, an unknown `__type__`, or nested too deep (`PET_MESSAGE_TOO_LARGE`)
 */
export function parseJson(text: string, limits: Pick<Limits, "maxDepth"> = DEFAULT_LIMITS): unknown {
  if (hasLongInteger(text) || isDeep(text, limits.maxDepth)) return parseTolerant(text, limits.maxDepth);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return parseTolerant(text, limits.maxDepth);
  }
  return hasSpecialKeys(text) ? revive(value) : value;
}

/** Whether the text may hold a kombu type or a key `__proto__`, or an escaped spelling of these. */
function hasSpecialKeys(text: string): boolean {
  if (text.includes("__") && (text.includes("__type__") || text.includes("__proto__"))) return true;
  return text.includes("\\u00") && /\\u00[2-7]/.test(text);
}

/** Replaces kombu's forms by their values and drops keys `__proto__`, in place. The depth is known to be bounded. */
function revive(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const member: unknown = value[index];
      if (typeof member === "object") value[index] = revive(member);
    }
    return value;
  }
  const object = value as Record<string, unknown>;
  if (Object.hasOwn(object, "__proto__")) delete object["__proto__"];
  for (const key of Object.keys(object)) {
    const member = object[key];
    if (typeof member === "object") object[key] = revive(member);
  }
  return fromTypedOr(object);
}

/** Whether 16 digits stand in a row, not after a point. Looks at every 16th character: one of them would be hit. */
function hasLongInteger(text: string): boolean {
  for (let at = 15; at < text.length; at += 16) {
    if (!isDigit(text, at)) continue;
    let start = at;
    while (start > 0 && isDigit(text, start - 1)) start--;
    let end = at + 1;
    while (end - start < 16 && isDigit(text, end)) end++;
    if (end - start < 16) continue;
    if (text.charCodeAt(start - 1) !== 0x2e) return true;
    while (isDigit(text, end)) end++;
    at = end;
  }
  return false;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0x30 && code <= 0x39;
}

/** Whether there are enough brackets for a nesting beyond the limit; brackets inside strings count, which only costs time. */
function isDeep(text: string, maxDepth: number): boolean {
  if (text.length <= maxDepth * 2) return false;
  let brackets = 0;
  for (const bracket of ["[", "{"]) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (++brackets > maxDepth) return true;
    }
  }
  return false;
}
