import { Redis } from "ioredis";
import { startRedis } from "../support/redis.ts";
import { loseHolder, redisTransport, SHORT_LEASE } from "../support/redis-transport.ts";
import { type TransportBroker, transportConformance } from "./transport.ts";

const CAPABILITIES = {
  parks: true,
  leases: true,
  atomicPublishMany: false,
  storesResults: true,
  durable: true,
};
/** A busy machine lets the thread that renews it run in time. */
const LEASE = { ...SHORT_LEASE, leaseMs: 2500 };
const SEP = "\x06\x16";

async function redisTransportBroker(): Promise<TransportBroker> {
  const server = await startRedis({ aof: true });
  const url = `${server.url}/0`;
  // Of the tests' own: reconnects by itself after the server was stopped.
  const client = new Redis(server.port, "127.0.0.1", { retryStrategy: () => 100 });
  client.on("error", () => {});
  const lists = (queue: string): string[] =>
    [0, 3, 6, 9].map((step) => (step ? `${queue}${SEP}${step}` : queue));
  return {
    capabilities: CAPABILITIES,
    create: (role, overrides) => redisTransport(url, { role, settings: LEASE, ...overrides }),
    raw: {
      async push(queue, raw, step = 0) {
        await client.lpush(step ? `${queue}${SEP}${step}` : queue, raw);
      },
      async list(queue) {
        const waiting: string[] = [];
        for (const list of lists(queue)) waiting.push(...(await client.lrange(list, 0, -1)).toReversed());
        return waiting;
      },
      async broadcast(exchange, routingKey, raw) {
        await client.publish(`/0.${exchange}${routingKey ? `/${routingKey}` : ""}`, raw);
      },
      result: (key) => client.get(key),
      resultBytes: (key) => client.getBuffer(key),
      ttl: (key) => client.ttl(key),
    },
    async now() {
      const [seconds, micros] = await client.time();
      return Number(seconds) * 1000 + Number(micros) / 1000;
    },
    advance: () => {},
    loseHolder: (lost) => loseHolder({ url, settings: LEASE, ...lost }),
    leaseMs: LEASE.leaseMs,
    takeOverOptions: {},
    crash: () => server.kill("SIGKILL"),
    restart: () => server.restart(),
    async stop() {
      client.disconnect();
      await server.stop();
    },
  };
}

transportConformance("redis", CAPABILITIES, redisTransportBroker);
