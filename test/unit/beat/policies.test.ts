/** What an entry's options do: when it begins and ends, what becomes of runs that were missed, or that overlap. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { Beat } from "../../../src/beat/index.ts";
import { Scheduler } from "../../../src/beat/scheduler.ts";
import { type BeatEntry, Celery, clocked, cron, crontab, group, schedule } from "../../../src/index.ts";
import { MemoryScheduleStore } from "../../../src/schedules/stores/memory.ts";
import { away, BeatRig, HOUR, SECOND, START } from "../../support/beat-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { seed } from "../../support/seed.ts";

let rig: BeatRig;
beforeEach(() => {
  rig = new BeatRig();
});
afterEach(() => rig.end());

/** Seconds after the start. */
const at = (seconds: number): Date => new Date(START + seconds * SECOND);
const ids = (): number => new Set(rig.sent.map(({ id }) => id)).size;

/** Stops, lets time pass, starts anew with what was kept. */
async function pause(entries: Readonly<Record<string, BeatEntry>>, seconds: number): Promise<void> {
  const store = new MemoryScheduleStore();
  const first = await rig.beat(entries, { store });
  await rig.advance(25 * SECOND);
  await first.stop();
  rig.clock.advance(seconds * SECOND);
  rig.sent.length = 0;
  await rig.beat(entries, { store });
  await rig.advance(SECOND);
}

describe("runs that were missed", () => {
  test("once, as if nothing is said: the latest of them", async () => {
    await pause({ a: { task: "t", schedule: 10 } }, 60);
    expect(rig.sent).toHaveLength(1);
  });

  test("all: each, in order, with the ids that they would have had", async () => {
    await pause({ a: { task: "t", schedule: 10, catchUp: "all" } }, 60);
    const late = rig.sent.map(({ id }) => id);
    const punctual = new BeatRig();
    await punctual.beat({ a: { task: "t", schedule: 10 } });
    await punctual.advance(80 * SECOND);
    await punctual.end();
    expect(late).toEqual(punctual.sent.slice(2).map(({ id }) => id));
  });

  test("skip: none, and that is said; the next one is sent", async () => {
    await pause({ a: { task: "t", schedule: 60, catchUp: "skip" } }, 60);
    expect(rig.sent).toEqual([]);
    expect(rig.log).toContain("a run is skipped: it was missed, and its entry catches up with none");
    await rig.advance(40 * SECOND);
    expect(rig.sent).toHaveLength(1);
  });

  test("skip: one that is a few seconds late was not missed", async () => {
    await pause({ a: { task: "t", schedule: 30, catchUp: "skip" } }, 9);
    expect(rig.sent).toHaveLength(1);
  });

  test("all: while the broker is away none is given up, and the next ones wait", async () => {
    await rig.beat({ a: { task: "t", schedule: 2, catchUp: "all" } });
    rig.broker = away;
    await rig.advance(61 * SECOND);
    expect(new Set(rig.attempts.map(({ id }) => id)).size).toBe(1);
    rig.broker = () => {};
    await rig.advance(20 * SECOND);
    expect(rig.sent).toHaveLength(40);
    expect(ids()).toBe(40);
    expect(rig.log.some((one) => one.includes("given up"))).toBe(false);
  });

  test.each([
    ["skip", HOUR, 0],
    ["once", HOUR, 1],
    ["all", HOUR, 59],
    ["skip", 72 * HOUR, 0],
    ["once", 72 * HOUR, 1],
    ["all", 72 * HOUR, 72 * 60 - 1],
  ] as const)(
    "%s, and the clock goes forward by %d ms and back again: nothing twice",
    async (catchUp, jump, missed) => {
      await rig.beat({ a: { task: "t", schedule: 60, catchUp } });
      await rig.advance(70 * SECOND);
      rig.clock.jump(jump - 30 * SECOND);
      await rig.advance(10 * SECOND);
      await eventually("what was missed is sent", async () => {
        await rig.advance(1);
        return rig.sent.length >= 1 + missed;
      });
      expect(rig.sent).toHaveLength(1 + missed);
      rig.clock.jump(-jump);
      await rig.advance(60 * SECOND, 5 * SECOND);
      expect(rig.sent).toHaveLength(1 + missed);
      rig.clock.advance(jump + 60 * SECOND);
      await rig.advance(60 * SECOND, 5 * SECOND);
      expect(rig.sent.length).toBeGreaterThan(1 + missed);
      expect(ids()).toBe(rig.sent.length);
    },
  );
});

