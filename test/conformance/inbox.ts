/** What a consumer is given, collected so that a test can wait for it. */
import assert from "node:assert/strict";
import type { WireMessage } from "../../src/protocol/wire.ts";
import type {
  ConsumeOptions,
  Consumer,
  ConsumerState,
  Delivery,
  Outgoing,
  Settlement,
  Transport,
} from "../../src/transports/transport.ts";

export interface Dead {
  readonly queue: string;
  readonly reason: string;
  readonly raw: string;
  readonly message: WireMessage | null;
}

export interface InboxOptions {
  readonly prefetch?: number;
  /** Settles each delivery inside `onBatch`. */
  readonly settleAs?: (delivery: Delivery) => Settlement | null;
  /** Tells of a dead one. Without it all are told at once. */
  readonly tells?: () => Promise<boolean>;
}

const EMBED = { callbacks: null, errbacks: null, chain: null, chord: null };

/** A task message with `id` as its only argument. */
export function taskMessage(id: string, changes: Partial<WireMessage> = {}): WireMessage {
  return {
    body: JSON.stringify([[id], {}, EMBED]),
    contentType: "application/json",
    contentEncoding: "utf-8",
    headers: { lang: "js", task: "conformance.echo", id, root_id: id, retries: 0, ...changes.headers },
    properties: { correlation_id: id, delivery_mode: 2, priority: 0, ...changes.properties },
    ...("body" in changes ? { body: changes.body } : {}),
    ...(changes.contentType === undefined ? {} : { contentType: changes.contentType }),
    ...(changes.contentEncoding === undefined ? {} : { contentEncoding: changes.contentEncoding }),
  };
}

/** Straight to a queue. */
export function toQueue(queue: string, id: string, priority = 0): Outgoing {
  const message = taskMessage(id, { properties: { priority } });
  return { message, exchange: "", type: "direct", routingKey: queue, priority };
}

export function idOf(delivery: { readonly message: WireMessage }): string {
  return String(delivery.message.headers["id"]);
}

export function ids(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(idOf);
}

export class Inbox {
  readonly consumer: Consumer;
  readonly deliveries: Delivery[] = [];
  readonly dead: Dead[] = [];
  readonly lost: Delivery[] = [];
  readonly states: ConsumerState[] = [];
  /** Largest number of deliveries that were held at once. */
  mostHeld = 0;
  /** Taken by `take` so far. */
  #taken = 0;
  #held = 0;
  #waiting: (() => void)[] = [];

  constructor(transport: Transport, queues: readonly string[], options: InboxOptions = {}) {
    const { settleAs, tells } = options;
    const callbacks: Omit<ConsumeOptions, "queues" | "prefetch"> = {
      onBatch: (batch) => {
        this.deliveries.push(...batch);
        this.#held += batch.length;
        this.mostHeld = Math.max(this.mostHeld, this.#held);
        for (const delivery of batch) {
          const as = settleAs?.(delivery);
          if (as) void this.settle(delivery, as);
        }
        this.#tell();
      },
      onDead: (dead) => {
        this.dead.push(dead);
        this.#tell();
        return tells?.();
      },
      onLost: (lost) => {
        this.lost.push(...lost);
        this.#tell();
      },
      onState: (state) => {
        this.states.push(state);
        this.#tell();
      },
    };
    this.consumer = transport.consume({ queues, prefetch: options.prefetch ?? 100, ...callbacks });
  }

  settle(delivery: Delivery, as: Settlement): Promise<"done" | "gone"> {
    this.#held -= 1;
    return this.consumer.settle(delivery, as);
  }

  async ack(deliveries: readonly Delivery[]): Promise<void> {
    const answers = await Promise.all(deliveries.map((one) => this.settle(one, { kind: "ack" })));
    assert.deepEqual(
      answers,
      deliveries.map(() => "done"),
    );
  }

  /** The next `count` deliveries, in their order. */
  async take(count: number, timeoutMs = 20_000): Promise<Delivery[]> {
    await this.until(
      () => this.deliveries.length >= this.#taken + count,
      () => `${count} deliveries, not ${this.deliveries.length - this.#taken}`,
      timeoutMs,
    );
    const taken = this.deliveries.slice(this.#taken, this.#taken + count);
    this.#taken += count;
    return taken;
  }

  /** Takes `count` and acks each before it waits for the next: the order that a worker with one slot sees. */
  async drain(count: number): Promise<string[]> {
    const seen: string[] = [];
    while (seen.length < count) {
      const [delivery] = await this.take(1);
      if (delivery === undefined) break;
      seen.push(idOf(delivery));
      await this.ack([delivery]);
    }
    return seen;
  }

  /** Deliveries that came and were not taken. */
  get untaken(): readonly Delivery[] {
    return this.deliveries.slice(this.#taken);
  }

  /** Waits for a condition that deliveries, states or dead messages can make true. */
  async until(condition: () => boolean, what: () => string, timeoutMs = 20_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`within ${timeoutMs} ms never so: ${what()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #tell(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
