/**
 * What a worker's transport does beside consuming: it puts back what lost holders had, releases what is due, and clears away what
 * is old. All workers do; each step is a transaction, so that one of them has it.
 */
import type { Timer } from "../../base/clock.ts";
import { isHolderAlive, readText, removeHolderLock } from "../../sqlite/index.ts";
import { type DeadMessage, hasUntold, putAfterLoss, type Store, takeUntold } from "./store.ts";
import { forgetOldLocks } from "./unique.ts";

/** Node's timers take 2^31 - 1 ms at most; a longer one fires at once. */
const LONGEST_TIMER_MS = 2 ** 30;
/** Polls (of half a second) between two looks at what is old. */
const CLEAR_EVERY = 120;

export class Keeper {
  readonly #store: Store;
  readonly #onDead: () => ((dead: DeadMessage) => void) | null;
  readonly #ends: readonly (() => void)[];
  #timer: Timer | null = null;
  #timerDueMs = 0;
  #polls = 0;
  #busy = false;
  #closed = false;

  /** `onDead`: null while nobody would hear of a message that is given up: lost holders are left to others. */
  constructor(store: Store, onDead: () => ((dead: DeadMessage) => void) | null) {
    this.#store = store;
    this.#onDead = onDead;
    this.#ends = [store.db.onChange(() => this.armTimer()), store.db.onPoll(() => this.look())];
    this.armTimer();
    this.look();
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#ends) end();
    this.#timer?.cancel();
  }

  /** One timer for the next parked message, whoever parked it. */
  armTimer(): void {
    if (this.#closed || this.#store.db.closed) return;
    const { messages, clock } = this.#store;
    const dueMs = messages.nextDueMs();
    if (dueMs === null) return;
    if (this.#timer !== null) {
      if (this.#timerDueMs <= dueMs) return;
      this.#timer.cancel();
    }
    this.#timerDueMs = dueMs;
    const delayMs = Math.min(Math.max(0, dueMs - clock.now()), LONGEST_TIMER_MS);
    this.#timer = clock.setTimer(delayMs, () => {
      this.#timer = null;
      void this.#releaseDue();
    });
  }

  async #releaseDue(): Promise<void> {
    const { db, messages, clock } = this.#store;
    if (this.#closed) return;
    const nowMs = clock.now();
    if ((messages.nextDueMs() ?? Infinity) <= nowMs) {
      let more = true;
      while (more && !this.#closed) {
        const release = db.write(() => messages.releaseDue(nowMs), { patient: true, wakes: true });
        more = await release.catch((error: unknown) => this.#warn(error));
      }
    }
    if (!this.#closed) this.armTimer();
  }

  /** At all that is to be done. */
  look(): void {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    this.#polls += 1;
    void this.#work()
      .catch((error: unknown) => this.#warn(error))
      .finally(() => {
        this.#busy = false;
      });
  }

  async #work(): Promise<void> {
    const { db, limits, routes, clock } = this.#store;
    if (this.#onDead() !== null) {
      await this.#putBackLost();
      await this.#tellUntold();
    }
    if (this.#closed) return;
    const nowMs = clock.now();
    if (limits.hasOverdue(nowMs)) {
      await db.write(() => limits.callNext(clock.now()), { patient: true, wakes: true });
    }
    if (routes.isRingStale(nowMs)) await db.write(() => routes.trimRing(nowMs), { patient: true });
    if (db.get("SELECT 1 FROM petiole_mail WHERE expires <= ?", nowMs) !== undefined) {
      await db.write(() => this.#clearMail(nowMs), { patient: true });
    }
    if (this.#polls % CLEAR_EVERY !== 0) return;
    await db.write(
      () => {
        limits.forgetOld(nowMs);
        forgetOldLocks(db, nowMs);
      },
      { patient: true },
    );
  }

  async #tellUntold(): Promise<void> {
    if (this.#closed || !hasUntold(this.#store)) return;
    const untold = await this.#store.db.write(() => takeUntold(this.#store), { patient: true });
    for (const dead of untold) this.#onDead()?.(dead);
  }

  async #putBackLost(): Promise<void> {
    const { db } = this.#store;
    const rows = db.all("SELECT id FROM petiole_holders WHERE id <> ?", this.#store.holder);
    for (const row of rows) {
      const id = row["id"] as number;
      if (!(await isHolderAlive(db.path, id))) await this.#putBackOf(id);
      if (this.#closed) return;
    }
  }

  /** Of a holder that has died; whoever deletes its row first does it. */
  async #putBackOf(id: number): Promise<void> {
    const { db, messages, limits, routes, clock, logger } = this.#store;
    const put = await db.write(
      () => {
        if (db.run("DELETE FROM petiole_holders WHERE id = ?", id) === 0) return null;
        routes.removeSubscribersOf(id);
        const lost = messages.heldBy(id);
        const given = lost.map((one) => putAfterLoss(this.#store, one));
        limits.freeHolder(id, clock.now());
        return { count: lost.length, dead: given.filter((one) => one !== null) };
      },
      { patient: true, wakes: true },
    );
    if (put === null) return;
    removeHolderLock(db.path, id);
    if (put.count > 0)
      logger.warn({ holder: id, messages: put.count }, "a worker was lost; what it held is back");
    for (const dead of put.dead.toReversed()) this.#onDead()?.(dead);
  }

  #clearMail(nowMs: number): void {
    const { db, messages } = this.#store;
    for (const row of db.all("SELECT queue FROM petiole_mail WHERE expires <= ?", nowMs)) {
      messages.purge(readText(row["queue"]));
    }
    db.run("DELETE FROM petiole_mail WHERE expires <= ?", nowMs);
  }

  #warn(error: unknown): false {
    if (!this.#closed)
      this.#store.logger.warn({ err: error }, "the database could not be looked after; it is tried again");
    return false;
  }
}
