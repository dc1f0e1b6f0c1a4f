/** Results in their table; the backend of the same file reads and writes here. */
import { asBuffer, type Database, type SqlValue, storedText } from "../../sqlite/index.ts";
import type { StoredWrite } from "../transport.ts";

/** A write whose maker knew the state; from others it is read from the text. */
export interface SqliteWrite extends StoredWrite {
  readonly success: boolean;
}

export type StoredText = StoredWrite["value"];

/** Expired ones that are deleted in one transaction. */
const EXPIRED_COUNT = 2000;

export class ResultTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Inside a write; unless a SUCCESS is to be kept. */
  write(write: StoredWrite, nowMs: number): void {
    const { key, keepSuccess } = write;
    if (keepSuccess) {
      const kept = this.#db.get("SELECT success, expires FROM petiole_results WHERE key = ?", key);
      if (kept?.["success"] === 1 && isLive(kept["expires"], nowMs)) return;
    }
    const value = typeof write.value === "string" ? storedText(write.value) : write.value;
    const success = "success" in write ? (write as SqliteWrite).success : isSuccessText(write.value);
    const expires = write.ttlSeconds > 0 ? Math.ceil(nowMs + write.ttlSeconds * 1000) : null;
    // A new number each time: who watches reads on from the last.
    this.#db.run(
      "INSERT OR REPLACE INTO petiole_results (key, value, success, expires) VALUES (?, ?, ?, ?)",
      key,
      value,
      success ? 1 : 0,
      expires,
    );
  }

  read(key: string, nowMs: number): StoredText | null {
    const row = this.#db.get("SELECT value, expires FROM petiole_results WHERE key = ?", key);
    if (row === undefined || !isLive(row["expires"], nowMs)) return null;
    const value = row["value"];
    return value instanceof Uint8Array ? asBuffer(value) : String(value);
  }

  delete(key: string): void {
    this.#db.run("DELETE FROM petiole_results WHERE key = ?", key);
  }

  /** Number of the last one that was written. */
  lastSeq(): number {
    const row = this.#db.get("SELECT seq FROM sqlite_sequence WHERE name = 'petiole_results'");
    return (row?.["seq"] ?? 0) as number;
  }

  /** Keys that were written after `seq`. */
  keysAfter(seq: number): readonly string[] {
    const rows = this.#db.all("SELECT key FROM petiole_results WHERE seq > ? ORDER BY seq", seq);
    return rows.map((row) => String(row["key"]));
  }

  hasExpired(nowMs: number): boolean {
    return this.#db.get("SELECT 1 FROM petiole_results WHERE expires <= ? LIMIT 1", nowMs) !== undefined;
  }

  deleteExpired(nowMs: number): void {
    this.#db.run(
      "DELETE FROM petiole_results WHERE seq IN (SELECT seq FROM petiole_results WHERE expires <= ? LIMIT ?)",
      nowMs,
      EXPIRED_COUNT,
    );
  }
}

function isLive(expires: SqlValue | undefined, nowMs: number): boolean {
  return typeof expires !== "number" || expires > nowMs;
}

export function isSuccessText(value: StoredText): boolean {
  try {
    return (JSON.parse(value.toString()) as { status?: unknown } | null)?.status === "SUCCESS";
  } catch {
    return false;
  }
}
