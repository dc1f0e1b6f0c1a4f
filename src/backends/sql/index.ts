/** `django-db`, `db+postgresql://…`, `db+mysql://…`, `db+sqlite:///…`: results in the tables of django-celery-results. */
import { fullJitterMs } from "../../base/backoff.ts";
import { BackendError, PetioleError } from "../../errors.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import { openDatabase, parseSqlUrl, type SqlDatabase, SqlError } from "../../sql/index.ts";
import type { StoreLocation } from "../../transports/transport.ts";
import type { BackendOptions, ChordSize, ResultBackend, ResultWrite } from "../backend.ts";
import { backendError, ResultCodec } from "../result-codec.ts";
import { StoreQueue } from "../store-queue.ts";
import { ChordParts, subTasksOf } from "./chord-parts.ts";
import { type NewChord, SqlChords } from "./chords.ts";
import { OwnSchema, type ResultDb } from "./own-tables.ts";
import { type Content, columnId, RowCodec, type TaskRow, withoutNul } from "./rows.ts";
import * as statements from "./statements.ts";
import { Watches } from "./watches.ts";

const LOCATION: StoreLocation = { kind: "other" };
/** Pauses between attempts are no longer: what waits is stored within seconds of a recovery. */
const CAP_MS = 1000;
/** Milliseconds over which anything but a store is tried again. */
const RETRY_MS = 30_000;
/** A statement that takes longer is tried again on another connection; of SQLite, one that waits for a lock. */
const STATEMENT_MS = 10_000;
const LOCK_MS = 500;
const BACKOFF = { baseMs: 20, capMs: 500 };

type SqlWrite = ResultWrite &
  (
    | { readonly task: TaskRow }
    | { readonly group: { readonly id: string; readonly content: Content } }
    | { readonly chord: NewChord }
  );

interface Open {
  readonly database: SqlDatabase;
  readonly db: ResultDb;
  readonly schema: OwnSchema;
  readonly chords: SqlChords;
  readonly watches: Watches;
}

export class SqlBackend implements ResultBackend {
  readonly enabled = true as const;
  readonly location: StoreLocation = LOCATION;
  readonly #options: BackendOptions;
  readonly #rows: RowCodec;
  readonly #parts: ResultCodec;
  readonly #stores: StoreQueue;
  readonly #expiresMs: number;
  #open: Open | null = null;
  /** Aborted by `stop`. */
  readonly #stop = new AbortController();
  #stopping: Promise<void> | null = null;

