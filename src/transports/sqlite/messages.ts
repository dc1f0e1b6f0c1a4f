/** Messages in their table (`sqlite/schema.ts` has its states). All of these are called inside a write, or only read. */
import { type Database, type Row, readText } from "../../sqlite/index.ts";

/** One that was taken. */
export interface TakenMessage {
  readonly id: number;
  readonly queue: string;
  readonly step: number;
  /** Deliveries whose holder was lost; null: what the envelope says. */
  readonly losses: number | null;
  readonly redelivered: boolean;
  readonly raw: string;
}

/** One that a lost holder had. */
export interface LostMessage extends TakenMessage {
  readonly started: boolean;
}

export interface TakeOptions {
  readonly holder: number;
  readonly queues: readonly string[];
  /** Ascending. */
  readonly steps: readonly number[];
  readonly count: number;
  /** Bytes of messages in one go: what is beyond waits for the next. */
  readonly maxBytes: number;
  /** Index of the queue that has the first turn; null: the first one is emptied first. */
  readonly turn: number | null;
}

type Chosen = Pick<TakenMessage, "id" | "queue" | "step">;

const PAUSED = "SELECT queue FROM petiole_paused";
/** Due messages that are put back in one transaction. */
const DUE_COUNT = 2000;
/** What was due has its time less this as its place: before what was sent, behind what was put back. */
const DUE_FIRST = 2 ** 51;

