/** Who is bound to an exchange, and the ring of broadcasts. */
import { type Database, readText } from "../../sqlite/index.ts";
import { compileSubscription, compileTopic, hears, matchesTopic } from "../memory/topic.ts";
import type { BoundQueue, ExchangeType, QueueDeclaration } from "../transport.ts";

/** Broadcasts that are kept for subscribers that have not read them yet. */
export const RING_LENGTH = 10_000;
const RING_AGE_MS = 60_000;
const RING_BYTES = 64 * 1024 * 1024;
const RING_READ = 500;

export interface Broadcast {
  readonly seq: number;
  readonly routingKey: string;
  readonly raw: string;
}

export class Routes {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  bind({ exchange, name, type, routingKey }: QueueDeclaration): void {
    if (exchange === "") return;
    this.#db.run(
      "INSERT OR REPLACE INTO petiole_bindings (exchange, routing_key, queue, type) VALUES (?, ?, ?, ?)",
      exchange,
      routingKey,
      name,
      type,
    );
  }

  unbind({ exchange, name, routingKey }: QueueDeclaration): void {
    this.#db.run(
      "DELETE FROM petiole_bindings WHERE exchange = ? AND routing_key = ? AND queue = ?",
      exchange,
      routingKey,
      name,
    );
  }

  isBound({ exchange, name, routingKey }: QueueDeclaration): boolean {
    const row = this.#db.get(
      "SELECT 1 FROM petiole_bindings WHERE exchange = ? AND routing_key = ? AND queue = ?",
      exchange,
      routingKey,
      name,
    );
    return row !== undefined;
  }

  bindings(exchange: string): readonly BoundQueue[] {
    const rows = this.#db.all("SELECT queue, routing_key FROM petiole_bindings WHERE exchange = ?", exchange);
    return rows.map((row) => ({
      queue: readText(row["queue"]),
      routingKey: readText(row["routing_key"]),
    }));
  }

  /** Queues that a message goes to; none: it is dropped, as kombu does. */
  route(exchange: string, type: ExchangeType, routingKey: string): readonly string[] {
    if (exchange === "") return [routingKey];
    if (type !== "topic") {
      const rows = this.#db.all(
        "SELECT queue FROM petiole_bindings WHERE exchange = ? AND routing_key = ?",
        exchange,
        routingKey,
      );
      return rows.map((row) => readText(row["queue"]));
    }
    const rows = this.#db.all(
      "SELECT queue, routing_key, type FROM petiole_bindings WHERE exchange = ?",
      exchange,
    );
    const bound = rows.filter((row) => {
      const key = readText(row["routing_key"]);
      return row["type"] === "topic" ? matchesTopic(compileTopic(key), routingKey) : key === routingKey;
    });
    return [...new Set(bound.map((row) => readText(row["queue"])))];
  }

  // ---- broadcasts

  broadcast(
    exchange: string,
    routingKey: string,
    of: { readonly raw: string; readonly nowMs: number },
  ): void {
    this.#db.run(
      "INSERT INTO petiole_broadcasts (exchange, routing_key, at, raw) VALUES (?, ?, ?, ?)",
      exchange,
      routingKey,
      of.nowMs,
      of.raw,
    );
    this.#db.run("DELETE FROM petiole_broadcasts WHERE seq <= last_insert_rowid() - ?", RING_LENGTH);
  }

  /** Inside a write. Gives the number of the subscription. */
  addSubscriber(holder: number, exchange: string, routingKey: string): number {
    const sql =
      "INSERT INTO petiole_subscribers (holder, exchange, routing_key) VALUES (?, ?, ?) RETURNING id";
    return this.#db.get(sql, holder, exchange, routingKey)?.["id"] as number;
  }

  /** Numbers of rows that are gone are given again: to other holders, too. */
  removeSubscriber(holder: number, id: number): void {
    this.#db.run("DELETE FROM petiole_subscribers WHERE id = ? AND holder = ?", id, holder);
  }

  removeSubscribersOf(holder: number): void {
    this.#db.run("DELETE FROM petiole_subscribers WHERE holder = ?", holder);
  }

  /** Holders of subscriptions that hear a broadcast, one for each; some of them may have died. */
  subscribers(exchange: string, routingKey: string): readonly number[] {
    const rows = this.#db.all(
      "SELECT holder, routing_key FROM petiole_subscribers WHERE exchange = ?",
      exchange,
    );
    return rows
      .filter((row) => hears(compileSubscription(readText(row["routing_key"])), routingKey))
      .map((row) => row["holder"] as number);
  }

  /** Number of the last one; 0: there was none. */
  lastSeq(): number {
    const row = this.#db.get("SELECT seq FROM sqlite_sequence WHERE name = 'petiole_broadcasts'");
    return (row?.["seq"] ?? 0) as number;
  }

  /** Those after `seq`, some at a time. `missed`: some were gone already. */
  after(
    seq: number,
    exchange: string,
  ): {
    readonly messages: readonly Broadcast[];
    readonly seq: number;
    readonly missed: boolean;
  } {
    const last = this.lastSeq();
    if (last <= seq) return { messages: [], seq: last, missed: last < seq };
    const first = this.#db.get("SELECT min(seq) AS seq FROM petiole_broadcasts")?.["seq"] as number | null;
    const missed = (first ?? last + 1) > seq + 1;
    const rows = this.#db.all(
      "SELECT seq, exchange, routing_key, raw FROM petiole_broadcasts WHERE seq > ? ORDER BY seq LIMIT ?",
      seq,
      RING_READ,
    );
    const messages = rows
      .filter((row) => row["exchange"] === exchange)
      .map((row) => ({
        seq: row["seq"] as number,
        routingKey: readText(row["routing_key"]),
        raw: readText(row["raw"]),
      }));
    const read = rows.length === RING_READ ? (rows.at(-1)?.["seq"] as number) : last;
    return { messages, seq: read, missed };
  }

  /** What is too old, and what is too much; true: something is. */
  isRingStale(nowMs: number): boolean {
    const oldest = this.#db.get("SELECT at FROM petiole_broadcasts ORDER BY seq LIMIT 1")?.["at"];
    if (oldest === undefined) return false;
    return (oldest as number) < nowMs - RING_AGE_MS || this.#ringBytes() > RING_BYTES;
  }

  trimRing(nowMs: number): void {
    this.#db.run("DELETE FROM petiole_broadcasts WHERE at < ?", nowMs - RING_AGE_MS);
    while (this.#ringBytes() > RING_BYTES) {
      this.#db.run(
        "DELETE FROM petiole_broadcasts WHERE seq <= (SELECT min(seq) + max(1, count(*) / 4) FROM petiole_broadcasts)",
      );
    }
  }

  #ringBytes(): number {
    const row = this.#db.get("SELECT sum(length(raw)) AS n FROM petiole_broadcasts");
    return (row?.["n"] ?? 0) as number;
  }
}
