import { silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";
import { openTransport } from "../../src/transports/index.ts";
import { dropMemoryBroker, MemoryTransport, memoryBroker } from "../../src/transports/memory/index.ts";
import type { TransportOptions } from "../../src/transports/transport.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { Inbox, ids } from "./inbox.ts";
import { type TransportBroker, transportConformance } from "./transport.ts";

const CAPABILITIES = {
  parks: true,
  leases: false,
  atomicPublishMany: true,
  storesResults: true,
  durable: false,
};

async function memoryTransportBroker(): Promise<TransportBroker> {
  const clock = new VirtualClock();
  const name = "conformance";
  const broker = memoryBroker(name);
  const options = (
    role: "producer" | "worker",
    overrides: Partial<TransportOptions> = {},
  ): TransportOptions => ({
    url: `memory://${name}`,
    tls: null,
    options: {},
    role,
    logger: silentLogger,
    clock,
    limits: DEFAULT_LIMITS,
    defaultQueue: "celery",
    clientName: null,
    ...overrides,
  });
  return {
    capabilities: CAPABILITIES,
    create: (role, overrides) => openTransport(options(role, overrides)),
    raw: {
      async push(queue, raw, step = 0) {
        const index = [0, 3, 6, 9].indexOf(step);
        broker.push(queue, { raw, step: index, count: null, redelivered: false });
      },
      list: async (queue) =>
        broker.queue(queue).steps.flatMap((messages) => messages.toArray().map((one) => one.raw)),
      broadcast: async (exchange, routingKey, raw) => {
        broker.broadcast(exchange, routingKey, raw);
      },
      result: async (key) => broker.results.read(key, clock.now())?.toString() ?? null,
      resultBytes: async (key) => {
        const value = broker.results.read(key, clock.now());
        return value === null ? null : Buffer.from(value as string);
      },
      ttl: async (key) => broker.results.ttl(key, clock.now()),
    },
    now: async () => clock.now(),
    advance: (ms) => clock.advance(ms),
    async loseHolder({ queue, count, markStarted }) {
      const transport = new MemoryTransport(options("worker"));
      await transport.start(new AbortController().signal);
      const inbox = new Inbox(transport, [queue], { prefetch: count });
      const taken = await inbox.take(count);
      if (markStarted) await Promise.all(taken.map((one) => inbox.consumer.markStarted(one)));
      transport.abandon();
      return ids(taken);
    },
    takeOverOptions: {},
    async stop() {
      dropMemoryBroker(name);
    },
  };
}

transportConformance("memory", CAPABILITIES, memoryTransportBroker);
