/**
 * Broadcast queues: each worker gets a copy of every message, and runs it at most once. Python: `kombu.common.Broadcast`.
 *
 * The broker keeps nothing of them: what is sent while a worker is away, or waits in one that stops, is not run there. On
 * Redis they are pub/sub, so that no list is fetched for them.
 */
import { RareWarning } from "../base/rare-warning.ts";
import { uuid4 } from "../base/uuid.ts";
import type { WireMessage } from "../protocol/wire.ts";
import type { QueueDeclaration, Transport } from "../transports/transport.ts";
import { made, type TaskParts, type WorkerContext } from "./context.ts";

/** Beyond the prefetch limit. Nothing holds a sender up, and the worker's memory is not theirs. */
const WAITING_AT_MOST = 1_000;

/** A queue of this worker's own that hears what is sent to the exchange. */
export interface BroadcastQueue {
  /** `name`: of this worker's own queue. */
  readonly declaration: QueueDeclaration;
  /** The queue's name in the settings. */
  readonly alias: string;
}

interface Open extends BroadcastQueue {
  readonly subscription: { close(): Promise<void> };
}

export class Broadcasts {
  readonly #context: WorkerContext;
  readonly #transport: Transport;
  readonly #tasks: TaskParts;
  readonly #dropped: RareWarning;
  /** By the name of the own queue. */
  readonly #open = new Map<string, Open>();

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#transport = made(context.transport, "transport");
    this.#tasks = made(context.tasks, "tasks");
    this.#dropped = new RareWarning({
      clock: context.app.clock,
      logger: context.logger,
      message: "a broadcast was dropped: too many messages wait",
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.#context.settings.broadcasts.map((queue) => this.#listen(queue)));
  }

  async stop(): Promise<void> {
    this.#dropped.stop();
    await Promise.all([...this.#open.keys()].map((name) => this.cancel(name)));
  }

  get queues(): readonly BroadcastQueue[] {
    return [...this.#open.values()];
  }

  /** Hears no more of a queue, by its own name or the one in the settings. */
  async cancel(name: string): Promise<void> {
    for (const [own, { alias, subscription }] of this.#open) {
      if (own !== name && alias !== name) continue;
      this.#open.delete(own);
      await subscription.close();
    }
  }

  async #listen(queue: QueueDeclaration): Promise<void> {
    const { logger } = this.#context;
    const subscription = await this.#transport.subscribe({
      exchange: queue.exchange,
      routingKey: queue.routingKey,
      onMessage: (message) => this.#hear(queue.name, message),
      onGap: () =>
        logger.warn({ queue: queue.name }, "broadcasts may have been missed: the connection was lost"),
    });
    const name = `bcast.${uuid4()}`;
    this.#open.set(name, { declaration: { ...queue, name }, alias: queue.name, subscription });
  }

  #hear(queue: string, message: WireMessage): void {
    const { consumer } = this.#tasks;
    if (consumer.backlog >= consumer.prefetch + WAITING_AT_MOST) {
      this.#dropped.say({ queue });
      return;
    }
    consumer.takeUp({
      tag: uuid4(),
      queue,
      message,
      redelivered: false,
      deliveryCount: 0,
      serverTimeMs: this.#context.app.clock.now(),
      unheld: true,
    });
  }
}
