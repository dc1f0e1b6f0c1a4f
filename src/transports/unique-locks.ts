/**
 * Unique tasks: at most one message of a key is waiting or running. The broker decides, in the step that publishes.
 *
 * | a key's state | publish                                   | claim by its holder      | claim by another  | release by its holder | ttl ends |
 * |---------------|-------------------------------------------|--------------------------|-------------------|-----------------------|----------|
 * | free          | -> waiting                                | done: -> started; runs   | the same          |                       |          |
 * | waiting       | duplicate; with `replace` a new holder, and the old one is replaced | before its time: later; start: -> free, done: -> started; runs | replaced: does not run; else runs without the key | -> free | -> free |
 * | started       | duplicate                                 | runs                     | as above          | -> free               | -> free  |
 *
 * All of these may be repeated: the holder of a key is a task's id, and a publish by the holder, or by one that was replaced,
 * changes nothing.
 */
import { PetioleError } from "../errors.ts";
import type { RedisPublishClaim } from "../redis/publish-claim.ts";
import type { SqlitePublishClaim } from "../sqlite/index.ts";
import type { Outgoing } from "./transport.ts";

/** What a publish does besides in its own step, where the broker is on the server that it is meant for. */
export type PublishClaim = RedisPublishClaim | SqlitePublishClaim;

/** What a message says of its key: enough for the worker that runs it. */
export interface UniqueKey {
  readonly key: string;
  /** Of the key, from its publish or its start on. */
  readonly ttlMs: number;
  /** When the key is free again. */
  readonly until: "start" | "done";
}

/** The end of a unique task: its key is free, if the task of this id holds it. */
export interface UniqueEnd {
  readonly key: string;
  readonly id: string;
}

/** How a message takes its key. */
export interface UniqueTerms {
  readonly unique: UniqueKey;
  /** Takes the place of one that has not started. */
  readonly replace: boolean;
  /** Not to start before so long after the newest publish; 0: at once. Only with `replace`. */
  readonly debounceMs: number;
  /** But so long after the first publish at most; null: no bound. */
  readonly maxWaitMs: number | null;
  /** Default: none. */
  readonly claim?: PublishClaim | null | undefined;
}

/** A message that is published only if its key is free, or may be taken over. */
export interface UniqueMessage extends UniqueTerms {
  readonly outgoing: Outgoing;
  /** The task's. */
  readonly id: string;
}

/** Header of a message that has a key: `{"key", "ttl": seconds, "until"}`. Python's workers ignore it. */
export const UNIQUE_HEADER = "x-petiole-unique";
const LONGEST_KEY = 1024;

export function writeUniqueKey({ key, ttlMs, until }: UniqueKey): unknown {
  return { key, ttl: ttlMs / 1000, until };
}

/** null: there is none, or somebody else's. */
export function readUniqueKey(header: unknown): UniqueKey | null {
  if (typeof header !== "object" || header === null) return null;
  const { key, ttl, until } = header as Readonly<Record<string, unknown>>;
  if (typeof key !== "string" || key === "" || key.length > LONGEST_KEY) return null;
  if (typeof ttl !== "number" || !(ttl > 0 && ttl < 1e10) || (until !== "start" && until !== "done"))
    return null;
  return { key, ttlMs: Math.ceil(ttl * 1000), until };
}

export type Claim =
  | { readonly kind: "run" }
  /** A newer one took its place: it is not to run. */
  | { readonly kind: "replaced" }
  /** Not before then, by the broker's clock. */
  | { readonly kind: "later"; readonly untilMs: number };

export interface UniqueLocks {
  /**
   * In one round trip, in order; each is one step on the server. For each the id that holds its key: another one's when it was
   * not published. Rejects as `Transport.publish`; what a repeat finds published already is not published again. Rejects with
   * `PET_FENCED` when a claim is refused, and with `PET_SCHEDULE` when the entry of its run was removed.
   */
  publish(messages: readonly UniqueMessage[], signal: AbortSignal | null): Promise<readonly string[]>;
  /** Before a task starts. Asked until it is answered; rejects when the transport was stopped. */
  claim(unique: UniqueKey, id: string): Promise<Claim>;
  /** A task is over: its key is free, if it still holds it. Tried until the server has it; rejects as `claim`. */
  release(unique: UniqueKey, id: string): Promise<void>;
}

/** How long it is remembered that a message was replaced, at least: it is forgotten when it arrives. */
export const REPLACED_MS = 86_400_000;

/** @throws PetioleError always: a claim was refused */
export function fenced(): never {
  throw new PetioleError("PET_FENCED", "a run was not sent: another scheduler leads, and sends it");
}
