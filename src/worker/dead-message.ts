/** What can still be read of a message that is no message. */
import { parseJson } from "../protocol/json.ts";
import { taskIdOf } from "../protocol/message.ts";
import type { WireMessage } from "../protocol/wire.ts";

/** Longer ones are not looked at: they are on the dead list for people to see. */
const MAX_CHARS = 1024 * 1024;

/** The id under which a failure can be stored, of the raw text of a dead message; null: none. */
export function deadTaskId(raw: string): string | null {
  if (raw.length > MAX_CHARS) return null;
  let envelope: unknown;
  try {
    envelope = parseJson(raw);
  } catch {
    return null;
  }
  if (typeof envelope !== "object" || envelope === null) return null;
  const { headers, properties } = envelope as Record<string, unknown>;
  return taskIdOf({ headers: recordOf(headers), properties: recordOf(properties) } as unknown as WireMessage);
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
