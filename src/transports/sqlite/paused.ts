/** Paused queues of a file. */
import type { Clock } from "../../base/clock.ts";
import { type Database, readText } from "../../sqlite/index.ts";
import type { PausedQueue, PausedQueues } from "../paused-queues.ts";

export class SqlitePausedQueues implements PausedQueues {
  readonly #db: () => Database;
  readonly #clock: Clock;

  /** `db`: throws before the start. */
  constructor(db: () => Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async pause(queues: readonly string[]): Promise<number> {
    const db = this.#db();
    const nowMs = this.#clock.now();
    return db.write(() =>
      queues.reduce(
        (sum, queue) => sum + db.run("INSERT OR IGNORE INTO petiole_paused VALUES (?, ?)", queue, nowMs),
        0,
      ),
    );
  }

  async resume(queues: readonly string[]): Promise<number> {
    const db = this.#db();
    return db.write(
      () =>
        queues.reduce((sum, queue) => sum + db.run("DELETE FROM petiole_paused WHERE queue = ?", queue), 0),
      { wakes: true },
    );
  }

  async list(): Promise<readonly PausedQueue[]> {
    const db = this.#db();
    const rows = db.read(() => db.all("SELECT queue, since FROM petiole_paused ORDER BY since, queue"));
    return rows.map((row) => ({ queue: readText(row["queue"]), sinceMs: row["since"] as number }));
  }
}
