/**
 * Whom others know a transport as: a lock that tells whether it lives, and a row by which they find it.
 *
 * | state  | join                | leave, drop, abandon                          |
 * |--------|---------------------|-----------------------------------------------|
 * | out    | -> joining          | leave: -> left                                |
 * | joining| the same            | leave, abandon: -> left, once the lock is had |
 * | in     | –                   | -> left; drop -> out                          |
 * | left   | false               | –                                             |
 */
import { randomInt } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { type Database, HolderLock } from "../../sqlite/index.ts";
import type { Store } from "./store.ts";

const HIGHEST_HOLDER = 2 ** 47;

export interface HolderOptions {
  /** For people; null: host and process. */
  readonly clientName: string | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Holder {
  readonly id: number = randomInt(HIGHEST_HOLDER);
  readonly #options: HolderOptions;
  #joining: Promise<boolean> | null = null;
  #lock: HolderLock | null = null;
  #left = false;

  constructor(options: HolderOptions) {
    this.#options = options;
  }

  /** false: it has left. @throws SqliteError */
  join(db: Database): Promise<boolean> {
    this.#joining ??= this.#join(db).catch((error: unknown) => {
      this.drop();
      throw error;
    });
    return this.#joining;
  }

  async #join(db: Database): Promise<boolean> {
    if (!(await this.#take(db))) return false;
    await db.write(() => this.register(db));
    return !this.#left;
  }

  async #take(db: Database): Promise<boolean> {
    const lock = await HolderLock.take(db.path, this.id);
    if (this.#left) lock.release();
    else this.#lock = lock;
    return !this.#left;
  }

  /** Who took it for a dead one has deleted the file of its lock. @throws SqliteError */
  async lockAgain(db: Database): Promise<void> {
    this.#lock?.abandon();
    this.#lock = null;
    await this.#take(db);
  }

  /** Inside a write: makes it known to others; true: it was known no more. */
  register(db: Database): boolean {
    const { clock, clientName } = this.#options;
    const name = clientName ?? `${hostname()}:${process.pid}`;
    return db.run("INSERT OR IGNORE INTO petiole_holders VALUES (?, ?, ?)", this.id, name, clock.now()) > 0;
  }

  /** Others find it no more. */
  async leave({ db, routes }: Pick<Store, "db" | "routes">): Promise<void> {
    this.#left = true;
    await this.#joining?.catch(() => {});
    if (this.#lock !== null && !db.closed) {
      await db
        .write(() => {
          routes.removeSubscribersOf(this.id);
          db.run("DELETE FROM petiole_holders WHERE id = ?", this.id);
        })
        .catch((error: unknown) => this.#options.logger.warn({ err: error }, "a worker could not sign off"));
    }
    this.drop();
  }

  /** Lets go of its lock. */
  drop(): void {
    this.#joining = null;
    this.#lock?.release();
    this.#lock = null;
  }

  /** As if the process had died. */
  abandon(): void {
    this.#left = true;
    this.#lock?.abandon();
    this.#lock = null;
  }
}
