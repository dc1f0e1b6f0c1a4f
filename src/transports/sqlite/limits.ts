/** Limits over all workers of a file (`transports/limits.ts`). All but `read` are called inside a write. */
import { type Database, readText, type SqlValue } from "../../sqlite/index.ts";
import { type Admission, type LimitClaim, type LimitState, limitName, WAITERS_TOLD } from "../limits.ts";
import type { Messages } from "./messages.ts";

/** A delivery that asks. */
export interface Asking {
  readonly tag: string;
  readonly holder: number;
  /** Of its message. */
  readonly message: number;
  readonly nowMs: number;
}

/** What gives a slot back. */
export interface Freed {
  readonly tag: string;
  /** It had a slot: it ran. */
  readonly ran: boolean;
  readonly nowMs: number;
}

interface Line {
  readonly name: string;
  readonly bound: number;
}

export class LimitTable {
  readonly #db: Database;
  readonly #messages: Messages;
  /** A slot is kept so long for a task that was called. */
  readonly #callMs: number;

  constructor(db: Database, messages: Messages, callMs: number) {
    this.#db = db;
    this.#messages = messages;
    this.#callMs = callMs;
  }

  /** A message that is to wait is no longer held afterwards. */
  admit(claim: LimitClaim, asking: Asking): Admission {
    const { tag, holder, message, nowMs } = asking;
    if (!this.#messages.isHeld(message, holder)) return { kind: "gone" };
    const { id, concurrency } = claim;
    const line = this.#lineOf(claim);
    if (line !== null && concurrency !== null) {
      if (this.#hasSlot(line.name, id, tag)) return { kind: "run" };
      this.#advance(line, nowMs);
      const used = this.#inUse(line.name);
      if (!used.has(id) && used.size >= line.bound) {
        this.#db.run(
          "INSERT INTO petiole_waiters (name, id, since, message) VALUES (?, ?, ?, ?)",
          line.name,
          id,
          nowMs,
          message,
        );
        this.#messages.leaveToLine(message);
        return { kind: "wait", for: "concurrency", key: concurrency.key };
      }
    }
    const untilMs = this.#token(claim, nowMs);
    if (untilMs > nowMs) {
      if (line !== null && this.#deleteCalled(line.name, id)) this.#advance(line, nowMs);
      this.#messages.park(message, holder, untilMs);
      return { kind: "wait", for: "rate", key: claim.rate?.key ?? "", untilMs };
    }
    if (line !== null) {
      this.#deleteCalled(line.name, id);
      this.#db.run(
        "INSERT OR REPLACE INTO petiole_slots VALUES (?, ?, ?, ?, NULL)",
        line.name,
        id,
        tag,
        holder,
      );
    }
    return { kind: "run" };
  }

  /** Gives back what a delivery, or an id that was called, has. */
  free({ id, task, concurrency, rate }: LimitClaim, { tag, ran, nowMs }: Freed): void {
    if (rate !== null && !ran) {
      const name = limitName("rate", task, rate.key);
      this.#db.run("DELETE FROM petiole_waiters WHERE name = ? AND id = ?", name, id);
    }
    if (concurrency === null) return;
    const name = limitName("concurrency", task, concurrency.key);
    this.#db.run("DELETE FROM petiole_slots WHERE name = ? AND id = ? AND tag IN (?, '')", name, id, tag);
    this.#goOn(name, nowMs);
  }

  /** Slots of a holder that was lost. */
  freeHolder(holder: number, nowMs: number): void {
    const rows = this.#db.all("SELECT DISTINCT name FROM petiole_slots WHERE holder = ?", holder);
    this.#db.run("DELETE FROM petiole_slots WHERE holder = ?", holder);
    for (const row of rows) this.#goOn(readText(row["name"]), nowMs);
  }

  /** Somebody was called and did not come. */
  hasOverdue(nowMs: number): boolean {
    return this.#db.get("SELECT 1 FROM petiole_slots WHERE until <= ? LIMIT 1", nowMs) !== undefined;
  }

  callNext(nowMs: number): void {
    const rows = this.#db.all("SELECT DISTINCT name FROM petiole_slots WHERE until <= ?", nowMs);
    for (const row of rows) this.#goOn(readText(row["name"]), nowMs);
  }

  /** Of rates that nobody waits for. */
  forgetOld(nowMs: number): void {
    this.#db.run(
      "DELETE FROM petiole_limits WHERE per_second IS NOT NULL AND arrival <= ? AND name NOT IN (SELECT name FROM petiole_waiters)",
      nowMs,
    );
  }

