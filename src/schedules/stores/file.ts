/**
 * A schedule's runs in a file: JSON, written as a whole (temporary file, sync, rename, sync of the folder). `<file>.lock` says which
 * process writes it. Python: `celery.beat.PersistentScheduler`, whose name the file has.
 *
 * | what is found       | becomes                                                             |
 * |---------------------|---------------------------------------------------------------------|
 * | no file             | nothing has run                                                     |
 * | what is no schedule | kept as `<file>.corrupt-<time>`; nothing has run                      |
 * | Python's database   | an error: it is left alone                                          |
 * | a newer version     | an error: it is left alone                                          |
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { PeriodicTask } from "../../app/periodic.ts";
import type { Clock } from "../../base/clock.ts";
import { FileLock } from "../../base/file-lock.ts";
import type { Logger } from "../../base/logger.ts";
import { isPythonDbm } from "../../base/python-dbm.ts";
import { ImproperlyConfigured, PetioleError } from "../../errors.ts";
import { parseIso, toIso } from "../../protocol/iso8601.ts";
import { onlyRuns, runsOnly } from "./runs-only.ts";
import type { EntryRuns, ListedEntry, LoadedSchedule, ScheduleStore, StoredRuns } from "./store.ts";

const VERSION = 1;

export interface FileScheduleOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class FileScheduleStore implements ScheduleStore {
  readonly location: string;
  readonly lease = null;
  readonly keepsEntries = false;
  readonly #path: string;
  readonly #lock: FileLock;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor({ path, clock, logger }: FileScheduleOptions) {
    this.#path = resolve(path);
    this.location = `file ${this.#path}`;
    this.#lock = new FileLock(this.#path);
    this.#clock = clock;
    this.#logger = logger;
  }

  async take(): Promise<string | null> {
    return this.#told("taken", async () => {
      await mkdir(dirname(this.#path), { recursive: true });
      const holder = await this.#lock.take();
      return holder === null ? null : `process ${holder}`;
    });
  }

  renew(): Promise<boolean> {
    return this.#lock.mine();
  }

  async load(tasks: readonly PeriodicTask[]): Promise<LoadedSchedule> {
    return { tasks, runs: await this.#runs() };
  }

  async #runs(): Promise<StoredRuns> {
    const text = await this.#told("read", () => this.#read());
    if (text === null) return new Map();
    try {
      return readRuns(text);
    } catch (error) {
      if (error instanceof ImproperlyConfigured) throw error;
      const aside = `${this.#path}.corrupt-${this.#clock.now()}`;
      await this.#told("set aside", () => rename(this.#path, aside));
      this.#logger.error(
        { file: this.#path, kept: aside, err: error },
        "the schedule file is no schedule: it was set aside, and every entry begins anew",
      );
      return new Map();
    }
  }

  async save(runs: StoredRuns): Promise<boolean> {
    if (!(await this.#lock.mine())) return false;
    const temporary = `${this.#path}.tmp`;
    await this.#told("written", async () => {
      const file = await open(temporary, "w", 0o600);
      try {
        await file.writeFile(writeRuns(runs));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path);
      const folder = await open(dirname(this.#path), "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    });
    return true;
  }

  claim(): null {
    return null;
  }

  follow(): void {}

  async release(): Promise<void> {
    await this.#lock.release();
  }

  /** A file that is no schedule is left to who holds it. */
  async list(tasks: readonly PeriodicTask[]): Promise<readonly ListedEntry[]> {
    const text = await this.#told("read", () => this.#read());
    try {
      return onlyRuns(tasks, text === null ? new Map() : readRuns(text));
    } catch (error) {
      if (error instanceof ImproperlyConfigured) throw error;
      throw new ImproperlyConfigured(
        `the schedule file ${this.#path} is no schedule: the next start of a scheduler sets it aside`,
        { cause: error },
      );
    }
  }

  put({ name }: PeriodicTask): Promise<never> {
    return runsOnly(this.location, name);
  }

  remove(name: string): Promise<never> {
    return runsOnly(this.location, name);
  }

  async close(): Promise<void> {}

  /** null: there is none. */
  async #read(): Promise<string | null> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
    if (isPythonDbm(bytes.toString("hex", 0, 16))) {
      throw new ImproperlyConfigured(
        `${this.#path} is the schedule of Python's celery beat, and is left alone: name another file with -s or beatScheduleFilename`,
      );
    }
    return bytes.toString("utf8");
  }

  async #told<T>(what: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined || error instanceof PetioleError) throw error;
      throw new ImproperlyConfigured(
        `the schedule file ${this.#path} cannot be ${what} (${code}): give one that can with -s or beatScheduleFilename`,
        { cause: error },
      );
    }
  }
}

function writeRuns(runs: StoredRuns): string {
  const entries = [...runs].map(([name, { lastRunAtMs, totalRunCount }]) => [
    name,
    { last_run_at: toIso(lastRunAtMs), total_run_count: totalRunCount },
  ]);
  return `${JSON.stringify({ version: VERSION, entries: Object.fromEntries(entries) as object }, null, 1)}\n`;
}

function readRuns(text: string): StoredRuns {
  const { version, entries } = JSON.parse(text) as { version?: unknown; entries?: unknown };
  if (typeof version !== "number" || typeof entries !== "object" || entries === null) {
    throw new TypeError("version or entries are missing");
  }
  if (version > VERSION) {
    throw new ImproperlyConfigured(
      `the schedule file is of version ${version}, and this program knows ${VERSION}: use the newer petiole, or another file`,
    );
  }
  return new Map(Object.entries(entries).map(([name, one]) => [name, readOne(one)]));
}

function readOne(one: unknown): EntryRuns {
  const { last_run_at: last, total_run_count: count } = one as Readonly<Record<string, unknown>>;
  if (typeof last !== "string" || !Number.isSafeInteger(count)) throw new TypeError("an entry is incomplete");
  return { lastRunAtMs: parseIso(last), totalRunCount: count as number };
}
