/** Unique tasks of a file (`transports/unique-locks.ts`). */
import type { Clock } from "../../base/clock.ts";
import { type Database, noteRun, readText } from "../../sqlite/index.ts";
import {
  type Claim,
  fenced,
  REPLACED_MS,
  type UniqueEnd,
  type UniqueKey,
  type UniqueLocks,
  type UniqueMessage,
} from "../unique-locks.ts";

interface Lock {
  readonly id: string;
  readonly started: boolean;
  readonly firstMs: number;
  readonly dueMs: number;
}

export interface UniqueContext {
  /** Throws before the start. */
  readonly db: () => Database;
  readonly clock: Clock;
  /** Encodes a message, and gives what puts it into its queues, inside a write. @throws EncodeError */
  readonly send: (message: UniqueMessage) => () => void;
  /** What a failed write means to a sender. */
  readonly failed: (error: unknown) => Error;
}

export class SqliteUniqueLocks implements UniqueLocks {
  readonly #context: UniqueContext;

  constructor(context: UniqueContext) {
    this.#context = context;
  }

  async publish(messages: readonly UniqueMessage[], signal: AbortSignal | null): Promise<readonly string[]> {
    const { db, clock, send, failed } = this.#context;
    signal?.throwIfAborted();
    const puts = messages.map((message) => send(message));
    const file = db();
    let ids: readonly (string | null)[];
    try {
      ids = await file.write(
        () =>
          messages.map((message, index) =>
            publishOne(file, message, { nowMs: clock.now(), put: puts[index] as () => void }),
          ),
        { signal, wakes: true },
      );
    } catch (error) {
      throw failed(error);
    }
    return ids.map((id) => id ?? fenced());
  }

  async claim({ key, ttlMs, until }: UniqueKey, id: string): Promise<Claim> {
    const db = this.#context.db();
    return db.write(
      () => {
        const nowMs = this.#context.clock.now();
        if (isReplaced(db, id, nowMs)) return { kind: "replaced" };
        const lock = lockOf(db, key, nowMs);
        if (lock !== null && lock.id !== id) return { kind: "run" };
        if (lock !== null && lock.dueMs > nowMs) return { kind: "later", untilMs: lock.dueMs };
        if (until === "start") db.run("DELETE FROM petiole_unique WHERE key = ?", key);
        else {
          const { firstMs = nowMs, dueMs = 0 } = lock ?? {};
          db.run(
            "INSERT OR REPLACE INTO petiole_unique VALUES (?, ?, 1, ?, ?, ?)",
            key,
            id,
            firstMs,
            dueMs,
            nowMs + ttlMs,
          );
        }
        return { kind: "run" };
      },
      { patient: true },
    );
  }

  async release({ key }: UniqueKey, id: string): Promise<void> {
    const db = this.#context.db();
    await db.write(
      () => {
        freeKey(db, { key, id });
      },
      { patient: true },
    );
  }
}

/** Inside a write: unless another holds it. */
export function freeKey(db: Database, { key, id }: UniqueEnd): void {
  db.run("DELETE FROM petiole_replaced WHERE id = ?", id);
  db.run("DELETE FROM petiole_unique WHERE key = ? AND id = ?", key, id);
}

/** Inside a write: those whose time is over. */
export function forgetOldLocks(db: Database, nowMs: number): void {
  db.run("DELETE FROM petiole_unique WHERE ends <= ?", nowMs);
  db.run("DELETE FROM petiole_replaced WHERE ends <= ?", nowMs);
}

/** null: its claim was refused, and nothing was done. */
function publishOne(
  db: Database,
  message: UniqueMessage,
  { nowMs, put }: { readonly nowMs: number; readonly put: () => void },
): string | null {
  const { id, unique, replace, debounceMs, maxWaitMs, claim = null } = message;
  if (claim?.kind === "sqlite" && claim.path === db.path) {
    const run = noteRun(db, claim);
    if (run !== "noted") return run === "again" ? id : null;
  }
  const lock = lockOf(db, unique.key, nowMs);
  if (lock?.id === id || isReplaced(db, id, nowMs)) return id;
  if (lock !== null) {
    if (!replace || lock.started) return lock.id;
    const ends = nowMs + Math.max(REPLACED_MS, unique.ttlMs);
    db.run("INSERT OR REPLACE INTO petiole_replaced VALUES (?, ?)", lock.id, ends);
  }
  const firstMs = lock !== null && lock.dueMs > 0 ? lock.firstMs : nowMs;
  let dueMs = 0;
  if (debounceMs > 0) {
    dueMs = Math.max(nowMs, Math.min(nowMs + debounceMs, firstMs + (maxWaitMs ?? Infinity)));
  }
  const ends = Math.max(nowMs, dueMs) + unique.ttlMs;
  db.run(
    "INSERT OR REPLACE INTO petiole_unique VALUES (?, ?, 0, ?, ?, ?)",
    unique.key,
    id,
    firstMs,
    dueMs,
    ends,
  );
  put();
  return id;
}

function lockOf(db: Database, key: string, nowMs: number): Lock | null {
  const row = db.get(
    "SELECT id, started, first, due FROM petiole_unique WHERE key = ? AND ends > ?",
    key,
    nowMs,
  );
  if (row === undefined) return null;
  return {
    id: readText(row["id"]),
    started: row["started"] === 1,
    firstMs: row["first"] as number,
    dueMs: row["due"] as number,
  };
}

function isReplaced(db: Database, id: string, nowMs: number): boolean {
  return db.get("SELECT 1 FROM petiole_replaced WHERE id = ? AND ends > ?", id, nowMs) !== undefined;
}
