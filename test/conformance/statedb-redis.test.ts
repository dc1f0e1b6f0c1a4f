import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { openStateDb } from "../../src/statedb/index.ts";
import { startRedis } from "../support/redis.ts";
import { type StateStore, stateDbConformance } from "./statedb.ts";

/** Makes everything older. */
const AGE = `
redis.call('SELECT', 2)
for _, key in ipairs(redis.call('KEYS', 'place-*')) do
  if redis.call('TYPE', key).ok == 'zset' then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], member) end
  end
end
return 1`;

async function redisStore(): Promise<StateStore> {
  const server = await startRedis({ aof: true });
  return {
    create: (place, overrides) =>
      openStateDb({
        url: `${server.url}/2`,
        node: null,
        prefix: `${place}:`,
        ttlSeconds: null,
        shared: true,
        clock: systemClock,
        logger: silentLogger,
        clientName: null,
        ...overrides,
      }),
    passes: async (seconds) => {
      await server.command("EVAL", AGE, "0", String(seconds));
    },
    // Its connections are cut, and it never gets to give its name back.
    crash: async () => {
      await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    },
    restart: () => server.restart(),
    stop: () => server.stop(),
  };
}

stateDbConformance("redis", redisStore);