describe("beginning and end", () => {
  test("an interval begins at its start time, and keeps to it", async () => {
    await rig.beat({ a: { task: "t", schedule: 10, startTime: at(33) } });
    await rig.advance(60 * SECOND);
    expect(rig.seconds).toEqual([33, 43, 53]);
  });

  test("a start time that has passed anchors the interval, and what was missed since is caught up with", async () => {
    const entry = { task: "t", schedule: 10, startTime: at(-33) } as const;
    await rig.beat({
      once: entry,
      all: { ...entry, catchUp: "all" },
      skip: { ...entry, catchUp: "skip" },
    });
    await rig.advance(10 * SECOND);
    const of = (name: string): number[] =>
      rig.sent
        .filter(({ entry: one }) => one === name)
        .map(({ atMs }) => Math.floor((atMs - START) / SECOND));
    expect(of("once")).toEqual([0, 7]);
    expect(of("all")).toEqual([0, 0, 0, 0, 7]);
    expect(of("skip")).toEqual([0, 7]);
  });

  test("a crontab begins with its first match from the start time on", async () => {
    await rig.beat({ a: { task: "t", schedule: crontab(), startTime: at(180) } });
    await rig.advance(250 * SECOND, 1000);
    expect(rig.seconds).toEqual([180, 240]);
  });

  test("after its end time nothing is sent, nor made up for", async () => {
    await rig.beat({ a: { task: "t", schedule: 10, endTime: at(35), catchUp: "all" } });
    await rig.advance(60 * SECOND);
    expect(rig.seconds).toEqual([10, 20, 30]);
    const timers = rig.clock.timersSet;
    await rig.advance(60 * SECOND);
    expect(rig.clock.timersSet - timers).toBeLessThan(20);
    rig.sent.length = 0;
    await pause({ b: { task: "t", schedule: 20, endTime: at(150), catchUp: "all" } }, 60);
    expect(rig.sent).toEqual([]);
  });

  test("a one-off runs once, also after a restart, and is not given up", async () => {
    const store = new MemoryScheduleStore();
    const entries = { a: { task: "t", schedule: 10, oneOff: true } };
    const first = await rig.beat(entries, { store });
    rig.broker = away;
    await rig.advance(35 * SECOND);
    rig.broker = () => {};
    await rig.advance(30 * SECOND);
    expect([ids(), rig.sent.length]).toEqual([1, 1]);
    await first.stop();
    await rig.beat(entries, { store });
    await rig.advance(60 * SECOND);
    expect(rig.sent).toHaveLength(1);
  });

  test("a one-off that was not sent before the end is sent by the next start, though others were saved", async () => {
    const store = new MemoryScheduleStore();
    const entries = { a: { task: "t", schedule: 10, oneOff: true }, b: { task: "t", schedule: 1 } };
    const first = await rig.beat(entries, { store });
    await rig.advance(9 * SECOND);
    rig.broker = away;
    await rig.advance(4 * SECOND);
    await first.stop();
    rig.broker = () => {};
    await rig.beat(entries, { store });
    await rig.advance(SECOND);
    expect(rig.sent.filter(({ entry }) => entry === "a")).toHaveLength(1);
  });

  test("clocked: at its time, once; one that has passed is made up for, unless it is not to be", async () => {
    const store = new MemoryScheduleStore();
    const entries: Record<string, BeatEntry> = {
      later: { task: "t", schedule: clocked(at(20)) },
      before: { task: "t", schedule: clocked(at(-HOUR)) },
      gone: { task: "t", schedule: clocked(at(-HOUR)), catchUp: "skip" },
    };
    const first = await rig.beat(entries, { store });
    await rig.advance(30 * SECOND);
    await first.stop();
    await rig.beat(entries, { store });
    await rig.advance(30 * SECOND);
    expect(rig.sent.map(({ entry, atMs }) => [entry, (atMs - START) / SECOND])).toEqual([
      ["before", 0],
      ["later", 20],
    ]);
  });

  test("a cron expression is sent at its minutes", async () => {
    await rig.beat({ a: { task: "t", schedule: cron("*/2 * * * *") } });
    await rig.advance(250 * SECOND, 1000);
    expect(rig.seconds).toEqual([120, 240]);
  });
});

