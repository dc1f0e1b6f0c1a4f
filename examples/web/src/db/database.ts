/** What routes and tasks see of a database: SQL with `$1`, `$2`, that PostgreSQL and SQLite both take. */
export type Value = string | number | null | Uint8Array;

export interface Queries {
  query<Row extends object>(sql: string, values?: readonly Value[]): Promise<Row[]>;
}

/** It cannot be reached or opened. The message says what to do. */
export class DatabaseUnavailable extends Error {
  override readonly name = "DatabaseUnavailable";
}

export interface Database extends Queries {
  readonly kind: "postgres" | "sqlite";
  /**
   * Commits what `work` did through `tx` when it resolves, and rolls back when it rejects. Tasks that `work` sends with
   * `delayOnCommit` are sent after the commit, or not at all.
   */
  transaction<T>(work: (tx: Queries) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}
