import { transaction } from "petiole/transactions";
import pg from "pg";
import { type Database, DatabaseUnavailable, type Queries, type Value } from "./database.ts";

const CONNECT_MS = 5000;

export class PostgresDatabase implements Database {
  readonly kind = "postgres";
  readonly #pool: pg.Pool;
  /** The pool, with errors that say where it wanted to connect. */
  readonly #connections: { readonly connect: () => Promise<pg.PoolClient> };

  constructor(url: string) {
    const shown = withoutPassword(url);
    const pool = new pg.Pool({ connectionString: url, connectionTimeoutMillis: CONNECT_MS });
    // A connection that breaks while nobody uses it: the pool opens another one. While it is used, the query tells.
    pool.on("error", ignore);
    pool.on("connect", (client) => client.on("error", ignore));
    this.#pool = pool;
    this.#connections = {
      connect: () =>
        pool.connect().catch((error: unknown) => {
          throw unavailable(shown, error as Failure);
        }),
    };
  }

  async query<Row extends object>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    const client = await this.#connections.connect();
    try {
      const rows = await run<Row>(client, sql, values);
      client.release();
      return rows;
    } catch (error) {
      // It may be the connection that is broken: the pool closes it.
      client.release(true);
      throw error;
    }
  }

  transaction<T>(work: (tx: Queries) => Promise<T>): Promise<T> {
    return transaction(this.#connections, (client) =>
      work({ query: (sql, values = []) => run(client, sql, values) }),
    );
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

function ignore(): void {}

async function run<Row extends object>(
  client: pg.PoolClient,
  sql: string,
  values: readonly Value[],
): Promise<Row[]> {
  // node-postgres wants a list of its own, and Buffers.
  const parameters = values.map((one) => (one instanceof Uint8Array ? Buffer.from(one) : one));
  return (await client.query(sql, parameters)).rows as Row[];
}

/** An `AggregateError` where a host has several addresses. */
type Failure = Error & { readonly code?: string; readonly errors?: readonly Error[] };

const ADVICE: Readonly<Record<string, string>> = {
  "28P01": "Check the user and the password of DATABASE_URL",
  "28000": "Check the user and the password of DATABASE_URL",
  "3D000": "Create that database, or set DATABASE_URL to another one",
};

function unavailable(shown: string, error: Failure): DatabaseUnavailable {
  const reason = error.message || error.errors?.map(({ message }) => message).join(", ") || error.code;
  const advice =
    ADVICE[error.code ?? ""] ??
    "Start that server, or set DATABASE_URL to another one; without DATABASE_URL rows are in a SQLite file";
  return new DatabaseUnavailable(`cannot connect to ${shown}: ${reason}. ${advice}`, { cause: error });
}

/** For messages. */
function withoutPassword(url: string): string {
  if (!URL.canParse(url)) {
    throw new Error("DATABASE_URL is no URL: expected postgresql://user:password@host:5432/database");
  }
  const shown = new URL(url);
  if (shown.password !== "") shown.password = "***";
  shown.search = "";
  return shown.href;
}
