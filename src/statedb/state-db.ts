/**
 * Where revokes outlive workers. One conformance suite (`test/conformance/statedb.ts`) runs over all implementations.
 *
 * A revoked member is a task's id, or a stamp: `["header",value]` as JSON. It is known from when it was written until somebody
 * purges it; nothing is dropped by age unless the store has a time to live. A store has
 *
 * | part        | written by                 | read by                     |
 * |-------------|----------------------------|-----------------------------|
 * | own journal | a worker, at every revoke  | the worker of that name     |
 * | shared set  | workers and clients        | all workers (`shared` only) |
 * | blob, clock | a worker, at checkpoints   | the worker of that name, Python's too |
 *
 * The writer of a checkpoint is the worker that claimed the name last: an earlier one is fenced. Journal and shared set need no
 * fence: their writes commute.
 *
 * | call     | away                      | otherwise                                                    |
 * |----------|---------------------------|--------------------------------------------------------------|
 * | revoke   | rejects                   | resolves when a crash of any process no longer loses it      |
 * | load     | rejects                   | all that is known, at most `max` of each, the newest         |
 * | lookUp   | rejects                   | what of the asked is revoked: for a memory that may lack some |
 * | follow   | `onAway`, then `onGap`    | every change that others make                                |
 *
 * After `onGap` something may have been missed: `load` again, and look up in the meantime.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";

/** Ids of tasks, and stamps as JSON. */
export interface Revocations {
  readonly ids: readonly string[];
  readonly stamps: readonly string[];
}

/** Seconds since each was revoked; oldest first. */
export type Aged = ReadonlyMap<string, number>;

export interface StateSnapshot {
  readonly ids: Aged;
  readonly stamps: Aged;
  /** Lamport clock; 0: none was kept. */
  readonly clock: number;
  /** false: the store has more than was asked for; the rest has to be looked up. */
  readonly complete: boolean;
}

/** Told of what others do. Nothing is called after `stop`. */
export interface Follower {
  onChange(revoked: Revocations): void;
  /** Something was missed, or taken out. */
  onGap(): void;
  /** The store cannot be reached: what others revoke is not heard. `onGap` follows when it is back. */
  onAway(): void;
  /** Another worker has the same name. */
  onRival(rival: string): void;
}

export interface Checkpoint {
  /** Revoked ids that are in the journal or the shared set; read bit by bit. null: nothing has changed since the last one. */
  readonly ids: Iterable<readonly [id: string, ageSeconds: number]> | null;
  readonly clock: number;
}

/** What is kept of one worker. */
export interface NodeState {
  readonly node: string;
  readonly ids: number;
  readonly stamps: number;
  /** 0: none was kept. */
  readonly clock: number;
  /** Bytes of its blob. */
  readonly blobBytes: number;
  /** Wall clock, ms; null: not known. */
  readonly seenMs: number | null;
  /** A worker of this name runs, or died a moment ago. */
  readonly alive: boolean;
}

export interface StateOverview {
  readonly nodes: readonly NodeState[];
  /** null: nothing is shared. */
  readonly shared: { readonly ids: number; readonly stamps: number } | null;
}

/** What is revoked, newest first. */
export interface ShownState {
  readonly ids: Aged;
  readonly stamps: Aged;
}

export interface StateDb {
  /** For people; without a password. */
  readonly location: string;
  /** Others hear what is written. */
  readonly shared: boolean;
  /** Connects, and claims the node's name. After a rejection it goes on trying, and calls `onGap` once it is there. */
  start(signal: AbortSignal): Promise<void>;
  /** Before `start`. */
  follow(follower: Follower): void;
  load(max: number): Promise<StateSnapshot>;
  revoke(revoked: Revocations): Promise<void>;
  lookUp(asked: Revocations): Promise<Revocations>;
  checkpoint(state: Checkpoint): Promise<"done" | "fenced">;
  /** Idempotent. Lets go of the node's name. */
  stop(): Promise<void>;

  // ---- for operators; no name is claimed, no `start` needed
  overview(): Promise<StateOverview>;
  /** `node` null: the shared set. */
  show(node: string | null, limit: number): Promise<ShownState>;
  /** Takes out what was revoked longer ago; the number of members, each counted once for each worker that had it. */
  purge(options: { readonly olderThanSeconds: number; readonly node: string | null }): Promise<number>;
  /**
   * Deletes what is kept of a worker, after what it revoked was written to the shared set, unless `merge` is false.
   *
   * @throws PetioleError when a worker of that name runs
   */
  forget(node: string, options: { readonly merge: boolean }): Promise<ForgottenNode>;
}

export interface ForgottenNode {
  /** false: nothing was kept. */
  readonly found: boolean;
  readonly merged: number;
}

/** What a state DB is opened with. */
export interface StateDbOptions {
  readonly url: string;
  /** null: a client, or an operator. */
  readonly node: string | null;
  /** Begins all keys on Redis. */
  readonly prefix: string;
  /** null: for ever. */
  readonly ttlSeconds: number | null;
  /** Write and hear the shared set. */
  readonly shared: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly clientName: string | null;
}
