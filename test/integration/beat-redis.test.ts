/** Beats on a schedule in Redis: who leads, what a lost lease refuses, and which changes are heard of. */
import { Redis } from "ioredis";
import { Celery, type CeleryOptions, group } from "petiole";
import { Beat } from "petiole/beat";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { internalsOf } from "../../src/app/internals.ts";
import { scheduleOptions } from "../../src/app/schedule-store.ts";
import { type Logger, silentLogger } from "../../src/base/logger.ts";
import { Beat as SourceBeat } from "../../src/beat/index.ts";
import { Celery as SourceCelery } from "../../src/index.ts";
import { openScheduleStore } from "../../src/schedules/stores/open.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(() => redis.flushall());

const running: { beat: Beat; app: Celery }[] = [];
afterEach(async () => {
  for (const { beat, app } of running.splice(0)) {
    await beat.stop();
    await app.close();
  }
});

const OPTIONS = { queue: "ticks" };
const TICK = { tick: { task: "shop.tick", schedule: 0.25, args: [7], options: OPTIONS } };

const settingsOf = (settings: CeleryOptions = {}): CeleryOptions => ({
  brokerUrl: `${server.url}/0`,
  beatScheduler: "redbeat.RedBeatScheduler",
  beatSchedule: TICK,
  logger: silentLogger,
  ...settings,
});

async function start(settings: CeleryOptions = {}, log: string[] = []): Promise<Beat> {
  const app = new Celery("shop", settingsOf(settings));
  const note = (_fields: object, text: string): void => void log.push(text);
  const logger: Logger = { ...silentLogger, info: note, warn: note, error: note };
  const beat = new Beat(app, { logger });
  running.push({ beat, app });
  await beat.start();
  return beat;
}

async function ids(queue = "ticks"): Promise<string[]> {
  const messages = await redis.lrange(queue, 0, -1);
  return messages.map((text) => (JSON.parse(text) as { headers: { id: string } }).headers.id);
}

async function sentMore(count: number, queue = "ticks"): Promise<void> {
  const before = (await ids(queue)).length;
  await eventually(`${count} more in ${queue}`, async () => (await ids(queue)).length >= before + count);
}

test("one leads, in the keys of RedBeat; another takes over when it ends; no run twice, and its place is kept", async () => {
  const first = await start();
  const second = await start();
  expect([first.leading, second.leading]).toEqual([true, false]);
  await sentMore(3);
  const definition = JSON.parse((await redis.hget("redbeat:tick", "definition")) ?? "") as unknown;
  expect(definition).toEqual({
    name: "tick",
    task: "shop.tick",
    args: [7],
    kwargs: {},
    options: { queue: "ticks" },
    schedule: { __type__: "interval", every: 0.25, relative: false },
    enabled: true,
  });
  expect(await redis.zrange("redbeat::schedule", "0", "-1")).toEqual(["redbeat:tick"]);
  expect(await redis.smembers("redbeat::statics")).toEqual(["tick"]);
  expect(await redis.pttl("redbeat::lock")).toBeGreaterThan(0);
  await first.stop();
  await eventually("the second leads", () => second.leading);
  await sentMore(3);
  await second.stop();
  expect(await redis.exists("redbeat::lock")).toBe(0);
  const all = await ids();
  expect(new Set(all).size).toBe(all.length);
  const meta = JSON.parse((await redis.hget("redbeat:tick", "meta")) ?? "") as { total_run_count: number };
  expect(meta.total_run_count).toBe(all.length);
});

test("what a publish notes is there with the message: nothing is left to be saved", async () => {
  await start();
  await sentMore(2);
  // In one step on the server, so that none of the three can be missing.
  const [messages, slot, count] = (await redis.eval(
    "return {redis.call('LRANGE', 'ticks', 0, -1), redis.call('HGET', 'redbeat:tick', 'slot'), redis.call('HGET', 'redbeat:tick', 'meta')}",
    0,
  )) as [string[], string, string];
  expect((JSON.parse(count) as { total_run_count: number }).total_run_count).toBe(messages.length);
  expect(Date.now() - Number(slot)).toBeLessThan(60_000);
});

