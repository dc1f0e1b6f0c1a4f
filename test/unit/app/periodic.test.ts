/** Periodic tasks: the setting, `addPeriodicTask`, and what a run is sent as. */
import { afterEach, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import {
  type BeatEntry,
  Celery,
  type CeleryOptions,
  clocked,
  cron,
  crontab,
  group,
} from "../../../src/index.ts";

const apps: Celery[] = [];
afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));

function makeApp(options: CeleryOptions = {}): Celery {
  const app = new Celery("shop", { brokerUrl: `memory://periodic-${apps.length}`, ...options });
  apps.push(app);
  return app;
}

const entriesOf = (app: Celery): unknown =>
  internalsOf(app).periodicTasks.map((one) => ({ ...one, policy: undefined, signature: undefined }));

test("entries of the settings, in TypeScript and as JSON has them", () => {
  const app = makeApp();
  app.configFromObject({
    beat_schedule: {
      a: { task: "t", schedule: 30, args: [1], options: { routing_key: "x", expires: 60 } },
      b: {
        task: { name: "u" },
        schedule: { type: "crontab", minute: "0", day_of_week: "mon" },
        kwargs: { n: 1 },
      },
      off: { task: "t", schedule: 1, enabled: false },
    },
  });
  expect(entriesOf(app)).toEqual([
    {
      name: "a",
      task: "t",
      schedule: expect.objectContaining({ every: 30 }),
      args: [1],
      kwargs: {},
      options: { routingKey: "x", expires: 60 },
    },
    {
      name: "b",
      task: "u",
      schedule: crontab({ minute: "0", dayOfWeek: "mon" }),
      args: [],
      kwargs: { n: 1 },
      options: {},
    },
  ]);
});

test("every kind of schedule and every option, as JSON has them", () => {
  const app = makeApp();
  app.configFromObject({
    beat_schedule: {
      a: {
        task: "t",
        schedule: { type: "cron", expression: "0 9 * * 1-5", dst_fold: "both" },
        one_off: true,
      },
      b: { task: "t", schedule: { type: "clocked", clocked_time: "2026-01-01T00:00:00Z" }, jitter: 5 },
      c: {
        task: "t",
        schedule: { type: "interval", every: 5 },
        start_time: "2026-01-01T00:00:00Z",
        end_time: "2027-01-01T00:00:00Z",
        catch_up: "all",
      },
    },
  });
  const [a, b, c] = internalsOf(app).periodicTasks;
  expect(a?.schedule).toEqual(cron("0 9 * * 1-5", { dstFold: "both" }));
  expect(b?.schedule).toEqual(clocked("2026-01-01T00:00:00Z"));
  expect([a, b, c].map((one) => one?.policy)).toEqual([
    expect.objectContaining({ oneOff: true, catchUp: "once", overlap: "allow" }),
    expect.objectContaining({ oneOff: false, jitterMs: 5000 }),
    expect.objectContaining({
      startTimeMs: Date.UTC(2026, 0, 1),
      endTimeMs: Date.UTC(2027, 0, 1),
      catchUp: "all",
    }),
  ]);
});

test.each<[BeatEntry, RegExp]>([
  [{ task: "t", schedule: 1, startTime: "soon" }, /entry "x": startTime: "soon" is not a time/],
  [{ task: "t", schedule: 1, jitter: -1 }, /entry "x": jitter is not a number of seconds/],
  [{ task: "t", schedule: 1, catchUp: "never" as never }, /catchUp cannot be "never", but skip, once, all/],
  [{ task: "t", schedule: 1, overlap: "skip", catchUp: "all" }, /choose one of them/],
  [{ task: "t", schedule: 1, startTime: "2026-01-02", endTime: "2026-01-01" }, /endTime is before startTime/],
  [{ task: "t", schedule: { type: "lunar" } as never }, /there is no type of schedule "lunar", but interval/],
  [{ schedule: 1 } as never, /beatSchedule.*entry "x" has no task/],
  [{ task: "t" } as never, /entry "x" has no schedule/],
  [{ task: "t", schedule: 0 }, /entry "x": schedule: 0 is not a number of seconds/],
  [
    { task: "t", schedule: { type: "crontab", minute: "61" } as never },
    /entry "x": crontab: minute cannot be "61"/,
  ],
  [{ task: "t", schedule: 1, arg: [] } as never, /entry "x" has "arg"/],
  [{ task: "t", schedule: 1, args: {} as never }, /args is no array/],
  [{ task: "t", schedule: 1, options: [] as never }, /options is no object/],
])("%j is refused, and why is said", (entry, message) => {
  expect(() => makeApp({ beatSchedule: { x: entry } }).conf.beatSchedule).toThrow(message);
});

test("addPeriodicTask names an entry by its call, as Python, and warns of a second one", async () => {
  const warned: string[] = [];
  const app = makeApp({ logger: { ...silentLogger, warn: (_fields, text) => void warned.push(text) } });
  const add = app.task("shop.add", (x: number, y: number) => x + y);
  app.onAfterConfigure.connect(() => {
    expect(app.addPeriodicTask(10, add.s(2, 3))).toBe("shop.add(2, 3)");
    app.addPeriodicTask(crontab({ hour: 7 }), add.s(2, 3), { name: "mornings", expires: 10 });
  });
  await internalsOf(app).finalize();
  expect(warned).toEqual([]);
  app.addPeriodicTask(20, add.s(2, 3));
  expect(warned).toHaveLength(1);
  expect(entriesOf(app)).toMatchObject([
    { name: "shop.add(2, 3)", schedule: { every: 20 } },
    { name: "mornings", task: "shop.add", args: [2, 3], options: { expires: 10 } },
  ]);
});

test("a run is published once under its id, with its options and what its functions gave", async () => {
  let calls = 0;
  const app = makeApp({
    beatSchedule: {
      a: {
        task: "t",
        schedule: 1,
        args: [(): number => ++calls],
        kwargs: { at: () => "now" },
        options: { queue: "q", priority: 3 },
      },
    },
  });
  const inside = internalsOf(app);
  const run = { id: "the-id", key: "beat:the-id", keyMs: 60_000, claim: null };
  const [task] = inside.periodicTasks;
  for (let attempt = 0; attempt < 3; attempt += 1) await inside.sendPeriodic(task as never, run);
  await inside.sendPeriodic(task as never, { ...run, id: "other", key: "beat:other" });
  const transport = await inside.openTransport("worker");
  await transport.start(new AbortController().signal);
  expect(await transport.size("q")).toBe(2);
  await transport.stop();
});

test("a canvas runs too", async () => {
  const app = makeApp();
  const add = app.task("shop.add", (x: number, y: number) => x + y);
  app.addPeriodicTask(10, group([add.s(1, 2), add.s(3, 4)]) as never, { name: "both" });
  const inside = internalsOf(app);
  await inside.sendPeriodic(inside.periodicTasks[0] as never, {
    id: "g",
    key: "k",
    keyMs: 1000,
    claim: null,
  });
  const transport = await inside.openTransport("worker");
  await transport.start(new AbortController().signal);
  expect(await transport.size("celery")).toBe(2);
  await transport.stop();
});
