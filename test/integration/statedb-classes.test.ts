/** `petiole/statedb`: the classes of celery-redis-statedb, beside workers that use the same keys. */
import { Redis } from "ioredis";
import { Celery } from "petiole";
import {
  purgeRevokedTask,
  RedisPersistent,
  RedisStateDB,
  type RedisStateDBOptions,
  RedisStatePersistence,
} from "petiole/statedb";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { encodeRevokedBlob } from "../../src/statedb/blob.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const NODE = "w1@host";
const PREFIX = "celery:worker:state:";

let server: RedisServer;
let redis: Redis;
let opened: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port, { db: 2 });
});
beforeEach(() => redis.flushall());
afterEach(async () => {
  for (const close of opened.toReversed()) await close();
  opened = [];
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

function open(options: Partial<RedisStateDBOptions> = {}): RedisStateDB {
  const db = new RedisStateDB({ redisUrl: `${server.url}/2`, workerName: NODE, ...options });
  opened.push(() => db.close());
  return db;
}

function makeApp(): Celery {
  const app = new Celery("classes", {
    brokerUrl: `${server.url}/0`,
    resultBackend: `${server.url}/1`,
    logger: silentLogger,
  });
  opened.push(() => app.close());
  return app;
}

async function startWorker(app: Celery, redisStatedb?: string): Promise<void> {
  const worker = new Worker(app, { hostname: NODE, ...(redisStatedb && { redisStatedb }) });
  opened.push(() => worker.stop({ how: "cold" }));
  await worker.start();
}

/** What the worker says is revoked. */
async function known(app: Celery): Promise<readonly string[]> {
  const { [NODE]: ids = [] } = await app.control.inspect({ timeout: 5, limit: 1 }).revoked();
  return [...ids].sort();
}

test("ids are added, with their times, and read", async () => {
  const db = open();
  const before = Date.now();
  await db.addRevoked("old", new Date("2026-01-02T03:04:05.678Z"));
  await db.addRevokedBulk(["a", "b"]);
  await db.addRevokedBulk(Array.from({ length: 2_500 }, (_, n) => `many-${n}`));
  const revoked = await db.getRevoked();
  expect([...revoked.keys()].slice(0, 3)).toEqual(["old", "a", "b"]);
  expect(revoked.get("old")).toEqual(new Date("2026-01-02T03:04:05.678Z"));
  expect(Math.abs((revoked.get("b")?.getTime() ?? 0) - before)).toBeLessThan(5_000);
  expect(revoked.size).toBe(2_503);
  expect([await db.isRevoked("old"), await db.isRevoked("many-2499"), await db.isRevoked("x")]).toEqual([
    true,
    true,
    false,
  ]);
  expect(await redis.zscore(`${PREFIX}${NODE}:revoked`, "old")).toBe("1767323045.678");
});

test("what is shared is known of all workers; what is not, of one", async () => {
  const [mine, other] = [open(), open({ workerName: "w2@host" })];
  const alone = open({ workerName: "w3@host", shared: false, keyPrefix: PREFIX });
  await mine.addRevoked("a");
  await alone.addRevoked("b");
  expect([...(await other.getRevoked()).keys()]).toEqual(["a"]);
  expect([await other.isRevoked("b"), await alone.isRevoked("b"), await alone.isRevoked("a")]).toEqual([
    false,
    true,
    false,
  ]);
  expect(await redis.zrange(`${PREFIX}shared:revoked`, "0", "-1")).toEqual(["a"]);
});

test("old ones are purged and counted, or all are cleared", async () => {
  const db = open();
  const day = 86_400;
  await db.addRevoked("old", new Date(Date.now() - 2 * day * 1000));
  await db.update(["old", "new"], 3);
  await db.addRevoked("older", new Date(Date.now() - 3 * day * 1000));
  // The second time it was revoked counts.
  expect(await db.purgeOldRevoked(day)).toBe(1);
  expect(new Set((await db.getRevoked()).keys())).toEqual(new Set(["new", "old"]));
  await db.clearRevoked();
  expect([(await db.getRevoked()).size, await db.getZrevoked()]).toEqual([0, null]);
  expect(await db.isRevoked("new")).toBe(false);
  await expect(db.purgeOldRevoked(-1)).rejects.toThrow(/0 or more, not -1/);
});

test("a worker that runs hears of what is added and cleared by hand", async () => {
  const app = makeApp();
  await startWorker(app, `${server.url}/2`);
  const db = open();
  await db.addRevokedBulk(["a", "b"]);
  const heard = await eventually("it has heard", async () => {
    const ids = await known(app);
    return ids.length > 0 && ids;
  });
  expect(heard).toEqual(["a", "b"]);
  await db.clearRevoked();
  await eventually("it has forgotten", async () => (await known(app)).length === 0);
});

test("ids and clock are written as a worker leaves them, and a worker that starts takes them in", async () => {
  const db = open();
  expect([await db.getZrevoked(), await db.getClock()]).toEqual([null, 0]);
  await db.update(new Set(["a", "b"]), 1_000);
  expect(await db.getZrevoked()).toEqual(new Set(["a", "b"]));
  await db.setClock(2_000);
  expect([await db.incrementClock(), await db.getClock()]).toEqual([2_001, 2_001]);
  const app = makeApp();
  await startWorker(app, `${server.url}/2`);
  expect(await known(app)).toEqual(["a", "b"]);
  const { [NODE]: stats } = await app.control.inspect({ timeout: 5, limit: 1 }).stats();
  expect(Number(stats?.["clock"])).toBeGreaterThan(2_001);
});

test("a program's own set of ids is kept, and taken in again beside what Python wrote", async () => {
  const options = { redisUrl: `${server.url}/2`, workerName: NODE };
  const state = { revoked: new Set(["mine"]) };
  const first = new RedisPersistent({ ...options, state });
  opened.push(() => first.close());
  await first.merge();
  await first.sync();
  const theirs = { maxlen: 50_000, expires: 10_800, members: [["theirs", 12.5] as const] };
  await redis.mset(
    `${PREFIX}${NODE}:zrevoked`,
    await encodeRevokedBlob(theirs),
    `${PREFIX}${NODE}:clock`,
    "41",
  );
  const second = new RedisPersistent({ ...options, state: { revoked: new Set(["later"]) } });
  opened.push(() => second.close());
  await second.merge();
  expect(second.state.revoked).toEqual(new Set(["later", "mine", "theirs"]));
  expect(await second.db.getClock()).toBe(42);
  await second.save();
  await first.merge();
  expect(state.revoked).toEqual(new Set(["mine", "later", "theirs"]));
  expect(await first.db.getClock()).toBe(44);
  await expect(second.sync()).rejects.toThrow(/closed/);
});

test("as a step it configures the state DB, and shows what is kept of its worker", async () => {
  const app = makeApp();
  const url = `redis://default:secret@${new URL(server.url).host}/2`;
  await redis.config("SET", "requirepass", "secret");
  opened.push(async () => {
    await redis.config("SET", "requirepass", "");
  });
  const secured = { brokerUrl: url.replace("/2", "/0"), resultBackend: url.replace("/2", "/1") };
  app.conf.update(secured);
  const step = new RedisStatePersistence(app, { url, keyPrefix: "mine:" });
  app.steps.worker.add(step);
  await startWorker(app);
  await app.control.revoke("a", { reply: true, limit: 1, timeout: 5 });
  expect([...((await step.db?.getRevoked()) ?? new Map()).keys()]).toEqual(["a"]);
  expect(await redis.zrange(`mine:${NODE}:revoked`, "0", "-1")).toEqual(["a"]);
  const { [NODE]: stats } = await app.control.inspect({ timeout: 5, limit: 1 }).stats();
  expect(stats?.["statedb"]).toEqual({
    location: expect.stringMatching(/^(?!.*secret)redis:/),
    keys: `mine:${NODE}:`,
  });
});

test("a step without a Redis is skipped", async () => {
  const app = makeApp();
  const step = new RedisStatePersistence(app);
  app.steps.worker.add(step);
  await startWorker(app);
  expect(step.db).toBeNull();
});

test("a task purges what was revoked long ago", async () => {
  const app = makeApp();
  const purge = purgeRevokedTask(app, { olderThan: 3600, redisUrl: `${server.url}/2` });
  expect(purge.name).toBe("petiole.purge_revoked");
  await startWorker(app);
  const db = open();
  await db.addRevoked("old", new Date(Date.now() - 7_200_000));
  await db.addRevoked("new");
  expect(await (await purge.delay()).get({ timeout: 10 })).toBe(1);
  expect([...(await db.getRevoked()).keys()]).toEqual(["new"]);
  expect(() => purgeRevokedTask(app, { olderThan: Number.NaN, name: "other" })).toThrow(/seconds/);
});

test("what cannot be is refused; while Redis is away calls reject", async () => {
  expect(() => open({ redisUrl: "amqp://user:secret@host" })).toThrow(/^(?!.*secret)/);
  expect(() => open({ workerName: "" })).toThrow(/workerName/);
  expect(() => open({ ttl: -1 })).toThrow(/seconds/);
  const db = open();
  await expect(db.addRevoked("")).rejects.toThrow(/1 to 4096 characters/);
  await expect(db.addRevokedBulk(JSON.parse('["a", 7]') as string[])).rejects.toThrow(/not 7/);
  await expect(db.setClock(1.5)).rejects.toThrow(/whole number/);
  expect([await db.ping(), (await db.getRevoked()).size]).toEqual([true, 0]);
  const away = open({ redisUrl: "redis://127.0.0.1:1/0" });
  expect(await away.ping()).toBe(false);
  await expect(away.isRevoked("a")).rejects.toThrow(/127\.0\.0\.1:1/);
  await expect(away.addRevoked("a")).rejects.toThrow(/127\.0\.0\.1:1/);
});
