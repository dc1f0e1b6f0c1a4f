/**
 * A SQLite file. One connection, which transactions use in turn; where another process has the lock a statement is tried again
 * without blocking the event loop.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Clock } from "../base/clock.ts";
import {
  type Handle,
  isBusy,
  loadDriver,
  type SqlValue,
  type Statement,
  sqliteError,
} from "../sqlite/index.ts";
import type { Verdict } from "./errors.ts";
import type { Answer, ConnectionSource, SourceConnection, SourceOptions } from "./source.ts";
import { BOOLEAN_COLUMNS } from "./tables.ts";
import type { FileAddress } from "./url.ts";

/** The lock is waited for so long without leaving the event loop: most are gone by then. */
const SPIN_MS = 2;
const RETRY_MS = 5;
const OPENING_MS = 5000;
/** Statements that are kept prepared. */
const PREPARED = 200;

const CONSTRAINT = 19;
const UNIQUE = 2067;
const PRIMARY_KEY = 1555;

export function judgeSqlite(error: unknown): Verdict {
  const { errcode } = (error ?? {}) as { readonly errcode?: unknown };
  const text = error instanceof Error ? error.message : "";
  if (isBusy(error)) return { kind: "busy", outcome: "not sent", broken: false };
  if (errcode === UNIQUE || errcode === PRIMARY_KEY)
    return { kind: "conflict", outcome: "not sent", broken: false };
  if (/no such table|no such column|has no column named/.test(text))
    return { kind: "missing", outcome: "not sent", broken: false };
  if (typeof errcode !== "number" || (errcode & 0xff) === CONSTRAINT || (errcode & 0xff) === 1)
    return { kind: "refused", outcome: "not sent", broken: false };
  const { refused } = sqliteError(error, "");
  return refused
    ? { kind: "refused", outcome: "not sent", broken: false }
    : { kind: "unreachable", outcome: "not sent", broken: false };
}

export async function openSqlite(
  address: FileAddress,
  options: SourceOptions & { readonly clock: Clock },
): Promise<ConnectionSource> {
  const open = await loadDriver();
  let connection: SqliteConnection | null = null;
  let last: Promise<void> = Promise.resolve();
  let closed = false;
  return {
    begin: "begin immediate",
    judge: judgeSqlite,
    async acquire() {
      const before = last;
      // Boxed: written in a callback, which the compiler does not follow.
      const turn: { end: (() => void) | null } = { end: null };
      last = new Promise<void>((resolve) => {
        turn.end = resolve;
      });
      const done = (): void => turn.end?.();
      await before;
      try {
        if (closed) throw new Error("the connection was closed");
        connection ??= new SqliteConnection(opened(open, address.path), options);
      } catch (error) {
        done();
        throw error;
      }
      return connection.taken(done);
    },
    async close() {
      closed = true;
      const before = last;
      await before;
      connection?.close();
      connection = null;
    },
  };
}

function opened(open: Awaited<ReturnType<typeof loadDriver>>, path: string): Handle {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const isNew = !existsSync(path) || statSync(path).size === 0;
  const handle = open(path, { timeout: OPENING_MS });
  try {
    // A file that somebody else made keeps the mode that it has.
    if (isNew) handle.exec("PRAGMA journal_mode = WAL");
    handle.exec("PRAGMA foreign_keys = ON");
    handle.prepare("SELECT count(*) FROM sqlite_schema").get();
    handle.exec(`PRAGMA busy_timeout = ${SPIN_MS}`);
    return handle;
  } catch (error) {
    handle.close();
    throw error;
  }
}

class SqliteConnection {
  readonly #handle: Handle;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #statements = new Map<string, Statement>();

  constructor(handle: Handle, options: SourceOptions & { readonly clock: Clock }) {
    this.#handle = handle;
    this.#clock = options.clock;
    this.#timeoutMs = options.statementTimeoutMs;
  }

  taken(done: () => void): SourceConnection {
    return {
      query: (text, values) => this.#query(text, values),
      release: (broken) => {
        if (broken) this.#rollBack();
        done();
      },
    };
  }

  close(): void {
    this.#statements.clear();
    this.#handle.close();
  }

  async #query(text: string, values: readonly unknown[]): Promise<Answer> {
    const untilMs = this.#clock.monotonic() + this.#timeoutMs;
    for (;;) {
      try {
        return this.#run(text, values);
      } catch (error) {
        if (!isBusy(error) || this.#clock.monotonic() > untilMs) throw error;
      }
      await pause(Math.random() * RETRY_MS);
    }
  }

  #run(text: string, values: readonly unknown[]): Answer {
    const statement = this.#statement(text);
    const given = values.map(bound);
    if (/^\s*(?:select|with|pragma|explain|values)\b/i.test(text)) {
      return { rows: statement.all(...given).map(readRow), affected: null, insertId: null };
    }
    if (/\breturning\b/i.test(text)) {
      const rows = statement.all(...given).map(readRow);
      return { rows, affected: rows.length, insertId: null };
    }
    const { changes, lastInsertRowid } = statement.run(...given);
    return { rows: [], affected: Number(changes), insertId: Number(lastInsertRowid) };
  }

  #statement(text: string): Statement {
    const known = this.#statements.get(text);
    if (known !== undefined) return known;
    const statement = this.#handle.prepare(text);
    if (this.#statements.size >= PREPARED) this.#statements.clear();
    this.#statements.set(text, statement);
    return statement;
  }

  #rollBack(): void {
    try {
      this.#handle.exec("ROLLBACK");
    } catch {
      // There was none.
    }
  }
}

function bound(value: unknown): SqlValue {
  if (typeof value === "boolean") return value ? 1 : 0;
  return (value ?? null) as SqlValue;
}

function readRow(row: Readonly<Record<string, SqlValue>>): Record<string, unknown> {
  const read: Record<string, unknown> = { ...row };
  for (const name of BOOLEAN_COLUMNS) {
    if (typeof read[name] === "number") read[name] = read[name] !== 0;
  }
  return read;
}
