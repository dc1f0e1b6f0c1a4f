/** Paused queues of a memory broker. */
import type { Clock } from "../../base/clock.ts";
import type { PausedQueue, PausedQueues } from "../paused-queues.ts";
import type { MemoryBroker } from "./broker.ts";

export class MemoryPausedQueues implements PausedQueues {
  readonly #broker: MemoryBroker;
  readonly #clock: Clock;

  constructor(broker: MemoryBroker, clock: Clock) {
    this.#broker = broker;
    this.#clock = clock;
  }

  async pause(queues: readonly string[]): Promise<number> {
    const { paused } = this.#broker;
    const before = paused.size;
    for (const queue of queues) if (!paused.has(queue)) paused.set(queue, this.#clock.now());
    return paused.size - before;
  }

  async resume(queues: readonly string[]): Promise<number> {
    const resumed = queues.filter((queue) => this.#broker.paused.delete(queue));
    for (const queue of resumed) this.#broker.wake(queue);
    return resumed.length;
  }

  async list(): Promise<readonly PausedQueue[]> {
    return [...this.#broker.paused].map(([queue, sinceMs]) => ({ queue, sinceMs }));
  }
}