  /** Those in use, by name. */
  read(nowMs: number): readonly LimitState[] {
    const states: LimitState[] = [];
    for (const row of this.#db.all("SELECT * FROM petiole_limits ORDER BY name")) {
      const name = readText(row["name"]);
      const perSecond = row["per_second"] as number | null;
      const waiting = this.#count("SELECT count(DISTINCT id) AS n FROM petiole_waiters WHERE name = ?", name);
      const holders = perSecond === null ? [...this.#inUse(name, nowMs)].sort() : [];
      if (holders.length + waiting === 0) continue;
      const limit = row["bound"] as number;
      const arrivalMs = row["arrival"] as number;
      states.push({
        kind: perSecond === null ? "concurrency" : "rate",
        task: readText(row["task"]),
        key: readText(row["key"]),
        limit,
        perSecond,
        holders,
        waiting,
        waiters: this.#waiters(name, perSecond === null),
        freeAtMs: perSecond === null ? null : arrivalMs - (limit - 1) * intervalMs(perSecond),
      });
    }
    return states;
  }

  #waiters(name: string, inLine: boolean): LimitState["waiters"] {
    const rows = this.#db.all(
      `SELECT id, min(since) AS since, min(until) AS until FROM petiole_waiters WHERE name = ? GROUP BY id ORDER BY ${inLine ? "min(seq)" : "min(until), min(seq)"} LIMIT ?`,
      name,
      WAITERS_TOLD,
    );
    return rows.map((row) => ({
      id: readText(row["id"]),
      sinceMs: row["since"] as number,
      untilMs: row["until"] as number | null,
    }));
  }

  #lineOf({ task, concurrency }: LimitClaim): Line | null {
    if (concurrency === null) return null;
    const name = limitName("concurrency", task, concurrency.key);
    this.#record(name, [task, concurrency.key, concurrency.limit, null]);
    return { name, bound: concurrency.limit };
  }

  #record(name: string, values: readonly [string, string, number, number | null]): void {
    this.#db.run(
      "INSERT INTO petiole_limits (name, task, key, bound, per_second) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET bound = excluded.bound, per_second = excluded.per_second WHERE bound <> excluded.bound OR per_second IS NOT excluded.per_second",
      name,
      ...values,
    );
  }

  /** The moment that an id may start at. */
  #token({ id, task, rate }: LimitClaim, nowMs: number): number {
    if (rate === null) return nowMs;
    const { burst, perSecond, key } = rate;
    const name = limitName("rate", task, key);
    this.#record(name, [task, key, burst, perSecond]);
    const known = this.#db.get("SELECT until FROM petiole_waiters WHERE name = ? AND id = ?", name, id);
    let untilMs = known?.["until"] as number | undefined;
    if (untilMs === undefined) {
      const row = this.#db.get("SELECT arrival FROM petiole_limits WHERE name = ?", name);
      const arrivalMs = Math.max((row?.["arrival"] ?? 0) as number, nowMs);
      untilMs = arrivalMs - (burst - 1) * intervalMs(perSecond);
      const next = arrivalMs + intervalMs(perSecond);
      this.#db.run("UPDATE petiole_limits SET arrival = ? WHERE name = ?", next, name);
      if (untilMs > nowMs) {
        this.#db.run(
          "INSERT INTO petiole_waiters (name, id, since, until) VALUES (?, ?, ?, ?)",
          name,
          id,
          nowMs,
          untilMs,
        );
      }
    } else if (untilMs <= nowMs) {
      this.#db.run("DELETE FROM petiole_waiters WHERE name = ? AND id = ?", name, id);
    }
    return untilMs;
  }

  #goOn(name: string, nowMs: number): void {
    const row = this.#db.get("SELECT bound FROM petiole_limits WHERE name = ?", name);
    if (row === undefined) return;
    this.#advance({ name, bound: row["bound"] as number }, nowMs);
    this.#db.run(
      "DELETE FROM petiole_limits WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM petiole_slots WHERE name = ?1) AND NOT EXISTS (SELECT 1 FROM petiole_waiters WHERE name = ?1)",
      name,
    );
  }

  /** Calls those whose turn it is. */
  #advance({ name, bound }: Line, nowMs: number): void {
    this.#db.run("DELETE FROM petiole_slots WHERE name = ? AND until <= ?", name, nowMs);
    const used = this.#inUse(name);
    const called: number[] = [];
    while (used.size < bound) {
      const row = this.#db.get("SELECT id FROM petiole_waiters WHERE name = ? ORDER BY seq LIMIT 1", name);
      if (row === undefined) break;
      const id = readText(row["id"]);
      const rows = this.#db.all(
        "SELECT message FROM petiole_waiters WHERE name = ? AND id = ? ORDER BY seq",
        name,
        id,
      );
      called.push(...rows.map((one) => one["message"] as number));
      this.#db.run("DELETE FROM petiole_waiters WHERE name = ? AND id = ?", name, id);
      if (used.has(id)) continue;
      used.add(id);
      const until = nowMs + this.#callMs;
      this.#db.run("INSERT OR REPLACE INTO petiole_slots VALUES (?, ?, '', NULL, ?)", name, id, until);
    }
    for (const message of called.toReversed()) this.#messages.putBack(message);
  }

  #hasSlot(name: string, id: string, tag: string): boolean {
    const row = this.#db.get(
      "SELECT 1 FROM petiole_slots WHERE name = ? AND id = ? AND tag = ?",
      name,
      id,
      tag,
    );
    return row !== undefined;
  }

  #deleteCalled(name: string, id: string): boolean {
    return this.#db.run("DELETE FROM petiole_slots WHERE name = ? AND id = ? AND tag = ''", name, id) > 0;
  }

  /** Ids that run or were called. */
  #inUse(name: string, nowMs: number | null = null): Set<string> {
    const rows = this.#db.all(
      "SELECT DISTINCT id FROM petiole_slots WHERE name = ? AND (until IS NULL OR until > ?)",
      name,
      nowMs ?? 0,
    );
    return new Set(rows.map((row) => readText(row["id"])));
  }

  #count(sql: string, ...values: readonly SqlValue[]): number {
    return (this.#db.get(sql, ...values)?.["n"] ?? 0) as number;
  }
}

function intervalMs(perSecond: number): number {
  return 1000 / perSecond;
}