test("24 hours of a second each, looked at a little late each time: every slot is on the grid to the ms", () => {
  const app = new Celery("shop", { beatSchedule: { a: { task: "t", schedule: 1 } } });
  const scheduler = new Scheduler({ zone: "UTC", deadlineMs: null });
  scheduler.begin(internalsOf(app).periodicTasks, new Map(), START);
  const slots: number[] = [];
  for (let look = 0; look < 86_400; look += 1) {
    const nowMs = (scheduler.nextMs() ?? 0) + (look % 9);
    for (const { slotMs } of scheduler.takeDue(nowMs)) slots.push(slotMs);
  }
  const astray = slots.filter((slotMs, index) => slotMs !== START + (index + 1) * SECOND);
  expect([slots.length, astray]).toEqual([86_400, []]);
});

test("jitter: each run is up to so much later, before the next one, the same for every scheduler; ids stay", async () => {
  const entries = (jitter: number): Record<string, BeatEntry> => ({ a: { task: "t", schedule: 10, jitter } });
  const [other, plain, wide] = [new BeatRig(), new BeatRig(), new BeatRig()];
  await rig.beat(entries(4));
  await other.beat(entries(4));
  await plain.beat(entries(0));
  await wide.beat(entries(1000));
  for (const one of [rig, other, plain, wide]) await one.advance(1009 * SECOND);
  const delays = rig.seconds.map((second, index) => second - 10 * (index + 1));
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...delays)).toBeLessThan(4);
  expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(3);
  expect(other.sent).toEqual(rig.sent);
  expect(rig.sent.slice(0, 99).map(({ id }) => id)).toEqual(plain.sent.slice(0, 99).map(({ id }) => id));
  expect(wide.seconds.map((second) => Math.floor(second / 10)).slice(0, 99)).toEqual(
    plain.seconds.slice(0, 99).map((second) => second / 10),
  );
  await Promise.all([other.end(), plain.end(), wide.end()]);
});

test("nowfun: the schedule goes by it, and by the clock when it fails", async () => {
  let shiftMs = 20 * SECOND;
  const nowfun = (): Date => {
    if (Number.isNaN(shiftMs)) throw new Error("no time");
    return new Date(rig.clock.now() + shiftMs);
  };
  await rig.beat({
    a: { task: "t", schedule: crontab({ nowfun }) },
    b: { task: "t", schedule: schedule(7, { nowfun }) },
  });
  await rig.advance(50 * SECOND);
  expect(rig.sent.filter(({ entry }) => entry === "a").map(({ atMs }) => (atMs - START) / SECOND)).toEqual([
    40,
  ]);
  expect(rig.sent.filter(({ entry }) => entry === "b")).toHaveLength(7);
  shiftMs = Number.NaN;
  await rig.advance(200 * SECOND);
  expect(rig.sent.filter(({ entry }) => entry === "a").length).toBeGreaterThan(2);
  expect(ids()).toBe(rig.sent.length);
});

describe("runs that would overlap", () => {
  const entries: Record<string, BeatEntry> = { a: { task: "t", schedule: 10, overlap: "skip" } };

  test("a run is skipped while the last one that was sent has not ended, and that is said", async () => {
    await rig.beat(entries);
    await rig.advance(11 * SECOND);
    const [first] = rig.sent;
    rig.running.add(first?.id ?? "");
    await rig.advance(30 * SECOND);
    expect(rig.sent).toHaveLength(1);
    expect(rig.log.filter((one) => one.includes("the one before has not ended"))).toHaveLength(3);
    rig.running.clear();
    await rig.advance(10 * SECOND);
    expect(rig.seconds).toEqual([10, 50]);
  });

  test("also by the next scheduler", async () => {
    const store = new MemoryScheduleStore();
    const first = await rig.beat(entries, { store });
    await rig.advance(11 * SECOND);
    rig.running.add(rig.sent[0]?.id ?? "");
    await rig.advance(10 * SECOND);
    await first.stop();
    await rig.beat(entries, { store });
    await rig.advance(20 * SECOND);
    expect(rig.sent).toHaveLength(1);
    rig.running.clear();
    await rig.advance(10 * SECOND);
    expect(rig.sent).toHaveLength(2);
  });

  test("a run that was given up is none whose end is waited for, and one whose result is kept no more was lost", async () => {
    await rig.beat(entries, { settings: { resultExpires: 60 } });
    rig.broker = away;
    await rig.advance(25 * SECOND);
    rig.broker = () => {};
    await rig.advance(10 * SECOND);
    const count = rig.sent.length;
    const last = rig.sent.at(-1);
    rig.running.add(last?.id ?? "");
    await rig.advance(100 * SECOND);
    const lastsMs = (rig.sent[count]?.atMs ?? 0) - (last?.atMs ?? 0);
    expect([count > 0, lastsMs > 60 * SECOND, lastsMs < 80 * SECOND]).toEqual([true, true, true]);
  });

  test.each([
    [
      "an app without results",
      {},
      (app: Celery) => app.task("t", () => 1).s(),
      /the app has no result backend/,
    ],
    [
      "a task that stores none",
      { resultBackend: "memory://" },
      (app: Celery) => app.task("t", { ignoreResult: true }, () => 1).s(),
      /t stores none \(ignoreResult\): set ignoreResult: false/,
    ],
    [
      "a group",
      { resultBackend: "memory://" },
      (app: Celery) => group([app.task("t", () => 1).s()]),
      /a group has several: let a task of its own send it/,
    ],
  ] as const)(
    "%s cannot say when a run has ended, and is refused at the start",
    async (_what, options, make, message) => {
      const app = new Celery("shop", { brokerUrl: "memory://policies", ...options });
      app.addPeriodicTask(10, make(app), { name: "a", overlap: "skip" });
      await expect(new Beat(app, { scheduler: "memory" }).start()).rejects.toThrow(message);
      await app.close();
    },
  );
});

