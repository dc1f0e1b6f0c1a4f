import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { parseRedisUrl } from "../../src/redis/url.ts";
import { FileScheduleStore } from "../../src/schedules/stores/file.ts";
import { MemoryScheduleStore } from "../../src/schedules/stores/memory.ts";
import { RedisScheduleStore } from "../../src/schedules/stores/redis/index.ts";
import { SqliteScheduleStore } from "../../src/schedules/stores/sqlite.ts";
import { startRedis } from "../support/redis.ts";
import { sqliteRig } from "../support/sqlite-rig.ts";
import { scheduleConformance } from "./schedules.ts";

const clock = systemClock;
const logger = silentLogger;

scheduleConformance("memory", { exclusive: false, durable: false }, async () => ({
  open: () => new MemoryScheduleStore(),
  clear: async () => {},
  stop: async () => {},
}));

scheduleConformance("file", { exclusive: true, durable: true }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "petiole-schedule-"));
  const path = join(folder, "celerybeat-schedule");
  return {
    open: () => new FileScheduleStore({ path, clock, logger }),
    clear: () => rm(path, { force: true }),
    stop: () => rm(folder, { recursive: true }),
  };
});

scheduleConformance("sqlite", { exclusive: true, durable: true }, async () => {
  const rig = await sqliteRig();
  return {
    open: () => new SqliteScheduleStore({ url: rig.url, place: "shop", clock }),
    async clear() {
      rig.raw().exec("DELETE FROM petiole_schedule");
    },
    stop: () => rig.stop(),
  };
});

scheduleConformance("redis", { exclusive: true, durable: true }, async () => {
  const server = await startRedis();
  const redis = new Redis(server.port);
  return {
    open: () =>
      new RedisScheduleStore({
        address: parseRedisUrl(`${server.url}/0`, null),
        prefix: "redbeat:",
        lockKey: null,
        lockTimeoutMs: 10_000,
        zone: "UTC",
        clock,
        logger,
        clientName: null,
      }),
    async clear() {
      await redis.flushall();
    },
    async stop() {
      redis.disconnect();
      await server.stop();
    },
  };
});
