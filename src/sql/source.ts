/** What a dialect gives: connections, and what its errors mean. */
import type { Verdict } from "./errors.ts";

/** What a statement answered. */
export interface Answer {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Rows that an INSERT made, an UPDATE matched (also where it changed nothing of them), a DELETE removed. */
  readonly affected: number | null;
  /** `id` of the row that an INSERT made; not on PostgreSQL. */
  readonly insertId: number | null;
}

export interface SourceConnection {
  /** One statement. Rejects with the driver's error. */
  query(text: string, values: readonly unknown[]): Promise<Answer>;
  /** Back to where it came from; `broken`: it is closed. */
  release(broken: boolean): void;
}

export interface ConnectionSource {
  /** Waits for a free one, or makes it. Rejects with the driver's error, or a `SqlError`. */
  acquire(): Promise<SourceConnection>;
  /** How a transaction begins. */
  readonly begin: string;
  /** What an error of the driver means. */
  judge(error: unknown): Verdict;
  /** Idempotent. Waits for connections that are in use. */
  close(): Promise<void>;
}

/** Where the URL has no `connect_timeout`. Also for the wait for a free connection of PostgreSQL. */
export const CONNECT_MS = 5000;

/** How long things may take, and how many connections there are. */
export interface SourceOptions {
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
}
