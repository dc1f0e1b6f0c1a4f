/** What every store of schedules keeps to (`src/schedules/stores/store.ts`). */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { PeriodicTask } from "../../src/app/periodic.ts";
import { PLAIN_POLICY } from "../../src/schedules/policy.ts";
import type { ScheduleStore, StoredRuns } from "../../src/schedules/stores/store.ts";

export interface ScheduleRig {
  /** A further store of the same schedule, of another holder. */
  open(): ScheduleStore;
  /** Nothing is kept any more. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

export interface ScheduleTraits {
  /** Another holder is kept out. */
  readonly exclusive: boolean;
  /** Found again by a further store. */
  readonly durable: boolean;
}

const NAMES = ["a", "__proto__", "häufig 🍃", "with a\0NUL"];
const AT_MS = 1_764_500_000_000;

function tasks(names: readonly string[]): readonly PeriodicTask[] {
  return names.map((name) => ({
    name,
    task: "shop.tick",
    schedule: { type: "interval", every: 1, relative: false },
    policy: PLAIN_POLICY,
    args: [],
    kwargs: {},
    options: {},
    signature: null,
  })) as unknown as readonly PeriodicTask[];
}

export function scheduleConformance(
  name: string,
  traits: ScheduleTraits,
  start: () => Promise<ScheduleRig>,
): void {
  describe(`schedule conformance: ${name}`, () => {
    let rig: ScheduleRig;
    const opened: ScheduleStore[] = [];
    beforeAll(async () => {
      rig = await start();
    });
    afterEach(async () => {
      for (const store of opened.splice(0)) {
        await store.release();
        await store.close();
      }
      await rig.clear();
    });
    afterAll(() => rig.stop());

    function open(): ScheduleStore {
      const store = rig.open();
      store.follow(() => {});
      opened.push(store);
      return store;
    }
    const names = (list: readonly string[]): ReturnType<typeof tasks> => tasks(list);

    test("nothing is stored at first, and what was saved is there again, in place of what was", async () => {
      const store = open();
      expect(store.location).not.toBe("");
      expect(await store.take()).toBeNull();
      const first = await store.load(names(NAMES), AT_MS);
      expect(first.tasks.map((one) => one.name).toSorted()).toEqual(NAMES.toSorted());
      for (const [entry, { totalRunCount }] of first.runs) expect([entry, totalRunCount]).toEqual([entry, 0]);
      const runs = (add: number): StoredRuns =>
        new Map(
          NAMES.map((one, at) => [one, { lastRunAtMs: AT_MS + at * 1000 + add, totalRunCount: at + add }]),
        );
      expect(await store.save(runs(0))).toBe(true);
      expect(await store.save(runs(7))).toBe(true);
      expect((await store.load(names(NAMES), AT_MS)).runs).toEqual(runs(7));
      if (!traits.durable) return;
      await store.release();
      await store.close();
      const next = open();
      expect(await next.take()).toBeNull();
      expect((await next.load(names(NAMES), AT_MS)).runs).toEqual(runs(7));
    });

    test.runIf(traits.exclusive)(
      "one has it; another has it afterwards, and the first saves nothing more",
      async () => {
        const [first, second] = [open(), open()];
        expect(await first.take()).toBeNull();
        expect(await second.take()).toMatch(/\w/);
        expect(await second.renew()).toBe(false);
        await first.load(names(["a"]), AT_MS);
        const saved: StoredRuns = new Map([["a", { lastRunAtMs: AT_MS + 5000, totalRunCount: 5 }]]);
        expect(await first.save(saved)).toBe(true);
        await first.release();
        expect(await second.take()).toBeNull();
        expect([await first.renew(), await second.renew()]).toEqual([false, true]);
        expect((await second.load(names(["a"]), AT_MS)).runs).toEqual(saved);
        const late: StoredRuns = new Map([["a", { lastRunAtMs: AT_MS + 9000, totalRunCount: 9 }]]);
        expect(await first.save(late)).toBe(false);
        expect((await second.load(names(["a"]), AT_MS)).runs).toEqual(saved);
      },
    );

    test("of what has not the store, release and close end nothing and say nothing", async () => {
      const [first, second] = [open(), open()];
      expect(await first.take()).toBeNull();
      await second.release();
      await second.close();
      expect(await first.renew()).toBe(true);
    });
  });
}
