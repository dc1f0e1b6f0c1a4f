/** `sqlite:///path/to/file.db`: results in the file that the transport of the same URL has, or in one of their own. */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { PetioleError } from "../../errors.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import { Database, SqliteError } from "../../sqlite/index.ts";
import { ResultTable, type SqliteWrite, type StoredText } from "../../transports/sqlite/index.ts";
import type { StoreLocation } from "../../transports/transport.ts";
import type { BackendOptions, ChordSize, ResultBackend, ResultWrite } from "../backend.ts";
import { backendError, GROUP_PREFIX, LOG_PREFIX, META_PREFIX, ResultCodec } from "../result-codec.ts";
import { SqliteChords } from "./chords.ts";
import { Watches } from "./watches.ts";

interface Open {
  readonly db: Database;
  readonly results: ResultTable;
  readonly watches: Watches;
}

export class SqliteBackend implements ResultBackend {
  readonly enabled = true as const;
  readonly chords: SqliteChords;
  readonly #options: BackendOptions;
  readonly #codec: ResultCodec;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #open: Open | null = null;
  #stopped = false;

  constructor(options: BackendOptions) {
    this.#options = options;
    this.#codec = new ResultCodec(options);
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.chords = new SqliteChords({
      db: () => this.#running().db,
      results: () => this.#running().results,
      codec: this.#codec,
      clock: options.clock,
    });
  }

  get location(): StoreLocation {
    return this.#open === null ? { kind: "other" } : { kind: "file", path: this.#open.db.path };
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#stopped) throw this.#closed();
    signal.throwIfAborted();
    if (this.#open !== null) return;
    let db: Database;
    try {
      db = await Database.open(this.#options.url, this.#clock);
    } catch (error) {
      throw error instanceof SqliteError ? backendError(error, "opening the results") : error;
    }
    if (this.#stopped) {
      db.close();
      throw this.#closed();
    }
    const results = new ResultTable(db);
    const watches = new Watches({
      db,
      results,
      decode: (stored, key) => this.#codec.decode(stored, key),
      logger: this.#logger,
    });
    this.#open = { db, results, watches };
    db.onPoll(() => this.#deleteExpired());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#open?.watches.close();
    this.#open?.db.close();
  }

  encode(meta: ResultMeta): ResultWrite {
    const write: SqliteWrite = {
      location: this.location,
      key: META_PREFIX + meta.taskId,
      value: this.#codec.encode(meta),
      ttlSeconds: this.#codec.ttlSeconds,
      keepSuccess: true,
      success: meta.status === "SUCCESS",
    };
    return write;
  }

  async store(write: ResultWrite, signal: AbortSignal | null): Promise<void> {
    const { db, results } = this.#running();
    const { maxRetries, baseMs, capMs } = this.#options.retry;
    for (let attempt = 0; ; attempt++) {
      try {
        await db.write(() => results.write(write, this.#clock.now()), { signal, wakes: true });
        return;
      } catch (error) {
        if (this.#stopped) throw this.#closed();
        const refused = error instanceof SqliteError && error.refused;
        if (signal?.aborted || refused || attempt >= maxRetries)
          throw backendError(error, "storing a result");
        const delayMs = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20));
        await new Promise<void>((resolve) => this.#clock.setTimer(delayMs, resolve));
      }
    }
  }

  async get(ids: readonly string[]): Promise<readonly (ResultMeta | null)[]> {
    return ids.map((id) => {
      const key = META_PREFIX + id;
      const stored = this.#read(key);
      return stored === null ? null : this.#codec.decode(stored, key);
    });
  }

  watch(id: string, onMeta: (meta: ResultMeta) => void): { readonly ready: Promise<void>; close(): void } {
    const { watches } = this.#running();
    return { ready: Promise.resolve(), close: watches.add(META_PREFIX + id, onMeta) };
  }

  async storeLogs(id: string, text: string, signal: AbortSignal): Promise<void> {
    const key = LOG_PREFIX + id;
    const { location } = this;
    const { ttlSeconds } = this.#codec;
    const { results } = this.#running();
    await this.#write(
      () => results.write({ location, key, value: text, ttlSeconds, keepSuccess: false }, this.#clock.now()),
      signal,
    );
  }

  async getLogs(id: string): Promise<string | null> {
    return this.#read(LOG_PREFIX + id)?.toString() ?? null;
  }

  async forget(id: string): Promise<void> {
    const { results, watches } = this.#running();
    await this.#write(() => {
      results.delete(META_PREFIX + id);
      results.delete(LOG_PREFIX + id);
    });
    watches.end(META_PREFIX + id);
  }

  /** Nothing is left to do. */
  async cleanup(): Promise<number> {
    return 0;
  }

  encodeGroup(id: string, tuple: unknown): ResultWrite {
    return this.#plain(GROUP_PREFIX + id, this.#codec.encodeGroup(tuple));
  }

  async readGroup(id: string): Promise<unknown> {
    const key = GROUP_PREFIX + id;
    const stored = this.#read(key);
    return stored === null ? null : this.#codec.decodeGroup(stored, key);
  }

  async forgetGroup(id: string): Promise<void> {
    const { results } = this.#running();
    await this.#write(() => results.delete(GROUP_PREFIX + id));
  }

  encodeChordSize({ group, size }: ChordSize): ResultWrite {
    return { ...this.#plain(`${GROUP_PREFIX}${group}.s`, String(size)), keepAny: true };
  }

  #plain(key: string, value: StoredText): ResultWrite {
    return { location: this.location, key, value, ttlSeconds: this.#codec.ttlSeconds, keepSuccess: false };
  }

  #read(key: string): StoredText | null {
    const { db, results } = this.#running();
    try {
      return db.read(() => results.read(key, this.#clock.now()));
    } catch (error) {
      throw backendError(error, "reading a result");
    }
  }

  async #write(work: () => void, signal: AbortSignal | null = null): Promise<void> {
    try {
      await this.#running().db.write(work, { signal });
    } catch (error) {
      throw backendError(error, "writing to the results");
    }
  }

  #deleteExpired(): void {
    const open = this.#open;
    const nowMs = this.#clock.now();
    if (open === null || !open.results.hasExpired(nowMs)) return;
    void open.db
      .write(() => open.results.deleteExpired(nowMs))
      .catch((error: unknown) => this.#logger.warn({ err: error }, "expired results could not be deleted"));
  }

  #closed(): PetioleError {
    return new PetioleError("PET_CLOSED", "the result backend was stopped");
  }

  #running(): Open {
    if (this.#stopped) throw this.#closed();
    if (this.#open === null) throw new PetioleError("PET_USAGE", "the result backend was not started");
    return this.#open;
  }
}

export function openSqliteBackend(options: BackendOptions): ResultBackend {
  return new SqliteBackend(options);
}
