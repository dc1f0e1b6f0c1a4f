/** The access control list that `docs/guarantees.md` gives is enough: nothing that is sent is refused. */
import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { Celery, chord, currentTask } from "petiole";
import { Beat } from "petiole/beat";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

let server: RedisServer;
let admin: Redis;
beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.port);
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

const guarantees = readFileSync(new URL("../../docs/guarantees.md", import.meta.url), "utf8");
const rules = /^ACL SETUSER petiole on >password (.+)$/m.exec(guarantees)?.[1]?.split(" ") ?? [];

async function allow(user: string, ...words: readonly string[]): Promise<string> {
  await admin.call("ACL", "SETUSER", user, "reset", "on", ">password", ...words);
  await admin.call("ACL", "LOG", "RESET");
  return server.url.replace("//", `//${user}:password@`);
}

test("workers and clients need no more than the documents say", async () => {
  expect(rules.length).toBeGreaterThan(30);
  const url = await allow("petiole", ...rules);
  const app = new Celery("acl", {
    brokerUrl: `${url}/0`,
    resultBackend: `${url}/1`,
    logger: silentLogger,
    resultChordRetryInterval: 1,
    redisStatedbUrl: `${url}/2`,
    redisStateTtl: 1000,
  });
  const add = app.task(
    "acl.add",
    { trackStarted: true, unique: { replace: true } },
    (x: number, y: number) => x + y,
  );
  const again = app.task("acl.again", { bind: true, acksLate: true }, (task) => {
    if (task.request.retries === 0) task.retry({ countdown: 1 });
    return currentTask()?.request.retries ?? null;
  });
  const count = app.task("acl.count", (all: number[]) => all.length);
  const few = app.task(
    "acl.few",
    { acksLate: true, maxConcurrency: 1, globalRateLimit: 20 },
    async (n: number) => (await new Promise((resolve) => setTimeout(resolve, 20)), n),
  );
  const early = app.task("acl.early", { maxConcurrency: 1 }, (n: number) => n);
  const worker = new Worker(app, { concurrency: 4 });
  await worker.start();
  try {
    const results = [
      await add.delay(1, 2),
      await add.applyAsync([3, 4], { countdown: 6 }),
      await add.applyAsync([5, 6], { priority: 9 }),
      await again.delay(),
      await chord([add.s(1, 2), add.s(3, 4)], count.s()).delay(),
    ];
    const limited = await Promise.all([1, 2, 3].flatMap((n) => [few.delay(n), early.delay(n)]));
    await admin.lpush("celery", "no message");
    expect(await Promise.all(results.map((one) => one.get({ timeout: 20 })))).toEqual([3, 7, 11, 1, 2]);
    expect(await Promise.all(limited.map((one) => one.get({ timeout: 20 })))).toEqual([1, 1, 2, 2, 3, 3]);
    expect(await app.control.limits()).toEqual([]);
    await eventually("it is dead", async () => (await admin.llen("celery.dead")) === 1);
    await results[0]?.forget();
    await app.control.revoke("x", { reply: true, limit: 1, timeout: 5 });
  } finally {
    await worker.stop();
    await app.close();
  }
  expect(await admin.call("ACL", "LOG")).toEqual([]);
});

test("calls of unique tasks need what the documents say besides", async () => {
  const named = (pattern: RegExp): string[] =>
    [...(pattern.exec(guarantees.replaceAll("\n", " "))?.[1] ?? "").matchAll(/`([^`]+)`/g)].map(
      ([, name]) => `+${name}`,
    );
  const sends = named(/A client that only sends needs ([^.]+)\./);
  const unique = named(/Calls of unique tasks need ([^.]+)\./);
  expect(unique.length).toBeGreaterThan(4);
  const url = await allow("unique", "~*", "&*", "-@all", ...sends, ...unique);
  const app = new Celery("acl", { brokerUrl: `${url}/0`, logger: silentLogger });
  const add = app.task("acl.unique", { unique: { debounce: 1 } }, (x: number) => x);
  expect([(await add.delay(1)).duplicate, (await add.delay(1)).duplicate]).toEqual([false, false]);
  await app.close();
  await admin.del("celery");
});

test("a scheduler with its schedule in Redis needs what the documents say besides", async () => {
  const text = guarantees.replaceAll("\n", " ");
  const named = (pattern: RegExp): string[] =>
    [...(pattern.exec(text)?.[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => `+${name}`);
  const sends = named(/A client that only sends needs ([^.]+)\./);
  const unique = named(/Calls of unique tasks need ([^.]+)\./);
  const schedules = named(/for a schedule in Redis ([^;]+);/);
  expect(schedules.length).toBeGreaterThan(8);
  const url = await allow("beat", "~*", "&*", "-@all", ...sends, ...unique, ...schedules);
  const app = new Celery("acl", {
    brokerUrl: `${url}/0`,
    redbeatRedisUrl: `${url}/3`,
    beatScheduler: "redbeat",
    beatSchedule: {
      tick: { task: "acl.tick", schedule: 0.1, options: { queue: "ticks" } },
      lazy: { task: "acl.tick", schedule: 60, args: [() => 1] },
    },
    logger: silentLogger,
  });
  await admin.select(3);
  await admin.sadd("redbeat::statics", "old");
  const beat = new Beat(app);
  await beat.start();
  await admin.hset("redbeat:bad", "definition", "{");
  await admin.select(0);
  await eventually("it is sent", async () => (await admin.llen("ticks")) >= 2);
  await beat.stop();
  await app.close();
  expect(await admin.call("ACL", "LOG")).toEqual([]);
});

test("pausing a queue needs what the documents say besides", async () => {
  const named = (pattern: RegExp): string[] =>
    [...(pattern.exec(guarantees.replaceAll("\n", " "))?.[1] ?? "").matchAll(/`([^`]+)`/g)].map(
      ([, name]) => `+${name}`,
    );
  const sends = named(/A client that only sends needs ([^.]+)\./);
  const pauses = named(/`pauseQueue` ([^.]+)\./);
  expect(pauses.length).toBeGreaterThan(4);
  const url = await allow("operator", "~*", "&*", "-@all", ...sends, ...pauses);
  const app = new Celery("acl", { brokerUrl: `${url}/0`, logger: silentLogger });
  await app.control.pauseQueue("mail");
  expect(await app.control.pausedQueues()).toMatchObject([{ queue: "mail" }]);
  await app.control.resumeQueue("mail");
  expect(await app.control.pausedQueues()).toEqual([]);
  await app.close();
});

test("a client that only sends needs less", async () => {
  const words = /A client that only sends needs ([^.]+)\./.exec(guarantees.replaceAll("\n", " "))?.[1];
  const commands = [...(words ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => `+${name}`);
  expect(commands.length).toBeGreaterThan(5);
  const url = await allow("sender", "~*", "&*", "-@all", ...commands);
  const app = new Celery("acl", { brokerUrl: `${url}/0`, logger: silentLogger });
  await app.sendTask("acl.add", [1, 2]);
  await app.close();
  expect(await admin.llen("celery")).toBe(1);
});
