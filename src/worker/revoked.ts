/**
 * What this worker is not to run: ids, and values of stamped headers. Python: `celery.worker.state`.
 *
 * A message is looked up when it is received, and again before it runs; while nothing is revoked that costs one read.
 */
import { type Clock, hostUptimeSeconds } from "../base/clock.ts";
import type { DecodedTask } from "../protocol/wire.ts";
import { LimitedSet } from "../statedb/limited-set.ts";
import type { Revocations, StateSnapshot } from "../statedb/state-db.ts";

/** Python's names, so that one environment serves both. */
const MAX_VARIABLE = "CELERY_WORKER_REVOKES_MAX";
const EXPIRES_VARIABLE = "CELERY_WORKER_REVOKE_EXPIRES";
const MAX = 50_000;
const EXPIRES_SECONDS = 10_800;
/** Longer ids are no ids: fifty thousand of them would fill the memory. */
export const MAX_ID_LENGTH = 1024;

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a task can be revoked by. */
export type Marked = Pick<DecodedTask, "id" | "task" | "stampedHeaders" | "stamps">;

/** Knows more than memory does. */
export interface RevokedDoubt {
  /** Whether this task is revoked, for all that can be known. Never rejects; ends when `signal` aborts. */
  check(task: Marked, signal: AbortSignal): Promise<boolean>;
}

export class Revoked {
  readonly ids: LimitedSet;
  /** Ids, and stamps, at most. */
  readonly max: number;
  /** What is to be asked before a task starts; null: memory knows all. Written by the state DB's keeper. */
  doubt: RevokedDoubt | null = null;
  /** `["name",value]` as JSON. */
  readonly #stamps: LimitedSet;

  constructor(options: { readonly clock: Clock; readonly env?: Environment }) {
    const { clock, env = process.env } = options;
    const settings = {
      max: Math.ceil(positive(env[MAX_VARIABLE], MAX)),
      expiresMs: positive(env[EXPIRES_VARIABLE], EXPIRES_SECONDS) * 1000,
      now: () => clock.monotonic(),
      stamp: hostUptimeSeconds,
    };
    this.max = settings.max;
    this.ids = new LimitedSet(settings);
    this.#stamps = new LimitedSet(settings);
  }

  /** Something is revoked. */
  get active(): boolean {
    return this.ids.size > 0 || this.#stamps.size > 0;
  }

  /** Whether this task is not to run. */
  covers(task: Marked): boolean {
    if (this.ids.has(task.id)) return true;
    return this.#stamps.size > 0 && task.stampedHeaders.some((name) => this.#coversStamp(name, task.stamps));
  }

  /** As {@link covers}, of all that can be known. */
  async knows(task: Marked, signal: AbortSignal): Promise<boolean> {
    return this.covers(task) || (this.doubt !== null && (await this.doubt.check(task, signal)));
  }

  #coversStamp(name: string, stamps: Readonly<Record<string, unknown>>): boolean {
    if (!Object.hasOwn(stamps, name)) return false;
    return listOf(stamps[name]).some((value) => this.#stamps.has(stampKey(name, value)));
  }

  // ---- with a state DB

  /** A set had no room: its oldest member left. */
  set onDrop(told: (() => void) | null) {
    this.ids.onDrop = told;
    this.#stamps.onDrop = told;
  }

  /** How long a store keeps them; null: for ever. */
  keepFor(seconds: number | null): void {
    for (const set of [this.ids, this.#stamps])
      set.keepFor(seconds === null ? Number.POSITIVE_INFINITY : seconds * 1000);
  }

  /** What a task carries that may be revoked. */
  stampsOf(task: Marked): readonly string[] {
    return task.stampedHeaders.flatMap((name) =>
      Object.hasOwn(task.stamps, name) ? listOf(task.stamps[name]).map((value) => stampKey(name, value)) : [],
    );
  }

  /** Ids, and stamps as {@link stampKey} makes them. */
  addAll(revoked: Revocations): void {
    for (const id of revoked.ids) this.ids.add(id);
    for (const stamp of revoked.stamps) this.#stamps.add(stamp);
  }

  /** What a store has, in place of what was here. */
  replace({ ids, stamps }: StateSnapshot): void {
    this.ids.replace(ids);
    this.#stamps.replace(stamps);
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

/** A header and its value, as the set has them. */
export function stampKey(name: string, value: unknown): string {
  return JSON.stringify([name, value]);
}

function positive(text: string | undefined, otherwise: number): number {
  const value = Number(text);
  return text !== undefined && text.trim() !== "" && Number.isFinite(value) && value > 0 ? value : otherwise;
}
