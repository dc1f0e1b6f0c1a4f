import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type * as sqlite from "@photostructure/sqlite";
import { transaction } from "petiole/transactions";
import { type Database, DatabaseUnavailable, type Queries, type Value } from "./database.ts";

type Driver = typeof sqlite;
type Connection = sqlite.DatabaseSyncInstance;

/** `node:sqlite` from Node 22.13 on; before, a package with the same API, which comes with Petiole. */
async function driver(): Promise<Driver> {
  return builtIn() ?? (await import("@photostructure/sqlite"));
}

/** Node 22 warns that it is experimental, while it loads. */
function builtIn(): Driver | undefined {
  const before = Object.getOwnPropertyDescriptor(process, "emitWarning");
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule("node:sqlite") as Driver | undefined;
  } finally {
    if (before !== undefined) Object.defineProperty(process, "emitWarning", before);
  }
}

export class SqliteDatabase implements Database {
  readonly kind = "sqlite";
  readonly #path: string;
  #connection: Promise<Connection> | null = null;
  /** Ends when the queries and transactions before it are done: there is one connection, and it has one transaction. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  query<Row extends object>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    return this.#inTurn((connection) => run<Row>(connection, sql, values));
  }

  transaction<T>(work: (tx: Queries) => Promise<T>): Promise<T> {
    return this.#inTurn((connection) =>
      transaction(connection, () =>
        work({ query: async (sql, values = []) => run(connection, sql, values) }),
      ),
    );
  }

  async close(): Promise<void> {
    await this.#turn;
    (await this.#connection)?.close();
    this.#connection = null;
  }

  #inTurn<T>(work: (connection: Connection) => T | Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => work(await this.#open()));
    this.#turn = result.catch(() => {});
    return result;
  }

  #open(): Promise<Connection> {
    this.#connection ??= connect(this.#path).catch((error: unknown) => {
      this.#connection = null;
      throw new DatabaseUnavailable(
        `cannot open the SQLite file ${this.#path}: ${(error as Error).message}. Set DATABASE_URL to another one, in a folder where this user may write`,
        { cause: error },
      );
    });
    return this.#connection;
  }
}

async function connect(path: string): Promise<Connection> {
  mkdirSync(dirname(path), { recursive: true });
  const { DatabaseSync } = await driver();
  const connection = new DatabaseSync(path);
  // Several processes share the file.
  connection.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON");
  return connection;
}

function run<Row extends object>(connection: Connection, sql: string, values: readonly Value[]): Row[] {
  // SQLite takes $1 for a name.
  const named = Object.fromEntries(values.map((value, index) => [`$${index + 1}`, value]));
  return connection.prepare(sql).all(named) as Row[];
}
