import { transaction } from "petiole/transactions";
import pg from "pg";
import type { Database, Queries, Value } from "./database.ts";

export class PostgresDatabase implements Database {
  readonly kind = "postgres";
  readonly #pool: pg.Pool;

  constructor(url: string) {
    this.#pool = new pg.Pool({ connectionString: url });
    // A connection that breaks while nobody uses it; the pool opens another one.
    this.#pool.on("error", () => {});
  }

  query<Row extends object>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    return run<Row>(this.#pool, sql, values);
  }

  transaction<T>(work: (tx: Queries) => Promise<T>): Promise<T> {
    return transaction(this.#pool, (client) =>
      work({ query: (sql, values = []) => run(client, sql, values) }),
    );
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

async function run<Row extends object>(
  client: pg.Pool | pg.PoolClient,
  sql: string,
  values: readonly Value[],
): Promise<Row[]> {
  // node-postgres wants a list of its own, and Buffers.
  const parameters = values.map((one) => (one instanceof Uint8Array ? Buffer.from(one) : one));
  return (await client.query(sql, parameters)).rows as Row[];
}
