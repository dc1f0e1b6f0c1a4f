/** Messages in their table (`sqlite/schema.ts` has its states). All of these are called inside a write, or only read. */
import { type Database, readText, storedText } from "../../sqlite/index.ts";

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
      storedText(raw),
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
    const { queues, count } = options;
    const messages: TakenMessage[] = [];
    let turn = options.turn ?? 0;
    let bytes = 0;
    for (const step of options.steps) {
      const ids = queues.map((queue) =>
        paused.has(queue) ? [] : this.#waiting(queue, step, count - messages.length),
      );
      for (const index of order(ids, { turn, fair: options.turn !== null })) {
        if (messages.length >= count || bytes >= options.maxBytes) return { messages, turn };
        const id = ids[index]?.shift() as number;
        const message = this.#hold(id, options.holder, { queue: queues[index] ?? "", step });
        messages.push(message);
        bytes += message.raw.length;
        turn = (index + 1) % queues.length;
      }
    }
    return { messages, turn };
  }

  #waiting(queue: string, step: number, count: number): number[] {
    const rows = this.#db.all(
      "SELECT id FROM petiole_messages WHERE queue = ? AND step = ? AND state = 0 ORDER BY pos LIMIT ?",
      queue,
      step,
      count,
    );
    return rows.map((row) => row["id"] as number);
  }

  #hold(id: number, holder: number, of: { readonly queue: string; readonly step: number }): TakenMessage {
    const row = this.#db.get(
      "UPDATE petiole_messages SET state = 1, holder = ?, started = 0 WHERE id = ? RETURNING losses, redelivered, raw",
      holder,
      id,
    );
    const losses = (row?.["losses"] ?? null) as number | null;
    return { id, ...of, losses, redelivered: row?.["redelivered"] === 1, raw: readText(row?.["raw"]) };
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
  ids: readonly (readonly number[])[],
  how: { readonly turn: number; readonly fair: boolean },
): Generator<number> {
  if (!how.fair) {
    for (const [index, list] of ids.entries()) for (let left = list.length; left > 0; left--) yield index;
    return;
  }
  let index = how.turn % Math.max(1, ids.length);
  for (let empty = 0; empty < ids.length; index = (index + 1) % ids.length) {
    if ((ids[index]?.length ?? 0) > 0) {
      empty = 0;
      yield index;
    } else empty += 1;
  }
}
