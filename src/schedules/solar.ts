/**
 * When the sun rises, sets, or stands at a height. Python: `celery.schedules.solar`, which asks PyEphem; ours asks `astronomy-engine`,
 * an optional package that is loaded with the first schedule of the kind.
 *
 * From an instant the sun is followed to the hour angle that its declination gives it at the event's height, and again from there, until
 * it stays. Where it never comes to that height on that day, the next one is looked at, from a minute after it was lowest: so Celery means
 * it, whose scheduler ends there with an error.
 */
import { createRequire } from "node:module";
import type * as Astronomy from "astronomy-engine";
import { requirePeer } from "../base/import-peer.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { readNowFun, type ScheduleOptions, type SolarEvent, type SolarSchedule } from "./schedule.ts";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const TURN = 2 * Math.PI;
const DEGREE = Math.PI / 180;
/** The instant that astronomy-engine counts days from. */
const EPOCH_MS = Date.UTC(2000, 0, 1, 12);
/** Of the sun, at a distance of one astronomical unit. */
const RADIUS = (959.63 / 3600) * DEGREE;
/** Of a day: some microseconds, so that an event is one instant wherever it is looked for from. */
const PRECISION = 1e-10;
const TURNS = 20;
const MOST_DAYS = 400;
/** So long after an event none is the same. */
const AFTER_MS = 2000;

interface EventRule {
  /** Degrees above the horizon; null: the meridian. */
  readonly height: number | null;
  readonly rising: boolean;
  /** Of the sun's upper edge, not its centre. */
  readonly edge: boolean;
}

const dawn = (height: number): EventRule => ({ height, rising: true, edge: false });
const dusk = (height: number): EventRule => ({ height, rising: false, edge: false });
const REFRACTION = -34 / 60;

const EVENTS: Readonly<Record<SolarEvent, EventRule>> = {
  dawn_astronomical: dawn(-18),
  dawn_nautical: dawn(-12),
  dawn_civil: dawn(-6),
  sunrise: { height: REFRACTION, rising: true, edge: true },
  solar_noon: { height: null, rising: true, edge: false },
  sunset: { height: REFRACTION, rising: false, edge: true },
  dusk_civil: dusk(-6),
  dusk_nautical: dusk(-12),
  dusk_astronomical: dusk(-18),
};

let loaded: typeof Astronomy | null = null;

function astronomy(): typeof Astronomy {
  loaded ??= requirePeer("astronomy-engine", "solar", createRequire(import.meta.url)) as typeof Astronomy;
  return loaded;
}

/**
 * At an event of the sun, each day: `solar("sunset", 45.46, 9.19)`. Where it does not come on a day, as beyond the polar
 * circles, there is no run on that day.
 *
 * @param lat - degrees, north is positive
 * @param lon - degrees, east is positive
 * @throws ImproperlyConfigured for an event or a place that there is not
 * @throws PetioleError `PET_PEER_MISSING` without the package `astronomy-engine`
 */
export function solar(event: SolarEvent, lat: number, lon: number): SolarSchedule;
export function solar(
  event: SolarEvent,
  lat: number,
  ...rest: readonly [lon: number, options?: ScheduleOptions]
): SolarSchedule;
export function solar(
  event: SolarEvent,
  lat: number,
  ...[lon, options]: readonly [lon: number, options?: ScheduleOptions]
): SolarSchedule {
  if (!Object.hasOwn(EVENTS, event)) {
    throw new ImproperlyConfigured(
      `solar: there is no event ${JSON.stringify(event)}, but ${Object.keys(EVENTS).join(", ")}`,
    );
  }
  for (const [name, degrees, most] of [["lat", lat, 90] as const, ["lon", lon, 180] as const]) {
    if (!(typeof degrees === "number" && Math.abs(degrees) <= most)) {
      throw new ImproperlyConfigured(
        `solar: ${name} cannot be ${JSON.stringify(degrees)}: it is a number of degrees from -${most} to ${most}`,
      );
    }
  }
  astronomy();
  return Object.freeze({ type: "solar", event, lat, lon, nowfun: readNowFun(options?.nowfun, "solar") });
}

