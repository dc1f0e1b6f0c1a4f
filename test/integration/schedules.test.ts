/** `app.schedules` and `petiole schedule`: entries are looked at, changed and run while a scheduler runs. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { Celery, type CeleryOptions, clocked, cron, crontab, group } from "petiole";
import { Beat } from "petiole/beat";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { makeProject, petiole, petioleRun } from "./cli-support.ts";

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

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function makeApp(settings: CeleryOptions = {}): Celery {
  const app = new Celery("shop", {
    brokerUrl: `${server.url}/0`,
    resultBackend: `${server.url}/1`,
    beatScheduler: "redbeat",
    logger: silentLogger,
    ...settings,
  });
  closing.push(() => app.close());
  return app;
}

async function startBeat(settings: CeleryOptions = {}): Promise<Beat> {
  const beat = new Beat(makeApp(settings));
  closing.push(() => beat.stop());
  await beat.start();
  return beat;
}

const sent = async (queue: string, count: number): Promise<unknown> =>
  eventually(`${count} in ${queue}`, async () => (await redis.llen(queue)) >= count);
const names = (beat: Beat): string[] => beat.entries.map(({ name }) => name).sort();

test("an entry is added, changed, disabled, enabled, run by hand and removed while a beat runs", async () => {
  const beat = await startBeat();
  const { schedules } = makeApp();
  expect(await schedules.list()).toEqual([]);
  const entry = { task: "shop.tick", schedule: 0.2, args: [1], options: { queue: "first", priority: 3 } };
  expect(await schedules.add("tick", entry)).toMatchObject({
    kind: "entry",
    name: "tick",
    task: "shop.tick",
    when: "<freq: 0.2 seconds>",
    args: [1],
    options: { queue: "first", priority: 3 },
    enabled: true,
    own: false,
    nextRunAt: expect.any(Date),
  });
  await sent("first\x06\x163", 2);
  await schedules.edit("tick", { options: { queue: "second" }, kwargs: { a: 1 } });
  await sent("second", 2);
  const [text = ""] = await redis.lrange("second", 0, 0);
  const { body } = JSON.parse(text) as { body: string };
  expect(JSON.parse(Buffer.from(body, "base64").toString("utf8"))).toMatchObject([[1], { a: 1 }, {}]);
  expect(await schedules.disable("tick")).toMatchObject({ enabled: false, nextRunAt: null });
  await eventually("beat has heard of it", () => names(beat).length === 0);
  const { totalRunCount } = (await schedules.get("tick")) as { totalRunCount: number };
  expect(totalRunCount).toBeGreaterThanOrEqual(4);
  const before = await redis.llen("second");
  const result = await schedules.run("tick");
  expect(await redis.llen("second")).toBe(before + 1);
  expect(result.id).toMatch(/^[\da-f-]{36}$/);
  expect(await schedules.enable("tick")).toMatchObject({ enabled: true, totalRunCount });
  await sent("second", before + 2);
  await schedules.remove("tick");
  await eventually("beat has heard of it", () => names(beat).length === 0);
  expect(await redis.keys("redbeat*tick*")).toEqual([]);
});

test("every kind of schedule and every option is kept, and read as it was", async () => {
  const { schedules } = makeApp();
  const start = new Date(Date.UTC(2026, 0, 1));
  const end = new Date(Date.UTC(2040, 0, 1));
  const entries = {
    plain: { task: "t", schedule: 30 },
    weekly: { task: "t", schedule: crontab({ minute: [0, 30], hour: "22-2", dayOfWeek: "fri-mon" }) },
    zoned: { task: "t", schedule: crontab({ hour: 4, timezone: "Europe/Rome", dstFold: "both" }) },
    cron: { task: "t", schedule: cron("0 9 13 * 5", { timezone: "Asia/Tokyo" }) },
    once: { task: "t", schedule: clocked(end), args: [end], options: { expires: end, headers: { a: [1] } } },
    all: { task: "t", schedule: 60, startTime: start, endTime: end, jitter: 2, catchUp: "all" },
    one: { task: "t", schedule: 60, oneOff: true, overlap: "skip" },
  } as const;
  for (const [name, entry] of Object.entries(entries)) await schedules.add(name, entry);
  const read = await makeApp().schedules.list();
  expect(read.map((one) => one.name)).toEqual(Object.keys(entries).sort());
  for (const one of read) {
    if (one.kind !== "entry") throw new Error(one.reason);
    const { schedule } = entries[one.name as "plain"];
    expect(one.schedule).toMatchObject(typeof schedule === "number" ? { every: schedule } : schedule);
  }
  expect(read.find(({ name }) => name === "once")).toMatchObject({
    args: [end],
    options: { expires: end, headers: { a: [1] } },
    nextRunAt: end,
  });
  await schedules.edit("all", { args: [2] });
  const own = JSON.parse((await redis.hget("redbeat:all", "petiole")) ?? "") as { options: object };
  expect(own.options).toMatchObject({ catchUp: "all", jitter: 2, startTime: "2026-01-01T00:00:00+00:00" });
  // RedBeat would run them at other times, or end of them.
  expect((await redis.zrange("redbeat::schedule", 0, "-1")).sort()).toEqual([
    "redbeat:plain",
    "redbeat:weekly",
  ]);
});

test("relative stays when the seconds change, and changes while they stay", async () => {
  const { schedules } = makeApp();
  await schedules.add("tick", { task: "t", schedule: 30 });
  const edited = [
    await schedules.edit("tick", { relative: true }),
    await schedules.edit("tick", { schedule: 60 }),
    await schedules.edit("tick", { args: [1] }),
    await schedules.edit("tick", { schedule: crontab() }),
  ];
  expect(edited.map(({ schedule }) => schedule)).toMatchObject([
    { every: 30, relative: true },
    { every: 60, relative: true },
    { every: 60, relative: true },
    { type: "crontab" },
  ]);
});

test("runs that must not overlap need results: an operator is told, and a beat leaves such entries out", async () => {
  const skip = { task: "t", schedule: 0.2, overlap: "skip" } as const;
  const able = makeApp();
  await able.schedules.add("loaded", skip);
  const beat = await startBeat({ resultBackend: null });
  expect([beat.leading, names(beat)]).toEqual([true, []]);
  await able.schedules.add("changed", skip);
  await able.schedules.add("plain", { task: "t", schedule: 60 });
  await eventually("beat has heard of them", () => names(beat).includes("plain"));
  expect(names(beat)).toEqual(["plain"]);
  const blind = makeApp({ resultBackend: null });
  await expect(blind.schedules.add("other", skip)).rejects.toThrow(
    /entry "other": overlap "skip" .* set resultBackend/,
  );
  expect(await blind.schedules.disable("loaded")).toMatchObject({ enabled: false });
});

test("what cannot be done says of which entry, and what to do", async () => {
  const { schedules } = makeApp();
  await schedules.add("nightly", { task: "t", schedule: 60 });
  const refused = (message: RegExp): object => ({
    code: "PET_SCHEDULE",
    message: expect.stringMatching(message),
  });
  await expect(schedules.get("nightli")).rejects.toMatchObject(
    refused(/no entry "nightli".*did you mean "nightly"/),
  );
  await expect(schedules.remove("other")).rejects.toMatchObject(refused(/no entry "other".*schedule list/));
  await expect(schedules.add("nightly", { task: "t", schedule: 1 })).rejects.toMatchObject(
    refused(/an entry "nightly" already: edit it/),
  );
  await expect(schedules.add("x", { task: "t", schedule: 1, args: [() => 1] })).rejects.toMatchObject(
    refused(/entry "x" cannot be kept in Redis/),
  );
  await expect(schedules.edit("nightly", { schedule: -1 })).rejects.toThrow(/entry "nightly": schedule: -1/);
  await redis.hset("redbeat:nightly", "definition", "{");
  await expect(schedules.enable("nightly")).rejects.toMatchObject(
    refused(/"nightly" cannot be read .*: remove it/),
  );
  expect(await schedules.get("nightly")).toMatchObject({ kind: "unreadable", name: "nightly" });
  await schedules.remove("nightly");
  expect(await schedules.list()).toEqual([]);
});

test("entries of the app: in Redis they are changed until the next start; in a file they are looked at and run", async () => {
  const beatSchedule = { tick: { task: "shop.tick", schedule: 60, options: { queue: "ticks" } } };
  const beat = await startBeat({ beatSchedule });
  const app = makeApp({ beatSchedule });
  expect(await app.schedules.disable("tick")).toMatchObject({ own: true, enabled: false });
  await eventually("beat has heard of it", () => names(beat).length === 0);

  const folder = mkdtempSync(join(tmpdir(), "petiole-schedules-"));
  closing.push(async () => rmSync(folder, { recursive: true, force: true }));
  const beatScheduleFilename = join(folder, "schedule");
  const filed = makeApp({ beatSchedule, beatScheduler: "file", beatScheduleFilename });
  expect(await filed.schedules.list()).toMatchObject([{ name: "tick", lastRunAt: null, own: true }]);
  await filed.schedules.run("tick");
  expect(await redis.llen("ticks")).toBe(1);
  await expect(filed.schedules.disable("tick")).rejects.toMatchObject({
    code: "PET_SCHEDULE",
    message: expect.stringMatching(
      /entry "tick" cannot be changed: the schedule \(file .*-S redbeat/,
    ) as string,
  });
});

test("a canvas of the app's modules is refused every change, and stays one", async () => {
  const app = makeApp();
  const add = app.task("shop.add", (x: number) => x);
  app.addPeriodicTask(60, group([add.s(1), add.s(2)]) as never, { name: "both" });
  const beat = new Beat(app);
  closing.push(() => beat.stop());
  await beat.start();
  await expect(app.schedules.edit("both", { enabled: false })).rejects.toThrow(/cannot be kept in Redis/);
  await expect(app.schedules.edit("both", { enabled: false, args: [1] })).rejects.toThrow(/change it there/);
  expect(await redis.hexists("redbeat:both", "definition")).toBe(0);
  expect(names(beat)).toEqual(["both"]);
});

test("the command line", async () => {
  const project = makeProject();
  closing.push(async () => project.remove());
  project.write(
    "tasks.mjs",
    `import { Celery } from ${petiole};
     export const app = new Celery("shop", { brokerUrl: "${server.url}/0", beatScheduler: "redbeat" });`,
  );
  const run = (...words: string[]) =>
    petioleRun(["-A", "tasks.mjs", "schedule", ...words], { cwd: project.dir });
  const words = ["--task", "shop.clean", "--crontab", "30 4 * * mon-fri", "--timezone", "Europe/Rome"];
  const more = ["-a", "[1]", "--queue", "slow", "--options", '{"expires": 60}', "--catch-up", "skip"];
  const added = await run("add", "nightly", ...words, ...more);
  expect([added.code, added.err]).toEqual([0, ""]);
  expect(added.out).toMatch(/^NAME +TASK +WHEN .*\nnightly +shop\.clean +<crontab: 30 4 \* \* mon-fri /);
  expect((await run("edit", "nightly", "--queue", "fast")).code).toBe(0);
  expect(await makeApp().schedules.get("nightly")).toMatchObject({
    args: [1],
    options: { queue: "fast", expires: 60 },
    schedule: { timezone: "Europe/Rome" },
  });
  expect((await run("edit", "nightly", "--disabled")).code).toBe(0);
  expect(await makeApp().schedules.get("nightly")).toMatchObject({ enabled: false, args: [1] });
  const idle = await run("run", "nightly", "-a", "[2]");
  expect([idle.code, idle.err]).toEqual([64, expect.stringMatching(/schedule run does not take --args/)]);
  const missing = await run("show", "nightlu");
  expect([missing.code, missing.err]).toEqual([
    1,
    expect.stringMatching(/did you mean "nightly"\?.*PET_SCHEDULE/s),
  ]);
  const wrong = await run("add", "x", "--task", "t", "--crontab", "* * *");
  expect([wrong.code, wrong.err]).toEqual([64, expect.stringMatching(/has 3 fields; it takes five/)]);
});
