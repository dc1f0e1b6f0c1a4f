/**
 * One connection to the file. Reads are answered at once. Writes of one turn of the event loop share a transaction
 * (`BEGIN IMMEDIATE`); while another process has the lock they wait without blocking the loop, and more come to them.
 *
 * | a write  | leaves by                                                                                      |
 * |----------|------------------------------------------------------------------------------------------------|
 * | waits    | its batch -> committed; its deadline, its signal, `close` -> rejected, nothing of it is stored |
 * | in batch | COMMIT -> committed; an error of its own -> rejected, the others are done one by one           |
 */
import { mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";
import { bound, type Handle, loadDriver, type Row, type SqlValue, type Statement } from "./driver.ts";
import { isBusy, SqliteError, sqliteError } from "./errors.ts";
import { refuseNetworkFolder } from "./file-system.ts";
import { migrate } from "./schema.ts";
import { parseSqliteUrl, type SqliteUrl } from "./url.ts";
import { Wake } from "./wake.ts";

export interface WriteOptions {
  /** Given up while it waits. */
  readonly signal?: AbortSignal | null;
  /** Tried until the connection is closed, not only as long as the busy timeout says. */
  readonly patient?: boolean;
  /** It adds something that others of this connection wait for. */
  readonly wakes?: boolean;
}

interface Write {
  readonly work: () => unknown;
  readonly wakes: boolean;
  readonly signal: AbortSignal | null;
  /** Monotonic, ms. */
  readonly deadlineMs: number;
  resolve(value: never): void;
  reject(error: Error): void;
}

/** A batch goes on in the next turn after so many ms. */
const BATCH_MS = 15;
/** A blocked batch is tried again within so many ms. */
const RETRY_MS = 4;
/** The lock is waited for so long without leaving the event loop: most are gone by then. */
const SPIN_MS = 2;
const OPENING_MS = 5000;
const WAL_KEPT_BYTES = 64 * 1024 * 1024;
const CACHE_KIB = 16 * 1024;

export class Database {
  readonly path: string;
  readonly #handle: Handle;
  readonly #clock: Clock;
  readonly #busyTimeoutMs: number;
  readonly #wake: Wake;
  readonly #inode: number;
  readonly #statements = new Map<string, Statement>();
  readonly #listeners = new Set<() => void>();
  readonly #pollers = new Set<() => void>();
  #writes: Write[] = [];
  #immediate: NodeJS.Immediate | null = null;
  #retry: Timer | null = null;
  #closed = false;

  private constructor(handle: Handle, url: SqliteUrl, clock: Clock) {
    this.#handle = handle;
    this.path = realpathSync(url.path);
    this.#inode = statSync(this.path).ino;
    this.#clock = clock;
    this.#busyTimeoutMs = url.busyTimeoutMs;
    this.#wake = new Wake({
      path: this.path,
      clock,
      version: () => (this.get("PRAGMA data_version")?.["data_version"] as number | undefined) ?? 0,
      onChange: () => this.#tell(),
      onPoll: () => {
        for (const poller of this.#pollers) poller();
      },
    });
  }

  /**
   * Makes the file, and its folder, where there is none.
   *
   * @throws SqliteError, ImproperlyConfigured for the URL, PetioleError when there is no driver
   */
  static async open(url: string, clock: Clock): Promise<Database> {
    const parsed = parseSqliteUrl(url);
    const { path, synchronous } = parsed;
    const open = await loadDriver();
    const folder = dirname(path);
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SqliteError(`the folder ${JSON.stringify(folder)} cannot be made: ${reason}`, {
        cause: error,
        refused: true,
      });
    }
    await refuseNetworkFolder(folder);
    let handle: Handle | null = null;
    try {
      handle = open(path, { timeout: OPENING_MS });
      handle.exec("PRAGMA journal_mode = WAL");
      handle.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA cache_size = -${CACHE_KIB}`);
      handle.exec(`PRAGMA journal_size_limit = ${WAL_KEPT_BYTES}`);
      migrate(handle, path);
      // A file that may only be read is opened all the same, and says so at the first write.
      handle.exec("UPDATE petiole_meta SET value = value WHERE name = 'schema'");
      handle.exec(`PRAGMA busy_timeout = ${SPIN_MS}`);
      return new Database(handle, parsed, clock);
    } catch (error) {
      handle?.close();
      throw sqliteError(error, path);
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** First row. Inside a write it sees what the write has done. */
  get(sql: string, ...values: readonly SqlValue[]): Row | undefined {
    return this.#statement(sql).get(...bound(values));
  }

  all(sql: string, ...values: readonly SqlValue[]): readonly Row[] {
    return this.#statement(sql).all(...bound(values));
  }

  /** How many rows it changed. */
  run(sql: string, ...values: readonly SqlValue[]): number {
    return Number(this.#statement(sql).run(...bound(values)).changes);
  }

  /** Reads after what was written by this turn. @throws SqliteError */
  read<T>(work: () => T): T {
    this.#requireOpen();
    if (this.#writes.length > 0) this.#commit();
    try {
      return work();
    } catch (error) {
      throw sqliteError(error, this.path);
    }
  }

  /** `work` is done in a transaction with others; it may be done again, so it changes nothing but the database. */
  write<T>(work: () => T, options: WriteOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) {
        reject(closedError(this.path));
        return;
      }
      const { signal = null, patient = false, wakes = false } = options;
      const deadlineMs = patient ? Number.POSITIVE_INFINITY : this.#clock.monotonic() + this.#busyTimeoutMs;
      this.#writes.push({ work, wakes, signal, deadlineMs, resolve, reject });
      this.#schedule();
    });
  }

  /** Called after a commit that may have added something, of whichever process. Ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called twice a second. Ends it. */
  onPoll(poller: () => void): () => void {
    this.#pollers.add(poller);
    return () => this.#pollers.delete(poller);
  }

  /** The file at the path is another one, or none: what is written now is seen by nobody else. */
  isReplaced(): boolean {
    try {
      return statSync(this.path).ino !== this.#inode;
    } catch {
      return true;
    }
  }

  /** Idempotent. What waits to be written is tried once. */
  close(): void {
    if (this.#closed) return;
    if (this.#writes.length > 0) this.#commit();
    this.abandon();
  }

  /** As if the process had died. */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake.close();
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#retry?.cancel();
    for (const write of this.#writes.splice(0)) write.reject(closedError(this.path));
    this.#statements.clear();
    this.#handle.close();
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#handle.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #requireOpen(): void {
    if (this.#closed) throw closedError(this.path);
  }

  #schedule(): void {
    if (this.#immediate !== null || this.#retry !== null || this.#closed) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = null;
      this.#commit();
    });
  }

  #commit(): void {
    if (this.#closed || this.#writes.length === 0) return;
    this.#dropAborted();
    try {
      this.#handle.exec("BEGIN IMMEDIATE");
    } catch (error) {
      this.#blocked(error);
      return;
    }
    const until = this.#clock.monotonic() + BATCH_MS;
    const done: Write[] = [];
    const values: unknown[] = [];
    let failed: { readonly write: Write; readonly error: unknown } | null = null;
    for (const write of this.#writes) {
      try {
        values.push(write.work());
        done.push(write);
      } catch (error) {
        failed = { write, error };
        break;
      }
      if (this.#clock.monotonic() > until) break;
    }
    if (failed === null) {
      try {
        this.#handle.exec("COMMIT");
      } catch (error) {
        this.#rollBack();
        if (isBusy(error)) this.#blocked(error);
        else this.#fail(done, error);
        return;
      }
    } else {
      this.#rollBack();
      // The others are done again without it.
      this.#fail([failed.write], failed.error);
      return;
    }
    this.#writes.splice(0, done.length);
    for (const [index, write] of done.entries()) write.resolve(values[index] as never);
    if (this.#writes.length > 0) this.#schedule();
    if (done.some(({ wakes }) => wakes)) queueMicrotask(() => this.#tell());
  }

  #rollBack(): void {
    try {
      this.#handle.exec("ROLLBACK");
    } catch {
      // SQLite has done so itself.
    }
  }

  #fail(writes: readonly Write[], error: unknown): void {
    const said = sqliteError(error, this.path);
    const gone = new Set(writes);
    this.#writes = this.#writes.filter((one) => !gone.has(one));
    for (const write of writes) write.reject(said);
    if (this.#writes.length > 0) this.#schedule();
  }

  /** No transaction could be begun. */
  #blocked(error: unknown): void {
    if (!isBusy(error)) {
      this.#fail([...this.#writes], error);
      return;
    }
    const now = this.#clock.monotonic();
    const late = this.#writes.filter(({ deadlineMs }) => deadlineMs <= now);
    if (late.length > 0) this.#fail(late, error);
    if (this.#writes.length === 0 || this.#retry !== null) return;
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#immediate = null;
    this.#retry = this.#clock.setTimer(Math.random() * RETRY_MS, () => {
      this.#retry = null;
      this.#commit();
    });
  }

  #dropAborted(): void {
    for (const write of this.#writes) {
      if (!write.signal?.aborted) continue;
      write.reject(new SqliteError("it was given up before it was stored", { cause: write.signal.reason }));
      this.#writes = this.#writes.filter((one) => one !== write);
    }
  }

  #tell(): void {
    if (this.#closed) return;
    for (const listener of this.#listeners) listener();
  }
}

function closedError(path: string): SqliteError {
  return new SqliteError(`the connection to ${JSON.stringify(path)} was closed`);
}