const known = new WeakMap<SolarSchedule, { readonly afterMs: number; readonly nextMs: number }>();

/** The run after an instant, on a whole second; Infinity: there is none for more than a year, as at the poles. */
export function nextOfSolar(of: SolarSchedule, afterMs: number): number {
  const before = known.get(of);
  if (before?.afterMs === afterMs) return before.nextMs;
  const nextMs = findNext(of, afterMs + AFTER_MS);
  known.set(of, { afterMs, nextMs });
  return nextMs;
}

function findNext(of: SolarSchedule, afterMs: number): number {
  const { height, rising, edge } = EVENTS[of.event];
  const aimOf = (sun: Sun): Aim => {
    if (height === null) return { angle: 0, reached: true };
    const { angle, reached } = angleAt(height * DEGREE - (edge ? RADIUS / sun.distance : 0), of.lat, sun);
    return { angle: rising ? -angle : angle, reached };
  };
  let from = afterMs;
  for (let day = 0; day < MOST_DAYS; day += 1) {
    const found = follow(of, from, aimOf);
    if (found !== null) return Math.round(found / 1000) * 1000;
    from = (follow(of, from, () => LOWEST) as number) + MINUTE_MS;
  }
  return Infinity;
}

/** The latest run up to `nowMs`, of which there is one after `lastRunAtMs`. */
export function latestOfSolar(of: SolarSchedule, lastRunAtMs: number, nowMs: number): number {
  let latest = nextOfSolar(of, Math.max(lastRunAtMs, nowMs - 3 * DAY_MS));
  if (latest > nowMs) latest = nextOfSolar(of, lastRunAtMs);
  for (let next = latest; next <= nowMs; next = nextOfSolar(of, next)) latest = next;
  return latest;
}

/** Where the sun stands; radians, and astronomical units. */
interface Sun {
  readonly hourAngle: number;
  readonly declination: number;
  readonly distance: number;
}

/** An hour angle that the sun is to have. */
interface Aim {
  readonly angle: number;
  /** It is the one of the event; false: the nearest to it that there is. */
  readonly reached: boolean;
}

const LOWEST: Aim = { angle: Math.PI, reached: true };

/** The hour angle, after noon, at which the sun is at a height. */
function angleAt(height: number, latitude: number, { declination }: Sun): Aim {
  const lat = latitude * DEGREE;
  const cosine =
    (Math.sin(height) - Math.sin(lat) * Math.sin(declination)) / (Math.cos(lat) * Math.cos(declination));
  return { angle: Math.acos(Math.max(-1, Math.min(1, cosine))), reached: Math.abs(cosine) <= 1 };
}

/** ms at which the sun has the hour angle that it is to have, within the day after an instant; null: the event does not come. */
function follow(of: SolarSchedule, fromMs: number, aimOf: (sun: Sun) => Aim): number | null {
  let days = (fromMs - EPOCH_MS) / DAY_MS;
  let reached = true;
  for (let turn = 0; turn < TURNS; turn += 1) {
    const sun = sunAt(of, days);
    const aim = aimOf(sun);
    reached = aim.reached;
    let move = modulo(aim.angle - sun.hourAngle, TURN) / TURN;
    if (turn > 0 && move > 0.5) move -= 1;
    days += move;
    if (Math.abs(move) < PRECISION) break;
  }
  return reached ? EPOCH_MS + days * DAY_MS : null;
}

function sunAt({ lat, lon }: SolarSchedule, days: number): Sun {
  const { Body, Equator, MakeTime, Observer, SiderealTime } = astronomy();
  const time = MakeTime(days);
  const { ra, dec, dist } = Equator(Body.Sun, time, new Observer(lat, lon, 0), true, true);
  return {
    hourAngle: (SiderealTime(time) - ra) * 15 * DEGREE + lon * DEGREE,
    declination: dec * DEGREE,
    distance: dist,
  };
}

function modulo(value: number, of: number): number {
  return ((value % of) + of) % of;
}
