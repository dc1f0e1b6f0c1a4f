/** What the suite needs of a broker besides the transport itself. */
import { afterAll, afterEach, beforeAll } from "vitest";
import type {
  Delivery,
  StoredWrite,
  Transport,
  TransportCapabilities,
  TransportOptions,
} from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { Inbox, type InboxOptions, toQueue } from "../inbox.ts";

export interface TransportBroker {
  /** Of every transport of this broker; the suite branches on these only. */
  readonly capabilities: TransportCapabilities;
  /** A transport that was not started. */
  create(role: "producer" | "worker", overrides?: Partial<TransportOptions>): Promise<Transport>;
  /** The broker's data, past the transport. */
  readonly raw: {
    /** To the back of a queue; `step` is a priority step as the key names it (0, 3, 6, 9). */
    push(queue: string, raw: string, step?: number): Promise<void>;
    /** What waits, all steps, next out first. */
    list(queue: string): Promise<readonly string[]>;
    /** A fanout message that no transport has encoded. */
    broadcast(exchange: string, routingKey: string, raw: string): Promise<void>;
    result(key: string): Promise<string | null>;
    resultBytes(key: string): Promise<Buffer | null>;
    /** Seconds left; -1 for ever. */
    ttl(key: string): Promise<number>;
  };
  /** The broker's clock, ms since the epoch. */
  now(): Promise<number>;
  /** Moves a clock that does not move by itself; nothing to do for a real server. */
  advance(ms: number): void;
  /**
   * Opens a transport, takes `count` messages, records the start of each when told so, and dies without a word. Answers the
   * deliveries' ids. Nothing of it runs any more when this resolves.
   */
  loseHolder(options: {
    readonly queue: string;
    readonly count: number;
    readonly markStarted?: boolean;
  }): Promise<readonly string[]>;
  /** Of the transports that `create` makes without options; where capabilities have leases. */
  readonly leaseMs?: number;
  /** For transports that are to take over from a lost holder soon: short leases. */
  readonly takeOverOptions: Readonly<Record<string, unknown>>;
  /** Durable brokers: the server stops without warning, and starts again with its data. */
  readonly crash?: () => Promise<void>;
  readonly restart?: () => Promise<void>;
  stop(): Promise<void>;
}

/** One per describe: the broker, and helpers that clean up after each test. */
export class Suite {
  #broker: TransportBroker | null = null;
  #opened: Transport[] = [];
  #names = 0;

  constructor(makeBroker: () => Promise<TransportBroker>) {
    beforeAll(async () => {
      this.#broker = await makeBroker();
    });
    afterEach(async () => {
      const opened = this.#opened;
      this.#opened = [];
      await Promise.all(opened.map((transport) => transport.stop()));
    });
    afterAll(async () => {
      await this.#broker?.stop();
    });
  }

  get broker(): TransportBroker {
    if (this.#broker === null) throw new Error("the broker is not up");
    return this.#broker;
  }

  /** A name that no other test uses. */
  name(prefix = "q"): string {
    this.#names += 1;
    return `${prefix}${this.#names}`;
  }

  /** Started; stopped after the test. */
  async open(role: "producer" | "worker", overrides?: Partial<TransportOptions>): Promise<Transport> {
    const transport = await this.create(role, overrides);
    await transport.start(new AbortController().signal);
    return transport;
  }

  /** Not started; stopped after the test. */
  async create(role: "producer" | "worker", overrides?: Partial<TransportOptions>): Promise<Transport> {
    const transport = await this.broker.create(role, overrides);
    this.#opened.push(transport);
    return transport;
  }

  /** A worker's transport with one consumer. */
  async consume(
    queues: string | readonly string[],
    options: InboxOptions & { readonly transport?: Partial<TransportOptions> } = {},
  ): Promise<Inbox & { readonly transport: Transport }> {
    const transport = await this.open("worker", options.transport);
    const inbox = new Inbox(transport, typeof queues === "string" ? [queues] : queues, options);
    return Object.assign(inbox, { transport });
  }

  async send(queue: string, ids: readonly string[], priority = 0): Promise<void> {
    const producer = await this.open("producer");
    await producer.publish(
      ids.map((id) => toQueue(queue, id, priority)),
      null,
    );
  }

  /** Waits until the broker's clock has reached `ms`. */
  async until(ms: number): Promise<void> {
    this.broker.advance(Math.max(0, ms - (await this.broker.now())));
    await eventually("the broker's clock is there", async () => (await this.broker.now()) >= ms, {
      timeoutMs: 20_000,
    });
  }

  /**
   * Shows that `inbox` gets nothing more from `queue`: another consumer takes all that is left, which must be `expected`.
   * Leaves the queue empty.
   */
  async rest(queue: string, expected: number): Promise<Delivery[]> {
    const other = await this.consume(queue);
    const rest = await other.take(expected);
    await other.ack(rest);
    await other.consumer.close();
    return rest;
  }
}

export function numbered(count: number, prefix = "m"): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

export function resultWrite(
  transport: Transport,
  key: string,
  changes: Partial<StoredWrite> = {},
): StoredWrite {
  const value = JSON.stringify({ status: "SUCCESS", result: 1, task_id: key });
  return { location: transport.location, key, value, ttlSeconds: 60, keepSuccess: true, ...changes };
}
