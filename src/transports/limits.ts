/**
 * Limits that hold over all workers: how many tasks run at once, how many start in a time. Asked of the broker just before a
 * task starts, in one step on its clock.
 *
 * | an id that asks | leaves by |
 * |-----------------|-----------|
 * | waits in the line of a concurrency limit, first in, first out; its message is with the broker | a free slot -> called |
 * | waits for its moment of a rate limit; its message is parked | its time: it asks again, and has it |
 * | called: its message is at the front of its queue, a slot is kept for it | asks again -> runs; not within a lease (30 s): the next one |
 * | runs: it has a slot as long as the lease of its delivery runs | its settlement or `release`; loss of its holder |
 *
 * Ids are counted, not deliveries: a message that is delivered twice has one slot.
 */
import { createHash } from "node:crypto";

/** What one task asks for. */
export interface LimitClaim {
  readonly id: string;
  readonly task: string;
  /** `key` "": one limit for the whole task. */
  readonly concurrency: { readonly key: string; readonly limit: number } | null;
  readonly rate: { readonly key: string; readonly perSecond: number; readonly burst: number } | null;
}

export type Admission =
  | { readonly kind: "run" }
  /** Its message is the broker's again: no settlement. */
  | { readonly kind: "wait"; readonly for: "concurrency"; readonly key: string }
  | { readonly kind: "wait"; readonly for: "rate"; readonly key: string; readonly untilMs: number }
  /** The hold had ended already. */
  | { readonly kind: "gone" };

export interface LimitWaiter {
  readonly id: string;
  /** The broker's clock, ms since the epoch. */
  readonly sinceMs: number;
  /** Of a rate limit; null: when a slot is free. */
  readonly untilMs: number | null;
}

/** One limit that is in use. */
export interface LimitState {
  readonly kind: "concurrency" | "rate";
  readonly task: string;
  /** "": of the whole task. */
  readonly key: string;
  /** Slots; of a rate the burst. */
  readonly limit: number;
  /** Of a rate. */
  readonly perSecond: number | null;
  /** Ids that have a slot, with those that were called and have not come yet. */
  readonly holders: readonly string[];
  readonly waiting: number;
  /** The first of them, in the order of their turn. */
  readonly waiters: readonly LimitWaiter[];
  /** When the next task may start; null: when a slot is free. In the past: now. */
  readonly freeAtMs: number | null;
}

/** That many waiters are told of each limit. */
export const WAITERS_TOLD = 100;

/** Names a limit: `c:<task>#<key>` or `r:<task>#<key>`. */
export function limitName(kind: LimitState["kind"], task: string, key: string): string {
  return `${kind === "rate" ? "r" : "c"}:${task.replace(/[%#]/g, encodeURIComponent)}#${key}`;
}

const LONGEST_KEY = 200;

/** A key as it is stored: a long one by its hash. */
export function shortKey(key: string): string {
  if (key.length <= LONGEST_KEY) return key;
  return `sha256:${createHash("sha256").update(key).digest("hex")}`;
}

/** What is kept beside a limit's name, so that any worker can go on with it. */
export interface LimitRecord {
  readonly task: string;
  readonly key: string;
  readonly limit: number;
  readonly perSecond: number | null;
}