/**
 * How many runs an entry of 7 s has had when it catches up with all of them; of others what is sure. What was due when the clock was set
 * back may wait until it is there again.
 */
function bounds(
  { schedule: every, catchUp, jitter, startTime, endTime, oneOff }: BeatEntry,
  { nowMs, latestMs }: { nowMs: number; latestMs: number },
) {
  if (oneOff === true) return { lowest: 0, highest: 1 };
  if (every !== 7 || catchUp !== "all" || jitter !== 0 || endTime !== undefined) {
    return { lowest: 0, highest: Infinity };
  }
  const firstMs = startTime instanceof Date ? startTime.getTime() : START + 7000;
  const until = (ms: number): number => Math.max(0, Math.floor((ms - firstMs) / 7000) + 1);
  return { lowest: until(nowMs) - 1, highest: until(latestMs) };
}

test("whatever the options, and whatever happens to clock, broker and process: no slot is sent twice, and all sends all", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 100, max: 60_000 }) }),
    fc.record({ kind: fc.constant("jump" as const), ms: fc.integer({ min: -HOUR, max: HOUR }) }),
    fc.record({ kind: fc.constant("broker" as const), ms: fc.constantFrom(0, 1) }),
    fc.record({ kind: fc.constant("restart" as const), ms: fc.constant(0) }),
  );
  const entry = fc.record({
    task: fc.constant("t"),
    schedule: fc.constantFrom(7, 61, crontab(), cron("*/3 * * * *")),
    catchUp: fc.constantFrom("skip" as const, "once" as const, "all" as const),
    jitter: fc.constantFrom(0, 0, 3, 100),
    startTime: fc.constantFrom(undefined, undefined, at(-100), at(50)),
    endTime: fc.constantFrom(undefined, undefined, at(500)),
    oneOff: fc.constantFrom(false, false, true),
  });
  await fc.assert(
    fc.asyncProperty(entry, fc.array(step, { minLength: 1, maxLength: 10 }), async (one, steps) => {
      const own = new BeatRig();
      const store = new MemoryScheduleStore();
      let service = await own.beat({ a: one }, { store });
      let latest = own.clock.now();
      for (const { kind, ms } of steps) {
        if (kind === "pass") await own.advance(ms, 5000);
        else if (kind === "jump") own.clock.jump(ms);
        else if (kind === "broker") own.broker = ms === 0 ? away : () => {};
        else {
          await service.stop();
          service = await own.beat({ a: one }, { store });
        }
        latest = Math.max(latest, own.clock.now());
      }
      own.broker = () => {};
      for (let turn = 0; turn < 12; turn += 1) {
        await own.advance(30_000, 5000);
        for (let times = 0; times < 60; times += 1) await new Promise((resolve) => setImmediate(resolve));
      }
      latest = Math.max(latest, own.clock.now());
      await own.end();
      const sent = own.sent.map(({ id }) => id);
      expect(new Set(sent).size).toBe(sent.length);
      const { lowest, highest } = bounds(one, { nowMs: own.clock.now(), latestMs: latest });
      expect([sent.length >= lowest, sent.length <= highest, sent.length]).toEqual([true, true, sent.length]);
    }),
    { seed, numRuns: 60 },
  );
});