test.each([
  ["the broker's database", "/0"],
  ["another database of its server", "/5"],
])("a lease that was lost refuses what is still sent; schedule in %s", async (_where, db) => {
  const log: string[] = [];
  // Long enough that no renewal tells of the loss.
  const settings = { redbeatRedisUrl: `${server.url}${db}`, redbeatLockTimeout: 300 };
  const beat = await start(settings, log);
  await sentMore(2);
  const other = new Redis(server.port, { db: Number(db.slice(1)) });
  const [before] = await Promise.all([ids(), other.set("redbeat::lock", "another", "PX", 1500)]);
  await eventually("it stands by", () => !beat.leading);
  expect((await ids()).length - before.length).toBeLessThanOrEqual(1);
  expect(log).toContain("this beat leads no more: it stands by");
  await other.del("redbeat::lock");
  other.disconnect();
});

test("a claim of an earlier reign publishes nothing, whatever the run", async () => {
  const app = new SourceCelery("shop", settingsOf());
  const inside = internalsOf(app);
  await inside.finalize();
  const store = openScheduleStore(scheduleOptions(inside, {}));
  expect(await store.take()).toBeNull();
  const { tasks } = await store.load(inside.periodicTasks, Date.now());
  const [task] = tasks;
  if (task === undefined) throw new Error("no entry");
  const runAt = (slotMs: number): Parameters<typeof inside.sendPeriodic> => [
    task,
    {
      id: `run-${slotMs}`,
      key: `beat:run-${slotMs}`,
      keyMs: 60_000,
      claim: store.claim(task, { lastRunAtMs: slotMs, totalRunCount: 1 }),
    },
  ];
  const now = Date.now();
  const [first, again, older, late] = [runAt(now), runAt(now), runAt(now - 1000), runAt(now + 1000)];
  await inside.sendPeriodic(...first);
  await redis.del(...(await redis.keys("*_unique:*")));
  await inside.sendPeriodic(...again);
  await inside.sendPeriodic(...older);
  expect(await ids()).toEqual([`run-${now}`]);
  await store.release();
  expect(await store.take()).toBeNull();
  await expect(inside.sendPeriodic(...late)).rejects.toMatchObject({ code: "PET_FENCED" });
  expect(await ids()).toEqual([`run-${now}`]);
  await redis.del("redbeat:tick");
  await expect(inside.sendPeriodic(...runAt(now + 2000))).rejects.toMatchObject({ code: "PET_SCHEDULE" });
  expect(await ids()).toEqual([`run-${now}`]);
  await store.release();
  await store.close();
  await app.close();
});

test("a run whose entry is removed before its publish is not sent, not counted, and not noted", async () => {
  const app = new SourceCelery(
    "shop",
    settingsOf({ beatSchedule: { tick: { task: "shop.tick", schedule: 1, options: OPTIONS } } }),
  );
  app.use({
    async publish(_message, next) {
      await redis.del("redbeat:tick");
      await next();
    },
  });
  const log: string[] = [];
  const note = (_fields: object, text: string): void => void log.push(text);
  const beat = new SourceBeat(app, { logger: { ...silentLogger, debug: note, info: note, error: note } });
  await beat.start();
  await eventually("it is said", () => log.includes("a run is not sent: its entry was removed"));
  expect(log).not.toContain("beat: task sent");
  await beat.stop();
  await app.close();
  expect(await ids()).toEqual([]);
  expect(await redis.exists("redbeat:tick")).toBe(0);
});

const entry = (name: string, more: object = {}): string =>
  JSON.stringify({
    name,
    task: "shop.other",
    args: [],
    kwargs: {},
    options: { queue: name },
    schedule: { __type__: "interval", every: 0.25, relative: false },
    enabled: true,
    ...more,
  });

async function write(name: string, more: object = {}): Promise<void> {
  await redis.hset(`redbeat:${name}`, "definition", entry(name, more));
  await redis.zadd("redbeat::schedule", 1, `redbeat:${name}`);
}

