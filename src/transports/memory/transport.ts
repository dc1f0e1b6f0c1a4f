/** The memory transport: complete semantics in one process, for tests, demos and as the lower bound in benches. */
import { OperationalError, PetioleError } from "../../errors.ts";
import { decodeEnvelope, encodeEnvelope } from "../../protocol/envelope.ts";
import type { WireMessage } from "../../protocol/wire.ts";
import type {
  Answer,
  BoundQueue,
  ConsumeOptions,
  Consumer,
  DeadLetter,
  DeadPage,
  LimitState,
  Mailbox,
  MailboxOptions,
  Outgoing,
  PausedQueues,
  QueueDeclaration,
  StoreLocation,
  Transport,
  TransportCapabilities,
  TransportOptions,
  UniqueLocks,
} from "../transport.ts";
import { type MemoryBroker, memoryBroker, memoryName } from "./broker.ts";
import { MemoryConsumer } from "./consumer.ts";
import { DeadLists } from "./dead.ts";
import { type MemoryOptions, readMemoryOptions, stepIndex } from "./options.ts";
import { MemoryPausedQueues } from "./paused.ts";
import { MemoryUniqueLocks } from "./unique.ts";

const CAPABILITIES: TransportCapabilities = {
  parks: true,
  leases: false,
  atomicPublishMany: true,
  storesResults: true,
  durable: false,
};

export class MemoryTransport implements Transport {
  readonly capabilities: TransportCapabilities = CAPABILITIES;
  readonly location: StoreLocation;
  readonly paused: PausedQueues;
  readonly unique: UniqueLocks;
  /** What all transports of this name share. */
  readonly broker: MemoryBroker;
  readonly #options: TransportOptions;
  readonly #settings: MemoryOptions;
  readonly #dead: DeadLists;
  readonly #consumers = new Set<MemoryConsumer>();
  readonly #subscriptions = new Set<() => void>();
  readonly #mailboxes = new Set<Mailbox>();
  #state: "idle" | "running" | "stopped" = "idle";

  constructor(options: TransportOptions) {
    const name = memoryName(options.url);
    this.#options = options;
    this.#settings = readMemoryOptions(options.options);
    this.broker = memoryBroker(name);
    this.location = { kind: "memory", name };
    this.paused = new MemoryPausedQueues(this.broker, options.clock);
    this.unique = new MemoryUniqueLocks(this.broker.unique, options.clock, ({ outgoing }) => {
      if (this.#state !== "running") {
        throw new OperationalError(`${this.#name()} is not started, or was stopped`, { outcome: "not sent" });
      }
      const raw = this.#encode(outgoing);
      return () => this.#put(outgoing, raw);
    });
    this.#dead = new DeadLists({
      broker: this.broker,
      clock: options.clock,
      defaultQueue: options.defaultQueue,
      prioritySteps: this.#settings.prioritySteps,
      limits: options.limits,
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#state === "stopped") throw this.#closed();
    if (signal.aborted) throw new OperationalError("the start was aborted", { cause: signal.reason });
    this.#state = "running";
  }