  constructor(options: BackendOptions) {
    const { clock, logger, retry } = options;
    this.#options = options;
    this.#rows = new RowCodec(options);
    this.#parts = new ResultCodec(options);
    this.#expiresMs = options.expiresSeconds * 1000;
    this.#stores = new StoreQueue({
      send: (batch) => this.#send(batch as readonly SqlWrite[]),
      isHopeless: (error) => !(error instanceof SqlError && error.retriable),
      isLive: () => this.#open !== null,
      distinct: true,
      clock,
      logger,
      retry: { ...retry, capMs: Math.min(retry.capMs, CAP_MS) },
    });
  }

  get chords(): SqlChords {
    return this.#running().chords;
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#stop.signal.aborted) throw this.#closed();
    if (this.#open !== null) return;
    const { url, clock, logger } = this.#options;
    const statementTimeoutMs = parseSqlUrl(url).dialect === "sqlite" ? LOCK_MS : STATEMENT_MS;
    const database = await openDatabase(url, { clock, statementTimeoutMs });
    try {
      await statements.readTasks(database.db, [""], 0);
    } catch (error) {
      await database.close();
      throw backendError(error, "opening the results");
    }
    if (this.#stop.signal.aborted || signal.aborted) {
      await database.close();
      signal.throwIfAborted();
      throw this.#closed();
    }
    for (const warning of database.warnings) logger.warn({ warning }, "result backend URL");
    this.#open = this.#parted(database);
  }

  #parted(database: SqlDatabase): Open {
    const { clock, logger, limits } = this.#options;
    const { dialect } = database;
    const db = database.db as unknown as ResultDb;
    const schema = new OwnSchema(db, dialect);
    const read = (ids: readonly string[]) => statements.readTasks(db, ids, limits.maxDecompressedBytes);
    const chords = new SqlChords({
      db,
      dialect,
      schema,
      parts: new ChordParts({ codec: this.#parts, rows: this.#rows, limits }),
      store: (inside, writes) =>
        statements.storeTasks(inside, dialect, tasksOf(writes as readonly SqlWrite[])),
    });
    const decode: RowCodec["decode"] = (row, id) => this.#rows.decode(row, id);
    return { database, db, schema, chords, watches: new Watches({ database, read, decode, clock, logger }) };
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      const open = this.#open;
      await open?.watches.stop();
      await this.#stores.close();
      this.#stop.abort();
      await open?.database.close();
    })();
    return this.#stopping;
  }

  encode(meta: ResultMeta): ResultWrite {
    const task = this.#rows.encode(meta);
    return { ...this.#write(`task ${task.task_id}`, task.result ?? ""), keepSuccess: true, task } as SqlWrite;
  }

  store(write: ResultWrite, signal: AbortSignal | null): Promise<void> {
    return this.#stores.add(write, signal);
  }

  async #send(batch: readonly SqlWrite[]): Promise<void> {
    const { db, database, schema, chords } = this.#running();
    const { dialect } = database;
    const tasks = tasksOf(batch);
    if (tasks.length > 0) await this.#sendTasks(tasks);
    for (const write of batch) {
      if ("group" in write) await statements.storeGroup(db, dialect, write.group);
      if (!("chord" in write)) continue;
      await schema.ensure();
      await db.transaction().execute((inside) => chords.begin(inside as ResultDb, write.chord));
    }
  }

  /** PostgreSQL has one statement for all. */
  #sendTasks(tasks: readonly TaskRow[]): Promise<void> {
    const { db, database } = this.#running();
    const { dialect } = database;
    if (dialect === "postgresql" || tasks.length === 1) return statements.storeTasks(db, dialect, tasks);
    return db.transaction().execute((inside) => statements.storeTasks(inside as ResultDb, dialect, tasks));
  }

  async get(ids: readonly string[]): Promise<readonly (ResultMeta | null)[]> {
    const { maxDecompressedBytes } = this.#options.limits;
    const keys = ids.map(columnId);
    const rows = await this.#retried("reading results", ({ db }) =>
      statements.readTasks(db, [...new Set(keys)], maxDecompressedBytes),
    );
    return ids.map((id, index) => {
      const row = rows.get(keys[index] ?? id);
      return row === undefined ? null : this.#rows.decode(row, id);
    });
  }

  watch(id: string, onMeta: (meta: ResultMeta) => void): { readonly ready: Promise<void>; close(): void } {
    return this.#running().watches.watch(id, onMeta);
  }

  async storeLogs(id: string, text: string, signal: AbortSignal): Promise<void> {
    const { db, database, schema } = this.#running();
    signal.throwIfAborted();
    try {
      await schema.ensure();
      await statements.storeLog(db, database.dialect, { id: columnId(id), text: withoutNul(text) });
    } catch (error) {
      throw backendError(error, "storing the log of a task");
    }
  }

  getLogs(id: string): Promise<string | null> {
    return this.#retried("reading the log of a task", async ({ db, schema }) => {
      if (!(await schema.exists())) return null;
      return statements.readLog(db, columnId(id));
    });
  }

  async forget(id: string): Promise<void> {
    this.#running().watches.forget(id);
    await this.#retried("forgetting a result", async ({ db, schema }) => {
      await statements.deleteTask(db, columnId(id));
      if (await schema.exists()) await statements.deleteLog(db, columnId(id));
    });
  }

  encodeGroup(id: string, tuple: unknown): ResultWrite {
    const content = this.#rows.content(tuple, "the group");
    return { ...this.#write(`group ${id}`, content.text), group: { id: columnId(id), content } } as SqlWrite;
  }

  async readGroup(id: string): Promise<unknown> {
    const row = await this.#retried("reading a group", ({ db }) => statements.readGroup(db, columnId(id)));
    return row === null ? null : this.#rows.decodeGroup(row, id);
  }

  async forgetGroup(id: string): Promise<void> {
    await this.#retried("forgetting a group", ({ db }) => statements.deleteGroup(db, columnId(id)));
  }

  encodeChordSize({ group, size, members }: ChordSize): ResultWrite {
    const subTasks = subTasksOf(members);
    return { ...this.#write(`chord ${group}`, subTasks), chord: { group, size, subTasks } } as SqlWrite;
  }

  /** Python: `DatabaseBackend.cleanup`; a batch in each transaction. */
  async cleanup(): Promise<number> {
    if (this.#expiresMs <= 0) return 0;
    const { db, database, schema } = this.#running();
    const { signal } = this.#stop;
    try {
      const beforeMs = (await statements.readNow(db, database.dialect)) - this.#expiresMs;
      const deleted = await statements.deleteExpired(db, beforeMs, signal);
      if (await schema.exists()) await statements.deleteOwnExpired(db, beforeMs, signal);
      return deleted;
    } catch (error) {
      throw backendError(error, "deleting expired results");
    }
  }

  /** Ids that are watched now. */
  get watched(): number {
    return this.#open?.watches.size ?? 0;
  }

  #write(key: string, value: string): ResultWrite {
    return { location: LOCATION, key, value, ttlSeconds: 0, keepSuccess: false };
  }

  async #retried<T>(operation: string, call: (open: Open) => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const deadlineMs = clock.monotonic() + RETRY_MS;
    for (let attempt = 1; ; attempt++) {
      const open = this.#running();
      try {
        return await call(open);
      } catch (error) {
        const again = error instanceof SqlError && error.retriable && clock.monotonic() < deadlineMs;
        if (this.#stop.signal.aborted) throw this.#closed();
        if (!again) throw backendError(error, operation);
        await new Promise<void>((resolve) => {
          clock.setTimer(fullJitterMs(attempt, BACKOFF), resolve);
        });
      }
    }
  }

  #closed(): BackendError {
    return new BackendError("the result backend was stopped", { code: "PET_CLOSED" });
  }

  #running(): Open {
    if (this.#stopping !== null && this.#stop.signal.aborted) throw this.#closed();
    if (this.#open === null) throw new PetioleError("PET_USAGE", "the result backend was not started");
    return this.#open;
  }
}

function tasksOf(writes: readonly SqlWrite[]): readonly TaskRow[] {
  return writes.flatMap((write) => ("task" in write ? write.task : []));
}

export function openSqlBackend(options: BackendOptions): ResultBackend {
  return new SqlBackend(options);
}
