import { transaction } from "petiole/transactions";
import pg from "pg";
import { StartError } from "../start.ts";
import { type Database, DatabaseUnavailable, type Queries, type Value } from "./database.ts";

const CONNECT_MS = 5000;
/** A server that hangs, or a network that swallows what is sent, is not waited for any longer. */
const QUERY_MS = 10_000;

/** Of the pool, with errors that say where it wanted to connect. */
interface Connection {
  query(sql: string, values?: readonly Value[]): Promise<pg.QueryResult>;
  release(): void;
}

export class PostgresDatabase implements Database {
  readonly kind = "postgres";
  readonly #pool: pg.Pool;
  readonly #connections: { readonly connect: () => Promise<Connection> };

  constructor(url: string) {
    const shown = withoutPassword(url);
    const pool = new pg.Pool({
      connectionString: url,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: QUERY_MS,
      keepAlive: true,
    });
    // A connection that breaks while nobody uses it: the pool opens another one. While it is used, the query tells.
    pool.on("error", ignore);
    pool.on("connect", (client) => client.on("error", ignore));
    this.#pool = pool;
    this.#connections = {
      connect: async () => {
        try {
          return connectionOf(await pool.connect(), shown);
        } catch (error) {
          throw unavailable(`cannot connect to ${shown}`, error as Failure);
        }
      },
    };
  }

  async query<Row extends object>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    const connection = await this.#connections.connect();
    try {
      return (await connection.query(sql, values)).rows as Row[];
    } finally {
      connection.release();
    }
  }

  transaction<T>(work: (tx: Queries) => Promise<T>): Promise<T> {
    return transaction(this.#connections, (connection) =>
      work({
        query: async <Row extends object>(sql: string, values: readonly Value[] = []) =>
          (await connection.query(sql, values)).rows as Row[],
      }),
    );
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

function ignore(): void {}

function connectionOf(client: pg.PoolClient, shown: string): Connection {
  let broken: DatabaseUnavailable | undefined;
  return {
    async query(sql, values = []) {
      // As the ROLLBACK behind a query that hangs.
      if (broken !== undefined) throw broken;
      // node-postgres wants a list of its own, and Buffers.
      const parameters = values.map((one) => (one instanceof Uint8Array ? Buffer.from(one) : one));
      try {
        return await client.query(sql, parameters);
      } catch (error) {
        if (!isLoss(error)) throw error;
        broken = unavailable(`lost the connection to ${shown}`, error as Failure);
        throw broken;
      }
    },
    // The pool closes what is broken.
    release: () => client.release(broken),
  };
}

/** The server says that it ends the connection, or says nothing any more. */
function isLoss(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || /^(08|57P0)/.test(error.code ?? "");
}

/** An `AggregateError` where a host has several addresses. */
type Failure = Error & { readonly code?: string; readonly errors?: readonly Error[] };

const ADVICE: Readonly<Record<string, string>> = {
  "28P01": "Check the user and the password of DATABASE_URL",
  "28000": "Check the user and the password of DATABASE_URL",
  "3D000": "Create that database, or set DATABASE_URL to another one",
};

function unavailable(what: string, error: Failure): DatabaseUnavailable {
  const reason = error.message || error.errors?.map(({ message }) => message).join(", ") || error.code;
  const advice =
    ADVICE[error.code ?? ""] ??
    "Start that server, or set DATABASE_URL to another one; without DATABASE_URL rows are in a SQLite file";
  return new DatabaseUnavailable(`${what}: ${reason}. ${advice}`, { cause: error });
}

/** For messages. */
function withoutPassword(url: string): string {
  if (!URL.canParse(url)) {
    throw new StartError("DATABASE_URL is no URL: expected postgresql://user:password@host:5432/database");
  }
  const shown = new URL(url);
  if (shown.password !== "") shown.password = "***";
  shown.search = "";
  return shown.href;
}