  async stop(): Promise<void> {
    this.#state = "stopped";
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    for (const end of this.#subscriptions) end();
    this.#subscriptions.clear();
    await Promise.all([...this.#mailboxes].map((mailbox) => mailbox.close()));
  }

  /** As if the process had died: nothing is put back in good order. For tests of what happens then. */
  abandon(): void {
    this.#state = "stopped";
    for (const consumer of this.#consumers) consumer.abandon();
    for (const end of this.#subscriptions) end();
    this.#subscriptions.clear();
  }

  /** Before the start, too: the broker is there already. */
  async declare(queues: readonly QueueDeclaration[]): Promise<void> {
    if (this.#state === "stopped") throw this.#closed();
    for (const queue of queues) this.broker.bind(queue);
  }

  /** What is in this process dies as one. */
  encode(): null {
    return null;
  }

  async publish(messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void> {
    if (this.#state !== "running") {
      throw new OperationalError(`${this.#name()} is not started, or was stopped`, { outcome: "not sent" });
    }
    if (signal?.aborted) {
      throw new OperationalError("the publish was aborted", { outcome: "not sent", cause: signal.reason });
    }
    // All are encoded before the first is put anywhere: one that cannot be keeps the others out too.
    const raws = messages.map((one) => this.#encode(one));
    for (const [index, one] of messages.entries()) this.#put(one, raws[index] ?? "");
  }

  consume(options: ConsumeOptions): Consumer {
    this.#requireRunning();
    if (this.#options.role !== "worker") {
      throw new PetioleError("PET_USAGE", "a transport that was opened as a producer does not consume");
    }
    const consumer = new MemoryConsumer(
      {
        broker: this.broker,
        clock: this.#options.clock,
        logger: this.#options.logger,
        dead: this.#dead,
        stepCount: this.#settings.prioritySteps.length,
        order: this.#settings.order,
        losses: this.#settings,
        decode: (raw) => this.#decode(raw),
        onClosed: (closed) => this.#consumers.delete(closed),
      },
      options,
    );
    this.#consumers.add(consumer);
    return consumer;
  }

  async subscribe(options: {
    readonly exchange: string;
    readonly routingKey: string;
    onMessage(message: WireMessage): void;
    onGap(): void;
  }): Promise<{ close(): Promise<void> }> {
    this.#requireRunning();
    const { exchange, routingKey } = options;
    const end = this.broker.subscribe(exchange, routingKey, (raw) => {
      try {
        options.onMessage(this.#decode(raw));
      } catch (error) {
        this.#options.logger.warn({ exchange, error }, "broadcast message dropped");
      }
    });
    this.#subscriptions.add(end);
    return {
      close: async () => {
        end();
        this.#subscriptions.delete(end);
      },
    };
  }

  async size(queue: string): Promise<number> {
    this.#requireRunning();
    return this.broker.size(queue);
  }

  async purge(queue: string): Promise<number> {
    this.#requireRunning();
    return this.broker.purge(queue);
  }

  async readDead(queue: string, page: DeadPage): Promise<readonly DeadLetter[]> {
    this.#requireRunning();
    return this.#dead.read(queue, page);
  }

  async removeDead(letters: readonly DeadLetter[]): Promise<number> {
    this.#requireRunning();
    return this.#dead.remove(letters);
  }

  async requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    this.#requireRunning();
    return this.#dead.requeue(letters);
  }

  async readLimits(): Promise<readonly LimitState[]> {
    this.#requireRunning();
    return this.broker.limits.read(this.#options.clock.now());
  }

  async bindings(exchange: string): Promise<readonly BoundQueue[]> {
    this.#requireRunning();
    return this.broker.bindings(exchange);
  }

  async undeclare(queues: readonly QueueDeclaration[]): Promise<void> {
    for (const queue of queues) this.broker.unbind(queue);
  }

  async openMailbox(options: MailboxOptions): Promise<Mailbox> {
    const { declaration } = options;
    this.#requireRunning();
    this.broker.bind(declaration);
    const queue = this.broker.queue(declaration.name);
    let open = true;
    const read = (): void => {
      for (const step of queue.steps) {
        for (let one = step.popFront(); one !== undefined; one = step.popFront()) {
          const { raw } = one;
          queueMicrotask(() => {
            if (open) this.#hear(raw, options);
          });
        }
      }
    };
    queue.listeners.add(read);
    const mailbox: Mailbox = {
      close: async () => {
        if (!open) return;
        open = false;
        queue.listeners.delete(read);
        this.#mailboxes.delete(mailbox);
        this.broker.unbind(declaration);
      },
    };
    this.#mailboxes.add(mailbox);
    return mailbox;
  }

  async answer({ message, declaration, ttlSeconds }: Answer): Promise<boolean> {
    this.#requireRunning();
    const { name, exchange, type, routingKey } = declaration;
    if (!this.broker.isBound(declaration)) return false;
    const raw = this.#encode({ message, exchange, type, routingKey, priority: 0 });
    this.broker.push(name, { raw, step: 0, count: null, redelivered: false });
    if (this.broker.size(name) > 0) {
      const { clock } = this.#options;
      clock.setTimer(ttlSeconds * 1000, () => this.broker.purge(name), { unref: true });
    }
    return true;
  }

  #hear(raw: string, options: MailboxOptions): void {
    try {
      options.onMessage(this.#decode(raw));
    } catch (error) {
      this.#options.logger.warn({ err: error }, "a reply that cannot be read was dropped");
    }
  }

  #put(one: Outgoing, raw: string): void {
    if (one.type === "fanout" && one.exchange !== "") {
      const count = this.broker.broadcast(one.exchange, one.routingKey, raw);
      one.onHeard?.(count);
      return;
    }
    const step = stepIndex(this.#settings.prioritySteps, one.priority);
    for (const queue of this.broker.route(one.exchange, one.type, one.routingKey)) {
      this.broker.push(queue, { raw, step, count: null, redelivered: false });
    }
  }

  /** @throws EncodeError */
  #encode(one: Outgoing): string {
    return encodeEnvelope(one.message, {
      exchange: one.exchange,
      routingKey: one.routingKey,
      priority: one.priority,
      deliveryTag: this.broker.nextTag(),
    });
  }

  /** @throws DecodeError */
  #decode(raw: string): WireMessage {
    return decodeEnvelope(raw, this.#options.limits);
  }

  #name(): string {
    return `memory://${this.broker.name}`;
  }

  #closed(): PetioleError {
    return new PetioleError("PET_CLOSED", `${this.#name()} was stopped`);
  }

  #requireRunning(): void {
    if (this.#state === "stopped") throw this.#closed();
    if (this.#state === "idle") throw new PetioleError("PET_USAGE", `${this.#name()} was not started`);
  }
}
