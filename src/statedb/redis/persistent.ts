/**
 * Keeps the revoked ids of a program that is no worker of ours where a worker's are kept. Python:
 * `celery_redis_statedb.RedisPersistent`.
 */
import { LamportClock } from "../../base/lamport-clock.ts";
import { RedisStateDB, type RedisStateDBOptions } from "./by-hand.ts";

/** Task ids; a `Set` of them will do. */
export interface RevokedIds extends Iterable<string> {
  /** Nothing changes when it is there already. */
  add(taskId: string): unknown;
}

/** A logical clock. */
export interface PersistentClock {
  /** Sets it beyond another one; its new time. */
  adjust(other: number): number;
  /** One tick; its new time. */
  forward(): number;
}

/** What a program knows of revoked tasks. */
export interface RevokedState {
  readonly revoked: RevokedIds;
}

export interface RedisPersistentOptions extends RedisStateDBOptions {
  readonly state: RevokedState;
  /** Default: one that begins at 0. */
  readonly clock?: PersistentClock | undefined;
}

/** A program's own state, read from Redis once and written back when it says so. Python: `RedisPersistent`. */
export class RedisPersistent {
  readonly db: RedisStateDB;
  readonly state: RevokedState;
  readonly #clock: PersistentClock;

  /** Reads nothing yet: call {@link merge}. */
  constructor(options: RedisPersistentOptions) {
    this.db = new RedisStateDB(options);
    this.state = options.state;
    this.#clock = options.clock ?? new LamportClock();
  }

  /** Takes in what is kept: ids into `state.revoked`, and the clock. Python: `merge`, which its constructor calls. */
  async merge(): Promise<void> {
    const [revoked, zrevoked, clock] = await Promise.all([
      this.db.getRevoked(),
      this.db.getZrevoked(),
      this.db.getClock(),
    ]);
    for (const id of zrevoked ?? []) this.state.revoked.add(id);
    for (const id of revoked.keys()) this.state.revoked.add(id);
    await this.db.setClock(this.#clock.adjust(clock));
  }

  /** Writes `state.revoked` and the clock. What is kept beside them stays. */
  async sync(): Promise<void> {
    await this.db.update(this.state.revoked, this.#clock.forward());
  }

  /** The last {@link sync}. Rejects when it could not be written; closes in any case. */
  async save(): Promise<void> {
    try {
      await this.sync();
    } finally {
      this.close();
    }
  }

  /** Idempotent. */
  close(): void {
    this.db.close();
  }
}
