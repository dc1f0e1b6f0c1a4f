/**
 * Time zones of the IANA database, by what `Intl` knows of them. A wall time is the number of ms since the epoch that a clock
 * showing it in UTC would have.
 *
 * A wall time that is skipped counts with the offset before the change; one that comes twice is the first of the two. Python's
 * `zoneinfo` reads both so (PEP 495, `fold=0`).
 */
const DAY_MS = 86_400_000;
const formatters = new Map<string, Intl.DateTimeFormat>();

/** A time in which a zone keeps its offset. */
export interface ZoneSegment {
  readonly startMs: number;
  /** The first ms after it. */
  readonly endMs: number;
  readonly offsetMs: number;
  /** The offset just before `startMs`. The same: what was looked at begins here, and no change. */
  readonly beforeMs: number;
}

/** Changes of a zone lie further apart; a week less an hour is the shortest time in the database. */
const STEP_MS = 3 * DAY_MS;
/** How far a change is looked for. */
const REACH_MS = 400 * DAY_MS;
const MOST_SEGMENTS = 64;
const UTC: ZoneSegment = { startMs: -Infinity, endMs: Infinity, offsetMs: 0, beforeMs: 0 };
/** What was found, by zone; the latest first. */
const segments = new Map<string, ZoneSegment[]>();

/**
 * Offset from UTC in ms that a zone has at an instant.
 *
 * @throws RangeError when there is no such zone
 */
export function zoneOffsetMs(ms: number, zone: string): number {
  if (zone === "UTC") return 0;
  let format = formatters.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formatters.set(zone, format);
  }
  const part: Record<string, string> = {};
  for (const { type, value } of format.formatToParts(ms)) part[type] = value;
  const wall = new Date(0);
  wall.setUTCFullYear(Number(part["year"]), Number(part["month"]) - 1, Number(part["day"]));
  wall.setUTCHours(Number(part["hour"]), Number(part["minute"]), Number(part["second"]));
  return wall.getTime() - Math.floor(ms / 1000) * 1000;
}

/** The segment of a zone that holds an instant. Found once: asked again, it costs no look into the database. */
export function segmentAt(ms: number, zone: string): ZoneSegment {
  if (zone === "UTC") return UTC;
  let known = segments.get(zone);
  if (known === undefined) {
    known = [];
    segments.set(zone, known);
  }
  for (const one of known) if (one.startMs <= ms && ms < one.endMs) return one;
  const found = findSegment(ms, zone);
  known.unshift(found);
  if (known.length > MOST_SEGMENTS) known.pop();
  return found;
}

function findSegment(ms: number, zone: string): ZoneSegment {
  const offsetMs = zoneOffsetMs(ms, zone);
  const endMs = changeFrom(ms, STEP_MS, zone);
  const lastBefore = changeFrom(ms, -STEP_MS, zone);
  const startMs = lastBefore + 1000;
  return { startMs, endMs, offsetMs, beforeMs: zoneOffsetMs(lastBefore, zone) };
}

/** The first whole second beyond `ms` that has another offset, in the direction of `step`; without a change the end of what is looked at. */
function changeFrom(ms: number, step: number, zone: string): number {
  const offset = zoneOffsetMs(ms, zone);
  let same = Math.floor(ms / 1000) * 1000;
  const end = same + Math.sign(step) * REACH_MS;
  let other = same + step;
  while (zoneOffsetMs(other, zone) === offset) {
    if (step > 0 ? other >= end : other <= end) return other;
    same = other;
    other += step;
  }
  while (Math.abs(other - same) > 1000) {
    const middle = Math.floor((same + other) / 2000) * 1000;
    if (zoneOffsetMs(middle, zone) === offset) same = middle;
    else other = middle;
  }
  return other;
}

/** What the clocks of a zone show at an instant. */
export function wallOf(ms: number, zone: string): number {
  return ms + segmentAt(ms, zone).offsetMs;
}

/** When the clocks of a zone show a wall time. */
export function instantOf(wall: number, zone: string): number {
  if (zone === "UTC") return wall;
  const before = segmentAt(wall - DAY_MS, zone).offsetMs;
  const after = segmentAt(wall + DAY_MS, zone).offsetMs;
  const first = wall - before;
  if (before === after || segmentAt(first, zone).offsetMs === before) return first;
  const second = wall - after;
  return segmentAt(second, zone).offsetMs === after ? second : first;
}

/** The zone of this machine. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
