/**
 * Time zones of the IANA database, by what `Intl` knows of them. A wall time is the number of ms since the epoch that a clock
 * showing it in UTC would have.
 *
 * A wall time that is skipped counts with the offset before the change; one that comes twice is the first of the two. Python's
 * `zoneinfo` reads both so (PEP 495, `fold=0`).
 */
const DAY_MS = 86_400_000;
const formatters = new Map<string, Intl.DateTimeFormat>();

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

/** What the clocks of a zone show at an instant. */
export function wallOf(ms: number, zone: string): number {
  return ms + zoneOffsetMs(ms, zone);
}

/** When the clocks of a zone show a wall time. */
export function instantOf(wall: number, zone: string): number {
  if (zone === "UTC") return wall;
  const before = zoneOffsetMs(wall - DAY_MS, zone);
  const after = zoneOffsetMs(wall + DAY_MS, zone);
  const first = wall - before;
  if (before === after || zoneOffsetMs(first, zone) === before) return first;
  const second = wall - after;
  return zoneOffsetMs(second, zone) === after ? second : first;
}

/** The zone of this machine. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
