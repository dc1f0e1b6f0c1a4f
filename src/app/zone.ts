import { localZone } from "../base/time-zone.ts";
import type { ResolvedSettings } from "./internals.ts";

/** IANA name of the zone that schedules are in. */
export function zoneOf(conf: Pick<ResolvedSettings, "timezone" | "enableUtc">): string {
  return conf.timezone ?? (conf.enableUtc === false ? localZone() : "UTC");
}
