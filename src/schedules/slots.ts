/**
 * Slots: the runs that an entry has by its schedule and its options. A slot keeps its time, and with it the id of its run, however late
 * it is sent.
 */
import { parseIso } from "../protocol/iso8601.ts";
import { dueRun, type Moment, nextRun } from "./due.ts";
import type { EntryPolicy } from "./policy.ts";
import type { Schedule } from "./schedule.ts";

/** An entry, as far as its slots go. */
export interface Slotted {
  readonly name: string;
  readonly schedule: Schedule;
  readonly policy: EntryPolicy;
}

/** What an entry counts from that has never run. */
export function beginning({ schedule, policy }: Slotted, nowMs: number): number {
  const { startTimeMs } = policy;
  const first = startTimeMs ?? (schedule.type === "clocked" ? parseIso(schedule.clockedTime) : null);
  return first === null ? nowMs : Math.min(nowMs, first - 1);
}

/** The slot after an instant; Infinity: there is none. */
export function nextSlot(of: Slotted, afterMs: number, zone: string): number {
  const { startTimeMs, endTimeMs } = of.policy;
  const next =
    startTimeMs === null
      ? nextRun(of.schedule, afterMs, zone)
      : anchored(of, { startTimeMs, lastRunAtMs: afterMs, zone });
  return endTimeMs !== null && next > endTimeMs ? Infinity : next;
}

/** The latest slot that has come since the last run; null: none has. */
export function latestSlot(of: Slotted, moment: Moment): number | null {
  const { schedule, policy } = of;
  const { startTimeMs, endTimeMs } = policy;
  const nowMs = endTimeMs === null ? moment.nowMs : Math.min(moment.nowMs, endTimeMs);
  if (startTimeMs === null) return dueRun(schedule, { ...moment, nowMs });
  const first = nextSlot(of, moment.lastRunAtMs, moment.zone);
  if (first > nowMs) return null;
  if (schedule.type === "interval" && !schedule.relative) {
    const everyMs = schedule.every * 1000;
    return first + Math.floor((nowMs - first) / everyMs) * everyMs;
  }
  return dueRun(schedule, { ...moment, lastRunAtMs: first, nowMs }) ?? first;
}

function anchored(of: Slotted, from: Omit<Moment, "nowMs"> & { readonly startTimeMs: number }): number {
  const { startTimeMs, lastRunAtMs, zone } = from;
  const { schedule } = of;
  if (schedule.type !== "interval" || schedule.relative) {
    return nextRun(schedule, Math.max(lastRunAtMs, startTimeMs - 1), zone);
  }
  if (lastRunAtMs < startTimeMs) return startTimeMs;
  const everyMs = schedule.every * 1000;
  const next = startTimeMs + (Math.floor((lastRunAtMs - startTimeMs) / everyMs) + 1) * everyMs;
  return next > lastRunAtMs ? next : next + everyMs;
}

/** When a slot is to be sent: itself, or up to the entry's jitter later. The same for every scheduler. */
export function sendTime(of: Slotted, slotMs: number, zone: string): number {
  const { jitterMs } = of.policy;
  if (jitterMs === 0 || slotMs === Infinity) return slotMs;
  const gapMs = nextSlot(of, slotMs, zone) - slotMs;
  return slotMs + Math.floor(share(`${of.name} ${slotMs}`) * Math.min(jitterMs, gapMs));
}

/** A number from 0 to 1 (without 1) that a text stands for: FNV-1a, then mixed as MurmurHash3 ends. */
function share(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
