/** The databases that `transaction` speaks to, by what it needs of their drivers. */
import type { EventEmitter } from "node:events";
import { PetioleError } from "../../errors.ts";

/** A connection of `pg`, taken from its pool. */
export interface PgClient {
  query(sql: string): Promise<unknown>;
  /** With an error the pool closes it. */
  release(error?: Error | boolean): void;
}

/** `pg`'s `Pool`. */
export interface PgPool {
  connect(): Promise<PgClient>;
}

/** `DatabaseSync` of `node:sqlite` and of `@photostructure/sqlite`. */
export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): unknown;
}

/** One open transaction on one connection. */
export interface Session {
  /** What the user's function gets. */
  readonly connection: unknown;
  execute(sql: string): Promise<void>;
  /** Rejects when it was rolled back instead. */
  commit(): Promise<void>;
  /** The connection is free. `broken`: it must not be used again. */
  end(broken: Error | null): void;
}

export function isSqlite(database: PgPool | SqliteDatabase): database is SqliteDatabase {
  return typeof (database as Partial<SqliteDatabase>).exec === "function";
}

function ignore(): void {}

export async function beginPg(pool: PgPool): Promise<Session> {
  const client = await pool.connect();
  // What breaks the connection is told by the next statement: without a listener it would end the process.
  const events = client as Partial<EventEmitter>;
  events.on?.("error", ignore);
  const release = (broken?: Error): void => {
    events.off?.("error", ignore);
    client.release(broken);
  };
  try {
    await client.query("BEGIN");
  } catch (error) {
    release(error as Error);
    throw error;
  }
  return {
    connection: client,
    async execute(sql) {
      await client.query(sql);
    },
    async commit() {
      const answer = (await client.query("COMMIT")) as { readonly command?: unknown } | null;
      // PostgreSQL answers so, without an error, where a statement has failed and its error was swallowed.
      if (answer?.command === "ROLLBACK") {
        throw new PetioleError(
          "PET_TRANSACTION",
          "the transaction was rolled back, not committed: one of its statements has failed, and its error was caught. Let it go on, or put the statement into a transaction() of its own within this one",
        );
      }
    },
    end: (broken) => release(broken ?? undefined),
  };
}

/** Those that wait for the one that is open on a handle: it has one connection. */
const lines = new WeakMap<SqliteDatabase, Promise<void>>();

export async function beginSqlite(database: SqliteDatabase): Promise<Session> {
  const before = lines.get(database);
  // Boxed: written in a callback, which the compiler does not follow.
  const gate: { open: (() => void) | null } = { open: null };
  lines.set(
    database,
    new Promise<void>((resolve) => {
      gate.open = resolve;
    }),
  );
  const end = (): void => gate.open?.();
  await before;
  try {
    database.exec("BEGIN IMMEDIATE");
  } catch (error) {
    end();
    throw error;
  }
  return {
    connection: database,
    execute: async (sql) => database.exec(sql),
    commit: async () => database.exec("COMMIT"),
    end,
  };
}
