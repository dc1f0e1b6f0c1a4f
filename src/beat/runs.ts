/** What identifies one run of an entry: the same for every scheduler, at every attempt. */
import { createHash } from "node:crypto";
import type { PeriodicRun } from "../app/internals.ts";

/** Longer than any attempt lasts whose scheduler may have lost its place meanwhile. */
const KEY_MS = 15 * 60_000;

/** A UUID (version 8, RFC 9562) of the app, the entry and the slot, and a key for the broker of the same. */
export function runOf(app: string, entry: string, slotMs: number): Omit<PeriodicRun, "claim"> {
  const slot = String(Math.round(slotMs * 1000) / 1000);
  const bytes = createHash("sha256")
    .update(JSON.stringify([app, entry, slot]))
    .digest();
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString("hex", 0, 16);
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
    "-",
  );
  return { id, key: `beat:${id}`, keyMs: KEY_MS };
}
