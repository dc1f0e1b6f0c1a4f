/**
 * A schedule's runs in a SQLite file; where it is the broker's too, a run is noted in the transaction that publishes it.
 *
 * Who leads has a lock of the operating system (`sqlite/holder-lock.ts`) and a token that no other reign had: what an earlier one
 * still writes or publishes there is refused.
 */
import { randomInt } from "node:crypto";
import { hostname } from "node:os";
import type { PeriodicTask } from "../../app/periodic.ts";
import type { Clock } from "../../base/clock.ts";
import { ImproperlyConfigured } from "../../errors.ts";
import {
  Database,
  HolderLock,
  isHolderAlive,
  readText,
  removeHolderLock,
  SqliteError,
  type SqlitePublishClaim,
} from "../../sqlite/index.ts";
import { onlyRuns, runsOnly } from "./runs-only.ts";
import type { EntryRuns, ListedEntry, LoadedSchedule, ScheduleStore, StoredRuns } from "./store.ts";

const HIGHEST_HOLDER = 2 ** 47;

export interface SqliteScheduleOptions {
  readonly url: string;
  /** Schedules of one file are told apart by it: the app's name. */
  readonly place: string;
  readonly clock: Clock;
}

interface Leader {
  readonly holder: number;
  readonly name: string;
}

export class SqliteScheduleStore implements ScheduleStore {
  readonly location: string;
  readonly lease = null;
  readonly keepsEntries = false;
  readonly #options: SqliteScheduleOptions;
  readonly #holder = randomInt(HIGHEST_HOLDER);
  #db: Database | null = null;
  #lock: HolderLock | null = null;
  /** null: it is not ours. */
  #token: number | null = null;
  /** What this reign has written; null: nothing yet. */
  #saved: StoredRuns | null = null;

  constructor(options: SqliteScheduleOptions) {
    this.#options = options;
    this.location = options.url;
  }

  take(): Promise<string | null> {
    return this.#told("taken", async () => {
      const db = await this.#open();
      const found = db.read(() => this.#leader(db));
      const other = found !== null && found.holder !== this.#holder;
      if (other && (await isHolderAlive(db.path, found.holder))) return found.name;
      this.#lock ??= await HolderLock.take(db.path, this.#holder);
      const taken = await db.write(() => this.#takeFrom(db, found));
      if (typeof taken === "string") return taken;
      this.#token = taken;
      this.#saved = null;
      if (other) removeHolderLock(db.path, found.holder);
      return null;
    });
  }

  /** Inside a write. The new token, or who was quicker. */
  #takeFrom(db: Database, found: Leader | null): number | string {
    const now = this.#leader(db);
    if (now !== null && now.holder !== found?.holder) return now.name;
    const row = db.get(
      "INSERT INTO petiole_schedulers (place, holder, name, token) VALUES (?, ?, ?, 1) ON CONFLICT (place) DO UPDATE SET holder = excluded.holder, name = excluded.name, token = token + 1 RETURNING token",
      this.#options.place,
      this.#holder,
      `${hostname()}:${process.pid}`,
    );
    return row?.["token"] as number;
  }

  async renew(): Promise<boolean> {
    const db = this.#db;
    if (db === null || this.#token === null) return false;
    return this.#told("read", async () => db.read(() => this.#leads(db)));
  }

  load(tasks: readonly PeriodicTask[]): Promise<LoadedSchedule> {
    return this.#told("read", async () => {
      const db = await this.#open();
      const sql = "SELECT entry, last, count FROM petiole_schedule WHERE place = ?";
      const rows = db.read(() => db.all(sql, this.#options.place));
      const runs = rows.map(({ entry, last, count }): [string, EntryRuns] => [
        readText(entry),
        { lastRunAtMs: last as number, totalRunCount: count as number },
      ]);
      return { tasks, runs: new Map(runs) };
    });
  }

  /** What has changed since the last one; the first of a reign removes other entries. A run that was noted since is not taken back. */
  save(runs: StoredRuns): Promise<boolean> {
    return this.#told("written", async () => {
      const db = await this.#open();
      const { place } = this.#options;
      const saved = this.#saved;
      const kept = await db.write(() => {
        if (!this.#leads(db)) return false;
        if (saved === null) this.#removeOthers(db, runs);
        for (const [entry, { lastRunAtMs, totalRunCount }] of runs) {
          const before = saved?.get(entry);
          if (before?.lastRunAtMs === lastRunAtMs && before.totalRunCount === totalRunCount) continue;
          db.run(
            "INSERT INTO petiole_schedule (place, entry, last, count) VALUES (?, ?, ?, ?) ON CONFLICT (place, entry) DO UPDATE SET last = excluded.last, count = excluded.count WHERE slot IS NULL OR slot <= excluded.last",
            place,
            entry,
            lastRunAtMs,
            totalRunCount,
          );
        }
        return true;
      });
      this.#saved = kept ? new Map(runs) : null;
      return kept;
    });
  }

  /** Inside a write. */
  #removeOthers(db: Database, runs: StoredRuns): void {
    const { place } = this.#options;
    for (const row of db.all("SELECT entry FROM petiole_schedule WHERE place = ?", place)) {
      const entry = readText(row["entry"]);
      if (!runs.has(entry))
        db.run("DELETE FROM petiole_schedule WHERE place = ? AND entry = ?", place, entry);
    }
  }

  claim({ name }: PeriodicTask, { lastRunAtMs, totalRunCount }: EntryRuns): SqlitePublishClaim | null {
    const db = this.#db;
    if (db === null || this.#token === null) return null;
    return {
      kind: "sqlite",
      path: db.path,
      place: this.#options.place,
      token: this.#token,
      entry: name,
      slotMs: lastRunAtMs,
      totalRunCount,
    };
  }

  follow(): void {}

  async release(): Promise<void> {
    const [db, token] = [this.#db, this.#token];
    this.#token = null;
    if (db === null || token === null) return;
    const sql = "UPDATE petiole_schedulers SET holder = NULL WHERE place = ? AND token = ?";
    try {
      await this.#told("given back", () => db.write(() => db.run(sql, this.#options.place, token)));
    } finally {
      this.#unlock();
    }
  }

  async list(tasks: readonly PeriodicTask[]): Promise<readonly ListedEntry[]> {
    return onlyRuns(tasks, (await this.load(tasks)).runs);
  }

  put({ name }: PeriodicTask): Promise<never> {
    return runsOnly(this.location, name);
  }

  remove(name: string): Promise<never> {
    return runsOnly(this.location, name);
  }

  async close(): Promise<void> {
    this.#token = null;
    this.#unlock();
    this.#db?.close();
    this.#db = null;
  }

  #unlock(): void {
    this.#lock?.release();
    this.#lock = null;
  }

  async #open(): Promise<Database> {
    this.#db ??= await Database.open(this.#options.url, this.#options.clock);
    return this.#db;
  }

  #leader(db: Database): Leader | null {
    const sql = "SELECT holder, name FROM petiole_schedulers WHERE place = ? AND holder IS NOT NULL";
    const row = db.get(sql, this.#options.place);
    return row === undefined ? null : { holder: row["holder"] as number, name: readText(row["name"]) };
  }

  #leads(db: Database): boolean {
    const { place } = this.#options;
    const row = db.get("SELECT token, holder FROM petiole_schedulers WHERE place = ?", place);
    return row?.["token"] === this.#token && row?.["holder"] === this.#holder;
  }

  async #told<T>(what: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof SqliteError)) throw error;
      throw new ImproperlyConfigured(`the schedule cannot be ${what}: ${error.message}`, { cause: error });
    }
  }
}