export class Messages {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** To the back of a queue. */
  push(queue: string, step: number, raw: string): void {
    this.#db.run(
      "INSERT INTO petiole_messages (queue, step, state, pos, raw) VALUES (?1, ?2, 0, (SELECT max(coalesce(max(pos), 0), 0) + 1 FROM petiole_messages WHERE queue = ?1 AND step = ?2 AND state = 0), ?3)",
      queue,
      step,
      raw,
    );
  }

  /** Something waits in one of these queues. */
  hasAny(queues: readonly string[]): boolean {
    const waits = (queue: string): boolean =>
      this.#db.get("SELECT 1 FROM petiole_messages WHERE queue = ? AND state = 0 LIMIT 1", queue) !==
      undefined;
    const found = queues.filter(waits);
    if (found.length === 0) return false;
    const paused = this.paused();
    return paused.size === 0 || found.some((queue) => !paused.has(queue));
  }

  paused(): ReadonlySet<string> {
    return new Set(this.#db.all(PAUSED).map((row) => readText(row["queue"])));
  }

  /** Step by step; inside one, each queue in turn, or the first one until it is empty. The next turn comes with them. */
  take(options: TakeOptions): { readonly messages: readonly TakenMessage[]; readonly turn: number } {
    const paused = this.paused();
    const { queues, count, maxBytes } = options;
    const chosen: Chosen[] = [];
    let turn = options.turn ?? 0;
    let bytes = 0;
    for (const step of options.steps) {
      if (chosen.length >= count || bytes >= maxBytes) break;
      const waiting = queues.map((queue) =>
        paused.has(queue) ? [] : this.#waiting(queue, step, count - chosen.length),
      );
      for (const index of order(waiting, { turn, fair: options.turn !== null })) {
        if (chosen.length >= count || bytes >= maxBytes) break;
        const row = waiting[index]?.shift() as Row;
        chosen.push({ id: row["id"] as number, queue: queues[index] ?? "", step });
        bytes += row["bytes"] as number;
        turn = (index + 1) % queues.length;
      }
    }
    return { messages: this.#hold(chosen, options.holder), turn };
  }

  #waiting(queue: string, step: number, count: number): Row[] {
    const sql =
      "SELECT id, octet_length(raw) AS bytes FROM petiole_messages WHERE queue = ? AND step = ? AND state = 0 ORDER BY pos LIMIT ?";
    return [...this.#db.all(sql, queue, step, count)];
  }

  #hold(chosen: readonly Chosen[], holder: number): readonly TakenMessage[] {
    if (chosen.length === 0) return [];
    const rows = this.#db.all(
      "UPDATE petiole_messages SET state = 1, holder = ?, started = 0 WHERE id IN (SELECT value FROM json_each(?)) RETURNING id, losses, redelivered, raw",
      holder,
      `[${chosen.map(({ id }) => id).join()}]`,
    );
    const byId = new Map(rows.map((row) => [row["id"], row]));
    return chosen.map((one) => {
      const row = byId.get(one.id);
      const losses = (row?.["losses"] ?? null) as number | null;
      return { ...one, losses, redelivered: row?.["redelivered"] === 1, raw: readText(row?.["raw"]) };
    });
  }

  /** false: the hold had ended. */
  ack(id: number, holder: number): boolean {
    return this.#db.run("DELETE FROM petiole_messages WHERE id = ? AND holder = ?", id, holder) > 0;
  }

  isHeld(id: number, holder: number): boolean {
    return (
      this.#db.get("SELECT 1 FROM petiole_messages WHERE id = ? AND holder = ?", id, holder) !== undefined
    );
  }

  markStarted(id: number, holder: number): void {
    this.#db.run("UPDATE petiole_messages SET started = 1 WHERE id = ? AND holder = ?", id, holder);
  }

  /** To the back, marked as redelivered. */
  requeue(id: number, holder: number): boolean {
    return (
      this.#db.run(
        "UPDATE petiole_messages SET state = 0, holder = NULL, redelivered = 1, pos = (SELECT max(coalesce(max(w.pos), 0), 0) + 1 FROM petiole_messages w WHERE w.queue = petiole_messages.queue AND w.step = petiole_messages.step AND w.state = 0) WHERE id = ? AND holder = ?",
        id,
        holder,
      ) > 0
    );
  }

  park(id: number, holder: number, untilMs: number): boolean {
    return (
      this.#db.run(
        "UPDATE petiole_messages SET state = 2, holder = NULL, due = ? WHERE id = ? AND holder = ?",
        Math.ceil(untilMs),
        id,
        holder,
      ) > 0
    );
  }

  /** Held by nobody, and no queue has it: it waits in the line of a limit. */
  leaveToLine(id: number): void {
    this.#db.run("UPDATE petiole_messages SET state = 3, holder = NULL WHERE id = ?", id);
  }

  /** To the front, so that the caller puts the one that is to be first last. */
  putBack(id: number): void {
    this.#db.run(
      "UPDATE petiole_messages SET state = 0, holder = NULL, pos = (SELECT coalesce(min(w.pos), 1) - 1 FROM petiole_messages w WHERE w.queue = petiole_messages.queue AND w.step = petiole_messages.step AND w.state = 0) WHERE id = ?",
      id,
    );
  }

  /** What is known after its holder was lost. */
  countLoss(id: number, losses: number): void {
    this.#db.run(
      "UPDATE petiole_messages SET losses = ?, redelivered = 1, started = 0 WHERE id = ?",
      losses,
      id,
    );
  }

  /** As {@link park}, whoever holds it. */
  parkLost(id: number, untilMs: number): void {
    this.#db.run(
      "UPDATE petiole_messages SET state = 2, holder = NULL, due = ? WHERE id = ?",
      Math.ceil(untilMs),
      id,
    );
  }

  remove(id: number): void {
    this.#db.run("DELETE FROM petiole_messages WHERE id = ?", id);
  }

  /** In the order they were taken, the last first: so they can be put back. */
  heldBy(holder: number): readonly LostMessage[] {
    const rows = this.#db.all(
      "SELECT id, queue, step, losses, redelivered, started, raw FROM petiole_messages WHERE holder = ? AND state = 1 ORDER BY step DESC, pos DESC",
      holder,
    );
    return rows.map((row) => ({
      id: row["id"] as number,
      queue: readText(row["queue"]),
      step: row["step"] as number,
      losses: row["losses"] as number | null,
      redelivered: row["redelivered"] === 1,
      started: row["started"] === 1,
      raw: readText(row["raw"]),
    }));
  }

  /** When the next parked message is due, or null. */
  nextDueMs(): number | null {
    const row = this.#db.get("SELECT due FROM petiole_messages WHERE state = 2 ORDER BY due LIMIT 1");
    return (row?.["due"] ?? null) as number | null;
  }

  /** What is due, to the front of its queue, the earliest first, whenever they come; true: there is more. */
  releaseDue(nowMs: number): boolean {
    const released = this.#db.run(
      "UPDATE petiole_messages SET state = 0, pos = due - ? WHERE id IN (SELECT id FROM petiole_messages WHERE state = 2 AND due <= ? ORDER BY due LIMIT ?)",
      DUE_FIRST,
      nowMs,
      DUE_COUNT,
    );
    return released === DUE_COUNT;
  }

  size(queue: string): number {
    const row = this.#db.get(
      "SELECT count(*) AS n FROM petiole_messages WHERE queue = ? AND state = 0",
      queue,
    );
    return (row?.["n"] ?? 0) as number;
  }

  /** What waits; never what is held. */
  purge(queue: string): number {
    return this.#db.run("DELETE FROM petiole_messages WHERE queue = ? AND state = 0", queue);
  }
}

/** A queue's step as one text, for whoever puts messages there: `StoredMessages`. */
export function listOf(queue: string, step: number): string {
  return `${step}:${queue}`;
}

export function readList(list: string): { readonly queue: string; readonly step: number } {
  const end = list.indexOf(":");
  return { step: Number(list.slice(0, end)), queue: list.slice(end + 1) };
}

/** Whose turn it is, as indices of queues, until all are empty. */
function* order(
  waiting: readonly (readonly unknown[])[],
  how: { readonly turn: number; readonly fair: boolean },
): Generator<number> {
  if (!how.fair) {
    for (const [index, list] of waiting.entries()) for (let left = list.length; left > 0; left--) yield index;
    return;
  }
  let index = how.turn % Math.max(1, waiting.length);
  for (let empty = 0; empty < waiting.length; index = (index + 1) % waiting.length) {
    if ((waiting[index]?.length ?? 0) > 0) {
      empty = 0;
      yield index;
    } else empty += 1;
  }
}
