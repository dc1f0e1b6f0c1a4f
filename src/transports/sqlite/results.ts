/** Results in their table; the backend of the same file reads and writes here. */
import { asBuffer, type Database, keyHash, readText, type SqlValue } from "../../sqlite/index.ts";
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
const BY_KEY = "FROM petiole_results WHERE hash = ? AND key = ?";
const LAST = "(SELECT max(seq) FROM petiole_results)";
/** What stays of the last one. */
const EMPTY = "UPDATE petiole_results SET hash = -1, key = '', value = '', success = 0, expires = 0";

export class ResultTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Inside a write; unless what is there is to be kept. */
  write(write: StoredWrite, nowMs: number): void {
    const { key } = write;
    const hash = keyHash(key);
    const old = this.#db.get(`SELECT seq, success, expires ${BY_KEY}`, hash, key);
    if (
      old !== undefined &&
      isLive(old["expires"], nowMs) &&
      (write.keepAny || (write.keepSuccess && old["success"] === 1))
    ) {
      return;
    }
    const success = "success" in write ? (write as SqliteWrite).success : isSuccessText(write.value);
    const expires = write.ttlSeconds > 0 ? Math.ceil(nowMs + write.ttlSeconds * 1000) : null;
    // A new number each time: who watches reads on from the last.
    this.#db.run(
      "INSERT INTO petiole_results (hash, key, value, success, expires) VALUES (?, ?, ?, ?, ?)",
      hash,
      key,
      write.value,
      success ? 1 : 0,
      expires,
    );
    if (old !== undefined) this.#replaced(old["seq"] as number);
  }

  /** What was there is kept for who waits for the key and has not read it yet. */
  #replaced(seq: number): void {
    this.#db.run("INSERT INTO petiole_past SELECT seq, key, value FROM petiole_results WHERE seq = ?", seq);
    this.#db.run("DELETE FROM petiole_results WHERE seq = ?", seq);
    this.#db.run("DELETE FROM petiole_past WHERE seq < ?", seq - PAST_LENGTH);
  }

  read(key: string, nowMs: number): StoredText | null {
    const row = this.#db.get(`SELECT value, expires ${BY_KEY}`, keyHash(key), key);
    if (row === undefined || !isLive(row["expires"], nowMs)) return null;
    return textOf(row["value"]);
  }

  /** The last one leaves its number behind, so that none is given twice. */
  delete(key: string): void {
    const row = this.#db.get(`SELECT seq ${BY_KEY}`, keyHash(key), key);
    if (row === undefined) return;
    const seq = row["seq"] as number;
    if (seq < this.lastSeq()) this.#db.run("DELETE FROM petiole_results WHERE seq = ?", seq);
    else {
      this.#db.run(`${EMPTY} WHERE seq = ?`, seq);
    }
  }

  /** Number of the last one that was written. */
  lastSeq(): number {
    return (this.#db.get("SELECT max(seq) AS seq FROM petiole_results")?.["seq"] ?? 0) as number;
  }

  /** What was written after `seq`, in its order. */
  after(seq: number): readonly { readonly seq: number; readonly key: string }[] {
    const rows = this.#db.all(
      "SELECT seq, key FROM petiole_past WHERE seq > ?1 UNION ALL SELECT seq, key FROM petiole_results WHERE seq > ?1 ORDER BY seq",
      seq,
    );
    return rows.map((row) => ({ seq: row["seq"] as number, key: readText(row["key"]) }));
  }

  /** One of {@link after}; null: it is gone. */
  readSeq(seq: number): StoredText | null {
    const row =
      this.#db.get("SELECT value FROM petiole_results WHERE seq = ?", seq) ??
      this.#db.get("SELECT value FROM petiole_past WHERE seq = ?", seq);
    return row === undefined ? null : textOf(row["value"]);
  }

  hasExpired(nowMs: number): boolean {
    const sql = `SELECT 1 FROM petiole_results WHERE expires <= ? AND (seq < ${LAST} OR key <> '') LIMIT 1`;
    return this.#db.get(sql, nowMs) !== undefined;
  }

  deleteExpired(nowMs: number): void {
    this.#db.run(`${EMPTY} WHERE seq = ${LAST} AND expires <= ?`, nowMs);
    this.#db.run(
      `DELETE FROM petiole_results WHERE seq IN (SELECT seq FROM petiole_results WHERE expires <= ? AND seq < ${LAST} LIMIT ?)`,
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
