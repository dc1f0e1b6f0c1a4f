/** What an entry adds to its schedule: from when to when it runs, and what becomes of runs that were missed or come too early. */
import { ImproperlyConfigured } from "../errors.ts";
import { readTime } from "./schedule.ts";

/**
 * What becomes of runs that were missed, while no scheduler ran or its clock jumped. `"skip"`: nothing. `"once"`: the latest is sent.
 * `"all"`: each is sent, one after the other.
 */
export type CatchUp = "skip" | "once" | "all";

/**
 * What becomes of a run whose predecessor has not ended. `"allow"`: it is sent. `"skip"`: it is not, nor later.
 */
export type Overlap = "allow" | "skip";

/** Options of an entry that are not of its call. */
export interface EntryOptions {
  /** Runs once, and is over. Wire name `one_off`. Default: false. */
  readonly oneOff?: boolean | undefined;
  /**
   * Not before: a `Date`, or a text in ISO 8601. An interval has its runs then and each interval later. Runs since then count as missed at
   * the entry's first start. Wire name `start_time`.
   */
  readonly startTime?: Date | string | undefined;
  /** After it nothing is sent. django-celery-beat: `expires`. */
  readonly endTime?: Date | string | undefined;
  /** Seconds: each run is sent up to so much later, at random, but always before the next one. Default: 0. */
  readonly jitter?: number | undefined;
  /** Default: `"once"`, as Celery. */
  readonly catchUp?: CatchUp | undefined;
  /** Default: `"allow"`, as Celery. */
  readonly overlap?: Overlap | undefined;
}

/** Options of an entry, complete. */
export interface EntryPolicy {
  readonly oneOff: boolean;
  /** ms since the epoch; null: none. */
  readonly startTimeMs: number | null;
  /** ms since the epoch; null: none. */
  readonly endTimeMs: number | null;
  readonly jitterMs: number;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
}

/** Of an entry that says nothing. */
export const PLAIN_POLICY: EntryPolicy = Object.freeze({
  oneOff: false,
  startTimeMs: null,
  endTimeMs: null,
  jitterMs: 0,
  catchUp: "once",
  overlap: "allow",
});

/** Names of the options. */
export const POLICY_KEYS = ["oneOff", "startTime", "endTime", "jitter", "catchUp", "overlap"] as const;

const CATCH_UP: readonly string[] = ["skip", "once", "all"] satisfies CatchUp[];
const OVERLAP: readonly string[] = ["allow", "skip"] satisfies Overlap[];

/** @throws ImproperlyConfigured for an option that cannot be */
export function readPolicy(options: EntryOptions, where: string): EntryPolicy {
  if (!POLICY_KEYS.some((key) => (options[key] ?? null) !== null)) return PLAIN_POLICY;
  const jitter = options.jitter ?? 0;
  if (!(typeof jitter === "number" && jitter >= 0 && Number.isFinite(jitter))) {
    throw new ImproperlyConfigured(`${where}: jitter is not a number of seconds from 0`);
  }
  const [startTimeMs, endTimeMs] = (["startTime", "endTime"] as const).map((key) =>
    (options[key] ?? null) === null ? null : readTime(options[key], `${where}: ${key}`),
  ) as [number | null, number | null];
  if (startTimeMs !== null && endTimeMs !== null && endTimeMs < startTimeMs) {
    throw new ImproperlyConfigured(`${where}: endTime is before startTime, so that it would never run`);
  }
  const oneOff = options.oneOff ?? false;
  if (typeof oneOff !== "boolean") throw new ImproperlyConfigured(`${where}: oneOff is not true or false`);
  if (options.overlap === "skip" && options.catchUp === "all") {
    throw new ImproperlyConfigured(
      `${where}: catchUp "all" sends every run, and overlap "skip" does not: choose one of them`,
    );
  }
  return Object.freeze({
    oneOff,
    startTimeMs,
    endTimeMs,
    jitterMs: jitter * 1000,
    catchUp: oneOf(options.catchUp ?? "once", CATCH_UP, `${where}: catchUp`) as CatchUp,
    overlap: oneOf(options.overlap ?? "allow", OVERLAP, `${where}: overlap`) as Overlap,
  });
}

function oneOf(value: string, all: readonly string[], what: string): string {
  if (all.includes(value)) return value;
  throw new ImproperlyConfigured(`${what} cannot be ${JSON.stringify(value)}, but ${all.join(", ")}`);
}
