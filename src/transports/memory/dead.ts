/** Dead lists: `<queue>.dead` holds, per message, one line of JSON, a newline, and the message's bytes. */
import type { Clock } from "../../base/clock.ts";
import type { MemoryBroker } from "./broker.ts";

export interface DeadMessage {
  readonly queue: string;
  readonly reason: string;
  /** Deliveries that lost their holder. */
  readonly count: number;
  readonly raw: string;
}

export class DeadLetters {
  readonly #broker: MemoryBroker;
  readonly #clock: Clock;
  readonly #defaultQueue: string;

  constructor(broker: MemoryBroker, clock: Clock, defaultQueue: string) {
    this.#broker = broker;
    this.#clock = clock;
    this.#defaultQueue = defaultQueue;
  }

  /** `queue` null: the default queue's list, for what cannot be decoded. */
  bury(queue: string | null, dead: DeadMessage): void {
    const line = JSON.stringify({
      queue: dead.queue,
      reason: dead.reason,
      at: Math.floor(this.#clock.now() / 1000),
      count: dead.count,
    });
    this.#broker.push(`${queue ?? this.#defaultQueue}.dead`, {
      raw: `${line}\n${dead.raw}`,
      step: 0,
      count: null,
      redelivered: false,
    });
  }
}
