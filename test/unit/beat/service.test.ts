/** The scheduler on a clock that the test moves: what it sends, and under which ids. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { crontab } from "../../../src/index.ts";
import { FileScheduleStore } from "../../../src/schedules/stores/file.ts";
import { MemoryScheduleStore } from "../../../src/schedules/stores/memory.ts";
import type { ScheduleStore } from "../../../src/schedules/stores/store.ts";
import { away, BeatRig, HOUR, SECOND, START } from "../../support/beat-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { seed } from "../../support/seed.ts";

let rig: BeatRig;
beforeEach(() => {
  rig = new BeatRig();
});
afterEach(() => rig.end());

test("an interval keeps to its grid for hours of a second each, and its first run is a whole interval away", async () => {
  const service = await rig.beat({ tick: { task: "tick", schedule: 1 } });
  await rig.advance(4 * HOUR, HOUR);
  expect(rig.seconds).toHaveLength(14_400);
  expect([rig.seconds[0], rig.seconds.at(-1)]).toEqual([1, 14_400]);
  expect(new Set(rig.sent.map(({ id }) => id)).size).toBe(14_400);
  expect(service.scheduler.entries.get("tick")?.totalRunCount).toBe(14_400);
});

test("a crontab runs at its minutes, in the zone of the settings", async () => {
  await rig.beat(
    { daily: { task: "t", schedule: crontab({ minute: 30, hour: 2 }) } },
    { settings: { timezone: "Europe/Rome" } },
  );
  rig.clock.advance(3 * 24 * HOUR);
  expect(rig.sent.map(({ atMs }) => new Date(atMs).toISOString())).toEqual([
    "2026-01-01T01:30:00.000Z",
    "2026-01-02T01:30:00.000Z",
    "2026-01-03T01:30:00.000Z",
  ]);
});

test("ids are of the app, the entry and the slot", async () => {
  await rig.beat({ a: { task: "t", schedule: 60 }, b: { task: "t", schedule: 60 } });
  rig.clock.advance(120 * SECOND);
  const other = new BeatRig();
  await other.beat({ a: { task: "other", schedule: 60 } });
  other.clock.advance(120 * SECOND);
  await other.end();
  expect(new Set(rig.sent.map(({ id }) => id)).size).toBe(4);
  expect(rig.sent.filter(({ entry }) => entry === "a").map(({ id }) => id)).toEqual(
    other.sent.map(({ id }) => id),
  );
  expect(rig.sent[0]?.id).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
});

describe("while the broker is away", () => {
  test("a run is tried again under its id, until it is there", async () => {
    await rig.beat({ a: { task: "t", schedule: 60 } });
    rig.broker = away;
    await rig.advance(70 * SECOND);
    rig.broker = () => {};
    await rig.advance(40 * SECOND);
    expect(rig.attempts.length).toBeGreaterThan(3);
    expect(new Set(rig.attempts.map(({ id }) => id)).size).toBe(1);
    expect(rig.sent).toHaveLength(1);
    expect(rig.log).toContain("beat: Connection error, trying again");
  });

  test("it is given up when the next slot comes, and that is said", async () => {
    const service = await rig.beat({ a: { task: "t", schedule: 10 } });
    rig.broker = away;
    await rig.advance(35 * SECOND);
    rig.broker = () => {};
    await rig.advance(10 * SECOND);
    expect(new Set(rig.attempts.map(({ id }) => id)).size).toBe(4);
    expect(rig.log.filter((one) => one.includes("it is given up"))).toHaveLength(2);
    expect(new Set(rig.sent.map(({ id }) => id)).size).toBe(2);
    expect(service.scheduler.entries.get("a")?.totalRunCount).toBe(4);
  });

  test("what was not sent before the end is sent by the next start, with its id", async () => {
    const store = new MemoryScheduleStore();
    const first = await rig.beat({ a: { task: "t", schedule: 60 } }, { store });
    rig.broker = away;
    await rig.advance(61 * SECOND);
    await first.stop();
    expect(rig.sent).toEqual([]);
    expect(rig.log.some((one) => one.includes("whoever leads next sends it"))).toBe(true);
    rig.broker = () => {};
    await rig.beat({ a: { task: "t", schedule: 60 } }, { store });
    await rig.advance(SECOND);
    expect(rig.sent.map(({ id }) => id)).toEqual([rig.attempts[0]?.id]);
  });

  test("an error that no attempt mends is told once", async () => {
    await rig.beat({ a: { task: "t", schedule: 60 } });
    rig.broker = () => {
      throw new TypeError("no such argument");
    };
    await rig.advance(90 * SECOND);
    expect(rig.attempts).toHaveLength(1);
    expect(rig.log).toContain("beat: a due task cannot be sent");
  });
});

describe("the wall clock jumps", () => {
  const schedule = { a: { task: "t", schedule: 10 }, b: { task: "t", schedule: crontab() } };

  test.each([HOUR, 72 * HOUR])("forward by %d ms: of the missed runs the latest", async (jump) => {
    await rig.beat({ a: schedule.a });
    await rig.advance(30 * SECOND);
    rig.clock.jump(jump + 5 * SECOND);
    await rig.advance(30 * SECOND);
    expect(rig.sent).toHaveLength(3 + 3);
    expect(rig.log.filter((one) => one.includes("went forward"))).toHaveLength(1);
  });

  test.each([HOUR, 72 * HOUR])("back by %d ms: no slot runs twice", async (jump) => {
    await rig.beat(schedule);
    await rig.advance(150 * SECOND);
    const before = rig.sent.length;
    rig.clock.jump(-jump);
    await rig.advance(10 * SECOND);
    expect(rig.sent).toHaveLength(before);
    rig.clock.advance(jump + 60 * SECOND);
    const ids = rig.sent.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(rig.sent.length).toBeGreaterThan(before);
    expect(rig.log.filter((one) => one.includes("went back"))).toHaveLength(1);
  });
});

test("a crontab run that was missed by more than the deadline is skipped, and that is said", async () => {
  const store = new MemoryScheduleStore();
  const entries = { a: { task: "t", schedule: crontab({ minute: 0 }) } };
  const settings = { beatCronStartingDeadline: 120 };
  const first = await rig.beat(entries, { store, settings });
  await first.stop();
  rig.clock.advance(HOUR + 121 * SECOND);
  await rig.beat(entries, { store, settings });
  expect(rig.sent).toEqual([]);
  expect(rig.log).toContain("a run is skipped: it is past beatCronStartingDeadline");
  rig.clock.advance(HOUR);
  expect(rig.sent).toHaveLength(1);
});

test("beats on one file: one leads, another takes over when it ends, and no run is lost or repeated", async () => {
  const dir = mkdtempSync(join(tmpdir(), "petiole-beat-"));
  try {
    const { clock, logger } = rig;
    const store = (): ScheduleStore => new FileScheduleStore({ path: join(dir, "schedule"), clock, logger });
    const entries = { a: { task: "t", schedule: 10 } };
    const first = await rig.beat(entries, { store: store() });
    const second = await rig.beat(entries, { store: store() });
    expect([first.leading, second.leading]).toEqual([true, false]);
    await rig.advance(25 * SECOND);
    await first.stop();
    await eventually("the second leads", async () => {
      await rig.advance(SECOND);
      return second.leading;
    });
    const tookOver = clock.now();
    const count = rig.sent.length;
    // It saves to the disk before it sends.
    await eventually("the second sends", async () => {
      await rig.advance(SECOND);
      return rig.sent.length >= count + 2;
    });
    const slots = rig.sent.map(({ atMs }) => Math.floor((atMs - START) / (10 * SECOND)));
    expect(new Set(slots).size).toBe(slots.length);
    expect(slots.at(-1)).toBe(Math.floor((clock.now() - START) / (10 * SECOND)));
    expect(tookOver - START).toBeGreaterThan(25 * SECOND);
    expect(rig.log).toContain("this beat leads now");
  } finally {
    await rig.end();
    rmSync(dir, { recursive: true, force: true });
  }
});

test("whatever happens to clock, broker and process: no slot is sent twice, and none of those after the last outage is missing", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 100, max: 90_000 }) }),
    fc.record({ kind: fc.constant("jump" as const), ms: fc.integer({ min: -3 * HOUR, max: 3 * HOUR }) }),
    fc.record({ kind: fc.constant("broker" as const), ms: fc.constantFrom(0, 1) }),
    fc.record({ kind: fc.constant("restart" as const), ms: fc.constant(0) }),
  );
  const entries = { a: { task: "t", schedule: 7 }, b: { task: "t", schedule: crontab({ minute: "*/2" }) } };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const one = new BeatRig();
      const store = new MemoryScheduleStore();
      let service = await one.beat(entries, { store });
      for (const { kind, ms } of steps) {
        if (kind === "pass") await one.advance(ms, 5000);
        else if (kind === "jump") one.clock.jump(ms);
        else if (kind === "broker") one.broker = ms === 0 ? away : () => {};
        else {
          await service.stop();
          service = await one.beat(entries, { store });
        }
      }
      one.broker = () => {};
      await one.advance(4 * 60 * SECOND, 5000);
      await one.end();
      const ids = one.sent.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
    }),
    { seed, numRuns: 60 },
  );
});

test("a store that cannot be given back is closed, and that is said; no rejection is left unheard", async () => {
  let [ours, closed] = [true, false];
  class Stuck extends MemoryScheduleStore {
    override save(): Promise<boolean> {
      return Promise.resolve(ours);
    }
    override release(): Promise<void> {
      return Promise.reject(new Error("the disk is full"));
    }
    override async close(): Promise<void> {
      closed = true;
    }
  }
  const service = await rig.beat({ a: { task: "t", schedule: 1 } }, { store: new Stuck() });
  ours = false;
  await rig.advance(3 * SECOND);
  expect(rig.log).toContain("this beat leads no more: it stands by");
  await service.stop();
  expect(closed).toBe(true);
  expect(rig.log).toContain("the schedule could not be given back");
});
