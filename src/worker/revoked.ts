/**
 * What this worker is not to run: ids, and values of stamped headers. Python: `celery.worker.state`.
 *
 * A message is looked up when it is received, and again before it runs; while nothing is revoked that costs one read.
 */
import { type Clock, hostUptimeSeconds } from "../base/clock.ts";
import type { DecodedTask } from "../protocol/wire.ts";
import { LimitedSet } from "../statedb/limited-set.ts";

/** Python's names, so that one environment serves both. */
const MAX_VARIABLE = "CELERY_WORKER_REVOKES_MAX";
const EXPIRES_VARIABLE = "CELERY_WORKER_REVOKE_EXPIRES";
const MAX = 50_000;
const EXPIRES_SECONDS = 10_800;
/** Longer ids are no ids: fifty thousand of them would fill the memory. */
export const MAX_ID_LENGTH = 1024;

export type Environment = Readonly<Record<string, string | undefined>>;

export class Revoked {
  readonly ids: LimitedSet;
  /** `["name",value]` as JSON. */
  readonly #stamps: LimitedSet;

  constructor(options: { readonly clock: Clock; readonly env?: Environment }) {
    const { clock, env = process.env } = options;
    const settings = {
      max: positive(env[MAX_VARIABLE], MAX),
      expiresMs: positive(env[EXPIRES_VARIABLE], EXPIRES_SECONDS) * 1000,
      now: () => clock.monotonic(),
      stamp: hostUptimeSeconds,
    };
    this.ids = new LimitedSet(settings);
    this.#stamps = new LimitedSet(settings);
  }

  /** Something is revoked. */
  get active(): boolean {
    return this.ids.size > 0 || this.#stamps.size > 0;
  }

  /** Whether this task is not to run. */
  covers(task: DecodedTask): boolean {
    if (this.ids.has(task.id)) return true;
    return this.#stamps.size > 0 && task.stampedHeaders.some((name) => this.#coversStamp(name, task.stamps));
  }

  #coversStamp(name: string, stamps: Readonly<Record<string, unknown>>): boolean {
    if (!Object.hasOwn(stamps, name)) return false;
    return listOf(stamps[name]).some((value) => this.#stamps.has(stampKey(name, value)));
  }

  /** Revokes what carries this value under this header. */
  addStamp(name: string, value: unknown): void {
    this.#stamps.add(stampKey(name, value));
  }
}

/** Values that two sides have in common, by what they are in JSON. */
export function commonStamps(stamps: unknown, wanted: unknown): readonly unknown[] {
  const keys = new Set(listOf(wanted).map((value) => JSON.stringify(value)));
  return listOf(stamps).filter((value) => keys.has(JSON.stringify(value)));
}

/** One value stands for a list of one. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function stampKey(name: string, value: unknown): string {
  return JSON.stringify([name, value]);
}

function positive(text: string | undefined, otherwise: number): number {
  const value = Number(text);
  return text !== undefined && text.trim() !== "" && Number.isFinite(value) && value > 0 ? value : otherwise;
}
