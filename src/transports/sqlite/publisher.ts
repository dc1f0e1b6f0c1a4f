/** What a transport puts into the file: messages for queues, and broadcasts. */
import { randomBytes } from "node:crypto";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import { isHolderAlive } from "../../sqlite/index.ts";
import { stepIndex } from "../memory/options.ts";
import type { Outgoing, StoredMessages } from "../transport.ts";
import { listOf } from "./messages.ts";
import type { SqliteOptions } from "./options.ts";
import type { Store } from "./store.ts";

export class Publisher {
  readonly #settings: SqliteOptions;
  readonly #tagPrefix = randomBytes(6).toString("hex");
  #tags = 0;

  constructor(settings: SqliteOptions) {
    this.#settings = settings;
  }

  async publish(store: Store, messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void> {
    // All are encoded before the first is put anywhere: one that cannot be keeps the others out too.
    const raws = messages.map((one) => this.encode(one));
    const put = (): void => {
      for (const [index, one] of messages.entries()) this.put(store, one, raws[index] ?? "");
    };
    await store.db.write(put, { signal, wakes: true });
  }

  /** Tells of those that live, of who hears a broadcast. */
  async count({ db, routes, holder: own }: Store, one: Outgoing): Promise<void> {
    if (one.onHeard === undefined || one.type !== "fanout" || one.exchange === "" || db.closed) return;
    let count = 0;
    for (const holder of routes.subscribers(one.exchange, one.routingKey)) {
      if (holder === own || (await isHolderAlive(db.path, holder))) count += 1;
    }
    one.onHeard(count);
  }

  /** Inside a write. */
  put({ messages, routes, clock }: Store, one: Outgoing, raw: string): void {
    const { exchange, type, routingKey, priority } = one;
    if (type === "fanout" && exchange !== "") {
      routes.broadcast(exchange, routingKey, { raw, nowMs: clock.now() });
      return;
    }
    const step = this.#stepOf(priority);
    for (const queue of routes.route(exchange, type, routingKey)) messages.push(queue, step, raw);
  }

  /** For one that is put by somebody else. */
  stored(one: Outgoing): StoredMessages["messages"][number] {
    return { list: listOf(one.routingKey, this.#stepOf(one.priority)), text: this.encode(one) };
  }

  /** @throws EncodeError */
  encode({ message, exchange, routingKey, priority }: Outgoing): string {
    return encodeEnvelope(message, { exchange, routingKey, priority, deliveryTag: this.nextTag() });
  }

  nextTag(): string {
    this.#tags += 1;
    return `${this.#tagPrefix}:${this.#tags}`;
  }

  #stepOf(priority: number): number {
    const { prioritySteps } = this.#settings;
    return prioritySteps[stepIndex(prioritySteps, priority)] ?? 0;
  }
}
