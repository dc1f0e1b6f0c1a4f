/** Dead lists: `<queue>.dead` holds, per message, one line of JSON, a newline, and the message's bytes. */
import { Buffer } from "node:buffer";
import type { Clock } from "../../base/clock.ts";
import type { Limits } from "../../protocol/wire.ts";
import { type DeadLetter, type DeadPage, priorityOf, readDeadLetter } from "../dead-letters.ts";
import type { MemoryBroker } from "./broker.ts";
import { stepIndex } from "./options.ts";

export interface DeadMessage {
  readonly queue: string;
  readonly reason: string;
  /** Deliveries that lost their holder. */
  readonly count: number;
  readonly raw: string;
}

export interface DeadListsOptions {
  readonly broker: MemoryBroker;
  readonly clock: Clock;
  readonly defaultQueue: string;
  readonly prioritySteps: readonly number[];
  readonly limits: Limits;
}

export class DeadLists {
  readonly #options: DeadListsOptions;

  constructor(options: DeadListsOptions) {
    this.#options = options;
  }

  /** `queue` null: the default queue's list, for what cannot be decoded. */
  bury(queue: string | null, dead: DeadMessage): void {
    const { broker, clock, defaultQueue } = this.#options;
    const line = JSON.stringify({
      queue: dead.queue,
      reason: dead.reason,
      at: Math.floor(clock.now() / 1000),
      count: dead.count,
    });
    broker.push(`${queue ?? defaultQueue}.dead`, {
      raw: `${line}\n${dead.raw}`,
      step: 0,
      count: null,
      redelivered: false,
    });
  }

  read(queue: string, { skip, count }: DeadPage): readonly DeadLetter[] {
    const { broker, limits } = this.#options;
    const texts = broker.texts(`${queue}.dead`).slice(skip, skip + Math.max(0, count));
    return texts.map((text) => readDeadLetter(queue, Buffer.from(text), limits));
  }

  remove(letters: readonly DeadLetter[]): number {
    return letters.filter((one) => this.#take(one)).length;
  }

  requeue(letters: readonly DeadLetter[]): number {
    const { broker, prioritySteps } = this.#options;
    let moved = 0;
    for (const letter of letters) {
      const { message, queue, raw } = letter;
      if (message === null || !this.#take(letter)) continue;
      const step = stepIndex(prioritySteps, priorityOf(message));
      broker.push(queue, { raw: raw.toString(), step, count: 0, redelivered: false });
      moved += 1;
    }
    return moved;
  }

  #take({ list, entry }: DeadLetter): boolean {
    return this.#options.broker.remove(`${list}.dead`, entry.toString());
  }
}
