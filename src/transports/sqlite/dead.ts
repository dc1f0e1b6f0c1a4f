/** Dead lists: the queue `<queue>.dead`, per message one line of JSON, a newline, and the message's text. */
import { Buffer } from "node:buffer";
import type { Limits } from "../../protocol/wire.ts";
import { asBuffer, type Database } from "../../sqlite/index.ts";
import { type DeadLetter, type DeadPage, priorityOf, readDeadLetter } from "../dead-letters.ts";
import { stepIndex } from "../memory/options.ts";
import type { Messages } from "./messages.ts";

export interface DeadMessage {
  readonly queue: string;
  readonly reason: string;
  /** Deliveries that lost their holder. */
  readonly count: number;
  readonly raw: string;
  readonly nowMs: number;
}

export interface DeadListsOptions {
  readonly db: Database;
  readonly messages: Messages;
  readonly defaultQueue: string;
  readonly prioritySteps: readonly number[];
  readonly limits: Limits;
}

export class DeadLists {
  readonly #options: DeadListsOptions;

  constructor(options: DeadListsOptions) {
    this.#options = options;
  }

  /** Inside a write. `list` null: the default queue's, for what cannot be decoded. */
  bury(list: string | null, { queue, reason, count, raw, nowMs }: DeadMessage): void {
    const line = JSON.stringify({ queue, reason, at: Math.floor(nowMs / 1000), count });
    const { messages, defaultQueue } = this.#options;
    messages.push(`${list ?? defaultQueue}.dead`, 0, `${line}\n${raw}`);
  }

  read(queue: string, { skip, count }: DeadPage): readonly DeadLetter[] {
    const { db, limits } = this.#options;
    const rows = db.read(() =>
      db.all(
        "SELECT CAST(raw AS BLOB) AS raw FROM petiole_messages WHERE queue = ? AND state = 0 ORDER BY pos DESC LIMIT ? OFFSET ?",
        `${queue}.dead`,
        Math.max(0, count),
        skip,
      ),
    );
    return rows.map((row) => readDeadLetter(queue, asBuffer(row["raw"] as Uint8Array), limits));
  }

  remove(letters: readonly DeadLetter[]): Promise<number> {
    return this.#options.db.write(() => letters.filter((one) => this.#take(one)).length);
  }

  requeue(letters: readonly DeadLetter[]): Promise<number> {
    const { db, messages, prioritySteps } = this.#options;
    const requeue = (letter: DeadLetter): boolean => {
      const { message, queue, raw } = letter;
      if (message === null || !this.#take(letter)) return false;
      const step = prioritySteps[stepIndex(prioritySteps, priorityOf(message))] ?? 0;
      messages.push(queue, step, raw.toString());
      db.run("UPDATE petiole_messages SET losses = 0 WHERE id = last_insert_rowid()");
      return true;
    };
    return db.write(() => letters.filter(requeue).length, { wakes: true });
  }

  #take({ list, entry }: DeadLetter): boolean {
    return (
      this.#options.db.run(
        "DELETE FROM petiole_messages WHERE id = (SELECT id FROM petiole_messages WHERE queue = ? AND state = 0 AND CAST(raw AS BLOB) = ? ORDER BY pos DESC LIMIT 1)",
        `${list}.dead`,
        Buffer.from(entry),
      ) > 0
    );
  }
}
