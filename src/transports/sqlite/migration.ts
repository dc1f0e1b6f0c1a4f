/**
 * Takes what waits in a file's queues, what is parked, and what is in the line of a limit, to another broker.
 *
 * | a message       | copied | moved                                                                      |
 * |-----------------|--------|----------------------------------------------------------------------------|
 * | before          | stays  | -> held by this process: no worker takes it                                |
 * | was published   | stays  | -> deleted                                                                 |
 * | was not         | stays  | -> back where it was; this process dies: back in its queue, as of any holder |
 *
 * A process that dies after the publish and before the deletion has sent a page twice, under the same ids.
 */
import type { WireMessage } from "../../protocol/wire.ts";
import { readText } from "../../sqlite/index.ts";
import type { Outgoing } from "../transport.ts";
import type { Store } from "./store.ts";

export interface MigrationOptions {
  /** Delete from the source what was published. */
  readonly move: boolean;
  /** Old name -> new name; null: all queues, under their names. */
  readonly queues: ReadonlyMap<string, string> | null;
  /** null: all. */
  readonly tasks: ReadonlySet<string> | null;
  /** Tasks at most. */
  readonly limit: number;
  readonly publish: (messages: readonly Outgoing[]) => Promise<void>;
}

export interface Migrated {
  readonly tasks: number;
  /** Of these, parked before: their ETA is in the message. */
  readonly parked: number;
}

interface Candidate {
  readonly id: number;
  readonly queue: string;
  readonly state: number;
  readonly due: number | null;
}

interface Ready {
  readonly candidate: Candidate;
  readonly outgoing: Outgoing;
}

const PAGE = 500;
const HELD = 1;
const PARKED = 2;

export class Migration {
  readonly #store: Store;
  readonly #options: MigrationOptions;
  /** What was looked at and is still there: it is not looked at twice. Ids of rows that are gone are given out again. */
  #seen = new Set<number>();
  #left: number;

  constructor(store: Store, options: MigrationOptions) {
    this.#store = store;
    this.#options = options;
    this.#left = options.limit;
  }

  /** Held by workers at this moment, and so left alone. */
  held(): number {
    const sql = "SELECT count(*) AS n FROM petiole_messages WHERE state = 1 AND holder <> ?";
    return (this.#store.db.get(sql, this.#store.holder)?.["n"] ?? 0) as number;
  }

  get done(): boolean {
    return this.#left <= 0;
  }

  /** All that is there now. @throws what `publish` throws; the page is back where it was */
  async run(): Promise<Migrated> {
    const total = { tasks: 0, parked: 0 };
    const candidates = this.#candidates();
    for (let from = 0; from < candidates.length && this.#left > 0; from += PAGE) {
      const page = await this.#page(candidates.slice(from, from + PAGE));
      total.tasks += page.length;
      total.parked += page.filter(({ candidate }) => candidate.state === PARKED).length;
    }
    return total;
  }

  /** In the order they would be taken in. */
  #candidates(): readonly Candidate[] {
    const { db } = this.#store;
    const { queues } = this.#options;
    const rows = db.read(() =>
      db.all("SELECT id, queue, state, due FROM petiole_messages ORDER BY queue, state, step, pos"),
    );
    const found: Candidate[] = [];
    const seen = new Set<number>();
    for (const row of rows) {
      const id = row["id"] as number;
      const state = row["state"] as number;
      const queue = readText(row["queue"]);
      if (this.#seen.has(id)) seen.add(id);
      else if (state !== HELD && (queues === null || queues.has(queue))) {
        seen.add(id);
        found.push({ id, queue, state, due: row["due"] as number | null });
      }
    }
    this.#seen = seen;
    return found;
  }

  async #page(candidates: readonly Candidate[]): Promise<readonly Ready[]> {
    const { db, messages, holder } = this.#store;
    const { move, publish } = this.#options;
    const raws = await db.write(() => candidates.map((one) => this.#take(one)), { patient: true });
    const ready: Ready[] = [];
    const rest: Candidate[] = [];
    for (const [index, candidate] of candidates.entries()) {
      const outgoing = ready.length < this.#left ? this.#outgoing(candidate, raws[index] ?? null) : null;
      // Somebody took it; it may come back.
      if (raws[index] === null) this.#seen.delete(candidate.id);
      if (outgoing === null) rest.push(candidate);
      else ready.push({ candidate, outgoing });
    }
    try {
      if (ready.length > 0) await publish(ready.map((one) => one.outgoing));
    } catch (error) {
      if (move) await this.#giveBack(candidates);
      throw error;
    }
    if (move) {
      await db.write(() => ready.forEach(({ candidate }) => messages.ack(candidate.id, holder)), {
        patient: true,
      });
      for (const { candidate } of ready) this.#seen.delete(candidate.id);
      await this.#giveBack(rest);
    }
    this.#left -= ready.length;
    return ready;
  }

  /** Inside a write. null: somebody else has it. */
  #take({ id, state }: Candidate): string | null {
    const { db, holder } = this.#store;
    const row = this.#options.move
      ? db.get(
          "UPDATE petiole_messages SET state = 1, holder = ?, started = 0 WHERE id = ? AND state = ? RETURNING raw",
          holder,
          id,
          state,
        )
      : db.get("SELECT raw FROM petiole_messages WHERE id = ? AND state = ?", id, state);
    return row === undefined ? null : readText(row["raw"]);
  }

  /** null: it stays. What is no task stays: replies, dead letters, what cannot be read. */
  #outgoing({ queue }: Candidate, raw: string | null): Outgoing | null {
    if (raw === null) return null;
    let message: WireMessage;
    try {
      message = this.#store.decode(raw);
    } catch {
      return null;
    }
    const { queues, tasks } = this.#options;
    const { task } = message.headers;
    if (typeof task !== "string" || (tasks !== null && !tasks.has(task))) return null;
    const { priority } = message.properties;
    return {
      message,
      exchange: "",
      type: "direct",
      routingKey: queues?.get(queue) ?? queue,
      priority: typeof priority === "number" ? priority : 0,
    };
  }

  async #giveBack(candidates: readonly Candidate[]): Promise<void> {
    if (candidates.length === 0) return;
    const { db, holder } = this.#store;
    const sql =
      "UPDATE petiole_messages SET state = ?, holder = NULL WHERE id = ? AND holder = ? AND state = 1";
    await db.write(() => candidates.forEach(({ id, state }) => db.run(sql, state, id, holder)), {
      patient: true,
      wakes: true,
    });
  }
}
