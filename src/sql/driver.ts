/**
 * Kysely's driver over a {@link ConnectionSource}. It throws `SqlError`s, and knows of a transaction that failed whether anything
 * of it can be stored.
 *
 * | state of a connection | event | next | an error is |
 * |---|---|---|---|
 * | free | statement | free | the dialect's verdict |
 * | free | begin | open | not sent |
 * | open | statement | open | not sent: the transaction ends without a commit |
 * | open | commit | free | the dialect's verdict |
 * | open | rollback | free | none: a rollback that fails breaks the connection, which is a rollback |
 */
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult, TransactionSettings } from "kysely";
import { PetioleError } from "../errors.ts";
import { SqlError } from "./errors.ts";
import type { ConnectionSource, SourceConnection } from "./source.ts";

class Connection implements DatabaseConnection {
  readonly #inner: SourceConnection;
  readonly #fail: (
    error: unknown,
    known?: "not sent",
  ) => { readonly error: unknown; readonly broken: boolean };
  #open = false;
  #broken = false;

  constructor(inner: SourceConnection, fail: SqlDriver["fail"]) {
    this.#inner = inner;
    this.#fail = fail;
  }

  async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const answer = await this.#ask(compiled.sql, compiled.parameters, this.#open);
    return {
      rows: answer.rows as R[],
      ...(answer.affected !== null && { numAffectedRows: BigInt(answer.affected) }),
      ...(answer.insertId !== null && { insertId: BigInt(answer.insertId) }),
    };
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("rows are not streamed: page with a limit");
  }

  async begin(text: string): Promise<void> {
    await this.#ask(text, [], true);
    this.#open = true;
  }

  async commit(): Promise<void> {
    await this.#ask("commit", [], false);
    this.#open = false;
  }

  async rollback(): Promise<void> {
    if (!this.#broken) {
      await this.#inner.query("rollback", []).catch(() => {
        this.#broken = true;
      });
    }
    this.#open = false;
  }

  release(): void {
    this.#inner.release(this.#broken || this.#open);
  }

  async #ask(text: string, values: readonly unknown[], undone: boolean) {
    try {
      return await this.#inner.query(text, values);
    } catch (raw) {
      const { error, broken } = this.#fail(raw, undone ? "not sent" : undefined);
      this.#broken ||= broken;
      throw error;
    }
  }
}

export class SqlDriver implements Driver {
  readonly #source: ConnectionSource;
  readonly #database: string;

  /** @param database - its URL without password */
  constructor(source: ConnectionSource, database: string) {
    this.#source = source;
    this.#database = database;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Connection> {
    try {
      return new Connection(await this.#source.acquire(), this.fail);
    } catch (error) {
      throw this.fail(error, "not sent").error;
    }
  }

  async beginTransaction(connection: Connection, settings: TransactionSettings): Promise<void> {
    if (settings.isolationLevel !== undefined || settings.accessMode !== undefined)
      throw new Error("transactions have the isolation that their connection has: READ COMMITTED");
    await connection.begin(this.#source.begin);
  }

  commitTransaction(connection: Connection): Promise<void> {
    return connection.commit();
  }

  rollbackTransaction(connection: Connection): Promise<void> {
    return connection.rollback();
  }

  async releaseConnection(connection: Connection): Promise<void> {
    connection.release();
  }

  destroy(): Promise<void> {
    return this.#source.close();
  }

  readonly fail = (
    raw: unknown,
    known?: "not sent",
  ): { readonly error: unknown; readonly broken: boolean } => {
    if (raw instanceof PetioleError) return { error: raw, broken: true };
    const verdict = this.#source.judge(raw);
    return {
      error: new SqlError(
        this.#database,
        known === undefined ? verdict : { ...verdict, outcome: known },
        raw,
      ),
      broken: verdict.broken,
    };
  };
}