test.each(["tracking", "polling"])(
  "entries of others are sent, changed, disabled and removed: %s",
  async (how) => {
    const blind = ["on", ">p", "~*", "&*", "+@all", "-client|tracking"];
    await redis.call("ACL", "SETUSER", "blind", ...blind);
    const url = how === "tracking" ? server.url : server.url.replace("//", "//blind:p@");
    await start({ redbeatRedisUrl: `${url}/0` });
    const silent = async (queue: string): Promise<void> => {
      await eventually(`${queue} is silent while tick goes on`, async () => {
        const before = (await ids(queue)).length;
        await sentMore(3);
        return (await ids(queue)).length === before;
      });
    };
    await write("made");
    await sentMore(2, "made");
    await write("made", { options: { queue: "changed" } });
    await sentMore(2, "changed");
    await write("made", { enabled: false });
    await silent("changed");
    await write("made", { options: { queue: "again" } });
    await sentMore(1, "again");
    await redis.del("redbeat:made");
    await silent("again");
    // What somebody removed does not come back.
    expect(await redis.exists("redbeat:made")).toBe(0);
  },
);

test("what cannot be read is named in the log, and the rest goes on", async () => {
  const texts: unknown[] = [];
  const app = new Celery("shop", settingsOf());
  const error = (fields: object): void => void texts.push(fields);
  const beat = new Beat(app, { logger: { ...silentLogger, error } });
  running.push({ beat, app });
  await redis.hset("redbeat:bad", "definition", "{");
  await redis.hset("redbeat:odd", "definition", entry("odd", { schedule: { __type__: "lunar" } }));
  await redis.hset("redbeat:evil", "definition", '{"name": "evil", "__proto__": {"task": "x"}}');
  for (const name of ["bad", "odd", "evil", "missing"])
    await redis.zadd("redbeat::schedule", 1, `redbeat:${name}`);
  await beat.start();
  await sentMore(2);
  expect(texts).toEqual([
    { entry: "bad", reason: expect.any(String) },
    { entry: "evil", reason: "the definition has no task" },
    { entry: "odd", reason: 'a schedule of the type "lunar" is not known' },
  ]);
  expect(await redis.zscore("redbeat::schedule", "redbeat:missing")).toBeNull();
});

test("entries that a program has no more are removed, those of others stay, and one that was disabled stays so", async () => {
  await redis.sadd("redbeat::statics", "old");
  await write("old");
  await write("other");
  const first = await start();
  await sentMore(1);
  await first.stop();
  expect(await redis.keys("redbeat:o*")).toEqual(["redbeat:other"]);
  const text = JSON.parse((await redis.hget("redbeat:tick", "definition")) ?? "") as object;
  await redis.hset("redbeat:tick", "definition", JSON.stringify({ ...text, enabled: false }));
  const second = await start();
  await sentMore(2, "other");
  expect(second.entries.map(({ name }) => name)).toEqual(["other"]);
});

test("functions among the arguments, and a canvas, stay with their program", async () => {
  const app = new Celery("shop", settingsOf({ beatSchedule: {} }));
  const add = app.task("shop.add", (x: number) => x);
  app.addPeriodicTask(0.25, group([add.s(1), add.s(2)]) as never, { name: "both" });
  const lazy = { lazy: { task: "shop.add", schedule: 0.25, args: [(): number => 42], options: OPTIONS } };
  app.conf.beatSchedule = lazy;
  const beat = new Beat(app);
  running.push({ beat, app });
  await beat.start();
  await sentMore(2);
  await sentMore(2, "celery");
  expect(await redis.zcard("redbeat::schedule")).toBe(0);
  expect(await redis.hkeys("redbeat:lazy")).toEqual(expect.arrayContaining(["meta", "slot"]));
});

test("where the broker is not Redis it is said what to set", async () => {
  const app = new Celery("shop", settingsOf({ brokerUrl: "memory://" }));
  await expect(new Beat(app).start()).rejects.toThrow(/the broker is memory:.*: set redbeatRedisUrl/);
  await app.close();
});
