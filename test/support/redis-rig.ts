/** One private server for a test file, empty before each test; transports of the build that end after each. */
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type * as Consumers from "../../src/transports/redis/consumer.ts";
import type { RedisTransport } from "../../src/transports/redis/index.ts";
import type { Outgoing } from "../../src/transports/transport.ts";
import { type Inbox, toQueue } from "../conformance/inbox.ts";
import { type RedisServer, startRedis } from "./redis.ts";
import { type OpenOptions, redisTransport, SHORT_LEASE } from "./redis-transport.ts";

export class RedisRig {
  #server: RedisServer | null = null;
  #opened: RedisTransport[] = [];

  constructor() {
    beforeAll(async () => {
      this.#server = await startRedis({ aof: true });
    });
    beforeEach(async () => {
      await this.server.command("FLUSHALL");
      await this.server.command("SCRIPT", "FLUSH");
    });
    afterEach(async () => {
      await Promise.all(this.#opened.splice(0).map((one) => one.stop()));
    });
    afterAll(() => this.server.stop());
  }

  get server(): RedisServer {
    if (this.#server === null) throw new Error("the server is not up");
    return this.#server;
  }

  /** A started transport with short leases. */
  async open(options: OpenOptions = {}, url: string = this.server.url): Promise<RedisTransport> {
    const transport = await redisTransport(url, { settings: SHORT_LEASE, ...options });
    this.#opened.push(transport);
    await transport.start(new AbortController().signal);
    return transport;
  }

  /** How many of the keys for held messages exist. */
  heldKeys(): Promise<string> {
    return this.server.command(
      "EXISTS",
      "unacked",
      "unacked_index",
      "unacked_lease",
      "unacked_parked",
      "unacked_started",
    );
  }
}

/** What only tests look at. */
export function internals(inbox: Inbox): Consumers.RedisConsumer {
  return inbox.consumer as unknown as Consumers.RedisConsumer;
}

/** Messages m0, m1, … */
export function many(queue: string, count: number, from = 0): Outgoing[] {
  return Array.from({ length: count }, (_, i) => toQueue(queue, `m${from + i}`));
}
