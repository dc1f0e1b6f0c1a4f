import { openBackend } from "../../src/backends/index.ts";
import type * as Transports from "../../src/transports/index.ts";
import { backendOptions } from "../support/backend-options.ts";
import { built } from "../support/built.ts";
import { startRedis } from "../support/redis.ts";
import { transportOptions } from "../support/redis-transport.ts";
import { type BackendStore, backendConformance } from "./backend.ts";

async function redisStore(): Promise<BackendStore> {
  // Its lease thread runs from the build.
  const { openTransport } = (await import(built("transports/index.js"))) as typeof Transports;
  const server = await startRedis({ aof: true });
  const options = backendOptions(`${server.url}/1`);
  /** In the results' database; a script, because the helper's connection is in database 0. */
  const inDb = (script: string, ...args: readonly string[]): Promise<string> =>
    server.command("EVAL", `redis.call('SELECT', 1) ${script}`, "0", ...args);
  return {
    create: (overrides) => openBackend({ ...options, ...overrides }),
    transport: () => openTransport(transportOptions(`${server.url}/0`)),
    raw: {
      get: async (key) => {
        if ((await inDb("return redis.call('EXISTS', ARGV[1])", key)) === "0") return null;
        return inDb("return redis.call('GET', ARGV[1])", key);
      },
      set: async (key, value) => {
        await inDb("return redis.call('SET', ARGV[1], ARGV[2])", key, value);
      },
      ttl: async (key) => Number(await inDb("return redis.call('TTL', ARGV[1])", key)),
      listening: async () => {
        const channels = await server.command("PUBSUB", "CHANNELS", "celery-task-meta-*");
        return channels === "" ? 0 : channels.split("\n").length;
      },
    },
    redisLists: true,
    endChordLeases: async () => {
      const due = "'celery-taskset-meta-petiole.due'";
      await inDb(
        `for _, group in ipairs(redis.call('ZRANGE', ${due}, 0, -1)) do redis.call('ZADD', ${due}, 0, group) end return 1`,
      );
    },
    advance: () => {},
    crash: () => server.kill("SIGKILL"),
    restart: () => server.restart(),
    cutWatchers: async () => {
      await server.command("CLIENT", "KILL", "TYPE", "pubsub");
    },
    stop: () => server.stop(),
  };
}

backendConformance("redis", { durable: true }, redisStore);
