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
/** Results that were written since one was overwritten, until it is deleted. */
const PAST_LENGTH = 1000;

export class ResultTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Inside a write; unless what is there is to be kept. */
  write(write: StoredWrite, nowMs: number): void {
    const { key } = write;
    const old = this.#db.get("SELECT seq, success, expires FROM petiole_results WHERE key = ?", key);
    if (old !== undefined) {
      if (isLive(old["expires"], nowMs) && (write.keepAny || (write.keepSuccess && old["success"] === 1)))
        return;
      this.#keepPast(old["seq"] as number);
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

  /** For who waits for the key and has not read it yet. */
  #keepPast(seq: number): void {
    this.#db.run("INSERT INTO petiole_past SELECT seq, key, value FROM petiole_results WHERE seq = ?", seq);
    this.#db.run("DELETE FROM petiole_past WHERE seq < ?", seq - PAST_LENGTH);
  }

  read(key: string, nowMs: number): StoredText | null {
    const row = this.#db.get("SELECT value, expires FROM petiole_results WHERE key = ?", key);
    if (row === undefined || !isLive(row["expires"], nowMs)) return null;
    return textOf(row["value"]);
  }

  delete(key: string): void {
    this.#db.run("DELETE FROM petiole_results WHERE key = ?", key);
  }

  /** Number of the last one that was written. */
  lastSeq(): number {
    const row = this.#db.get("SELECT seq FROM sqlite_sequence WHERE name = 'petiole_results'");
    return (row?.["seq"] ?? 0) as number;
  }

  /** What was written after `seq`, in its order. */
  after(seq: number): readonly { readonly seq: number; readonly key: string }[] {
    const rows = this.#db.all(
      "SELECT seq, key FROM petiole_past WHERE seq > ?1 UNION ALL SELECT seq, key FROM petiole_results WHERE seq > ?1 ORDER BY seq",
      seq,
    );
    return rows.map((row) => ({ seq: row["seq"] as number, key: String(row["key"]) }));
  }

  /** One of {@link after}; null: it is gone. */
  readSeq(seq: number): StoredText | null {
    const row =
      this.#db.get("SELECT value FROM petiole_results WHERE seq = ?", seq) ??
      this.#db.get("SELECT value FROM petiole_past WHERE seq = ?", seq);
    return row === undefined ? null : textOf(row["value"]);
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

function textOf(value: SqlValue | undefined): StoredText {
  return value instanceof Uint8Array ? asBuffer(value) : String(value);
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
