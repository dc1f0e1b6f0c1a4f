import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { AppCore } from "../../../src/app/core.ts";
import { internalsOf } from "../../../src/app/internals.ts";
import {
  type AsyncResult,
  Celery,
  chain,
  chord,
  type GroupResult,
  group,
  type RemoteError,
} from "../../../src/index.ts";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import { testApp } from "./support.ts";

/** A group of three that was sent, and its results as a worker stores them. */
async function setup() {
  const made = testApp({ resultBackend: `memory://${randomUUID()}` });
  const core = internalsOf(made.app) as AppCore;
  const add = made.app.task("add", (x: number, y: number) => x + y);
  const handle = await group([add.s(1, 1), add.s(2, 2), add.s(3, 3)]).delay();
  const worker = await core.openBackend();
  await worker.start(new AbortController().signal);
  const store = (index: number, status: string, result: unknown): Promise<void> => {
    const meta: ResultMeta = {
      taskId: handle.results[index]?.id ?? "",
      status,
      result,
      traceback: "trace",
      children: [],
      dateDone: "2026-01-01T00:00:00+00:00",
      extra: {},
    };
    return worker.store(worker.encode(meta), null);
  };
  return { ...made, add, handle: handle as unknown as GroupResult<number[]>, store };
}

const failure = { exc_type: "ValueError", exc_message: ["bad"], exc_module: "builtins" };

describe("a group's handle", () => {
  test("gives all results in the order of the members, whatever the order they come in", async () => {
    const { handle, store } = await setup();
    const all = handle.get({ timeout: 5 });
    for (const index of [2, 0, 1]) await store(index, "SUCCESS", index * 10);
    expect(await all).toEqual([0, 10, 20]);
    expect(await handle.status()).toEqual({ ready: true, state: "SUCCESS", result: [0, 10, 20] });
  });

  test("throws the first failure that arrives, though others are still open", async () => {
    const { handle, store } = await setup();
    const all = handle.get({ timeout: 5 });
    await store(2, "FAILURE", failure);
    await expect(all).rejects.toMatchObject({ type: "ValueError" } satisfies Partial<RemoteError>);
    expect(await handle.state()).toBe("FAILURE");
    expect(await handle.failed()).toBe(true);
    expect(await handle.ready()).toBe(false);
    expect(await handle.get({ propagate: false })).toMatchObject({ type: "ValueError" });
    expect(await handle.traceback()).toBe("trace");
  });

  test("counts, and says what it waits for", async () => {
    const { handle, store } = await setup();
    expect([await handle.completedCount(), await handle.waiting(), await handle.state()]).toEqual([
      0,
      true,
      "PENDING",
    ]);
    await store(1, "SUCCESS", 1);
    expect([await handle.completedCount(), await handle.waiting()]).toEqual([1, true]);
    await store(0, "SUCCESS", 1);
    await store(2, "FAILURE", failure);
    expect([await handle.completedCount(), await handle.waiting()]).toEqual([2, false]);
    expect(await handle.info()).toMatchObject({ type: "ValueError" });
  });

  test("can be read as results arrive", async () => {
    const { handle, store } = await setup();
    const seen: unknown[] = [];
    await store(1, "SUCCESS", "b");
    for await (const { index, id, value } of handle) {
      seen.push([index, id === handle.results[index]?.id, value]);
      if (seen.length === 1) await store(2, "SUCCESS", "c");
      if (seen.length === 2) await store(0, "SUCCESS", "a");
    }
    expect(seen).toEqual([
      [1, true, "b"],
      [2, true, "c"],
      [0, true, "a"],
    ]);
  });

  test("joins one after the other: a failure is thrown when those before it are over", async () => {
    const { handle, store } = await setup();
    await store(2, "FAILURE", failure);
    await store(1, "SUCCESS", "b");
    const early = handle.join({ timeout: 0.05 });
    await expect(early).rejects.toMatchObject({ code: "PET_TIMEOUT", message: /after 0\.05 s/u });
    const all = handle.join({ timeout: 5 }).catch((error: unknown) => error);
    const kept = handle.join({ timeout: 5, propagate: false });
    const seen: unknown[] = [];
    const told = handle.join({
      timeout: 5,
      propagate: false,
      callback: (id, value) => seen.push([id, value]),
    });
    await store(0, "SUCCESS", "a");
    expect(await all).toMatchObject({ type: "ValueError" });
    expect(await kept).toEqual(["a", "b", expect.objectContaining({ type: "ValueError" })]);
    expect(await told).toBeUndefined();
    const [a, b, c] = handle.results.map(({ id }) => id);
    expect(seen).toEqual([
      [a, "a"],
      [b, "b"],
      [c, expect.objectContaining({ type: "ValueError" })],
    ]);
  });

  test("joins natively: a failure is thrown when it arrives, a callback is called as they do", async () => {
    const { handle, store } = await setup();
    const all = handle.joinNative({ timeout: 5 });
    const ordered = handle.joinNative({ timeout: 5, propagate: false });
    await store(1, "FAILURE", failure);
    await expect(all).rejects.toMatchObject({ type: "ValueError" });
    const seen: unknown[] = [];
    const told = handle.joinNative({
      timeout: 5,
      propagate: false,
      callback: async (id) => {
        seen.push(handle.results.findIndex((one) => one.id === id));
        if (seen.length === 1) await store(2, "SUCCESS", "c");
        if (seen.length === 2) await store(0, "SUCCESS", "a");
      },
    });
    expect(await told).toBeUndefined();
    expect(seen).toEqual([1, 2, 0]);
    expect(await ordered).toEqual(["a", expect.objectContaining({ type: "ValueError" }), "c"]);
    expect(await handle.failed()).toBe(true);
  });

  test("what a callback throws ends the join, and its waits", async () => {
    const { handle, store } = await setup();
    await store(0, "SUCCESS", "a");
    const callback = (): void => {
      throw new Error("no more");
    };
    await expect(handle.join({ callback })).rejects.toThrow("no more");
    await expect(handle.joinNative({ callback })).rejects.toThrow("no more");
  });

  test("ends all waits with a timeout, and with a signal", async () => {
    const { handle } = await setup();
    await expect(handle.get({ timeout: 0.01 })).rejects.toMatchObject({ code: "PET_TIMEOUT" });
    const abort = new AbortController();
    const waiting = handle.get({ signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });

  test("can be saved, restored and forgotten", async () => {
    const { app, handle, store } = await setup();
    await handle.save();
    const restored = await app.restoreGroup<number[]>(handle.id);
    expect(restored?.results.map(({ id }) => id)).toEqual(handle.results.map(({ id }) => id));
    for (const index of [0, 1, 2]) await store(index, "SUCCESS", index);
    expect(await restored?.get({ timeout: 5 })).toEqual([0, 1, 2]);
    await restored?.forget();
    expect(await app.restoreGroup(handle.id)).toBeNull();
    expect(await handle.completedCount()).toBe(0);
    expect(await app.restoreGroup("nothing")).toBeNull();
  });

  test("collects its members", async () => {
    const { handle, store } = await setup();
    for (const index of [0, 1, 2]) await store(index, "SUCCESS", index);
    const values: unknown[] = [];
    for await (const [, value] of handle.collect({ timeout: 5 })) values.push(value);
    expect(values).toHaveLength(4);
    expect(values).toContainEqual([0, 1, 2]);
  });
});

describe("a set of results", () => {
  test("has each result once, and what is removed no more", async () => {
    const { app, handle } = await setup();
    const [a, b, c] = handle.results as [AsyncResult<number>, AsyncResult<number>, AsyncResult<number>];
    const set = app.resultSet([a, b]);
    set.add(a);
    set.update([b, c, app.asyncResult<number>(c.id)]);
    expect(set.results).toEqual([a, b, c]);
    expect(set.results[2]).toBe(c);
    set.remove(b);
    expect(() => set.remove(b)).toThrow(RangeError);
    set.discard(b);
    set.discard(c.id);
    expect(set.results).toEqual([a]);
    set.clear();
    expect(set.results).toEqual([]);
    expect(await set.get()).toEqual([]);
    expect([await set.ready(), await set.successful(), await set.failed(), await set.waiting()]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  test("waits for results of whatever calls, groups too", async () => {
    const { app, add, handle, store } = await setup();
    const set = app.resultSet<number | number[]>([await add.delay(1, 1), handle]);
    const [one] = set.results;
    set.discard(one?.id ?? "");
    for (const index of [0, 1, 2]) await store(index, "SUCCESS", index);
    expect(await set.get({ timeout: 5 })).toEqual([[0, 1, 2]]);
    expect(await set.join({ timeout: 5 })).toEqual([[0, 1, 2]]);
    expect([await set.completedCount(), await set.successful()]).toEqual([1, true]);
    const seen: unknown[] = [];
    for await (const { index, id, value } of set) seen.push([index, id, value]);
    expect(seen).toEqual([[0, handle.id, [0, 1, 2]]]);
    await set.forget();
    expect(await set.waiting()).toBe(true);
  });

  test("a failure is its failure, the timeout is that of all together", async () => {
    const { app, handle, store } = await setup();
    const set = app.resultSet(handle.results);
    await expect(set.get({ timeout: 0.02 })).rejects.toMatchObject({ message: /after 0\.02 s/u });
    await store(1, "FAILURE", failure);
    expect([await set.failed(), await set.ready(), await set.waiting()]).toEqual([true, false, true]);
    await expect(set.get()).rejects.toMatchObject({ type: "ValueError" });
  });
});

test("a chain's handle knows those before it", async () => {
  const { add } = await setup();
  const result = await chain(add.s(1, 1), group([add.s(1), add.s(2)]), add.si(1, 1)).delay();
  const header = result.parent as GroupResult<number[]>;
  const [one, two] = header.results.map(({ id }) => id);
  expect(header.parent?.parent).toBeNull();
  expect(JSON.parse(JSON.stringify(result))).toEqual([
    [
      result.id,
      [
        [header.id, [[header.parent?.id, null], null]],
        [
          [[one, null], null],
          [[two, null], null],
        ],
      ],
    ],
    null,
  ]);
});

test("a chord without a backend is refused before anything is sent", async () => {
  const { app, transport } = testApp();
  const add = app.task("add", (x: number, y: number) => x + y);
  const sum = app.task("sum", (all: number[]) => all.length);
  const sent = chord([add.s(1, 2), add.s(1, 2)], sum.s()).delay();
  await expect(sent).rejects.toMatchObject({ code: "PET_BACKEND_DISABLED" });
  expect(transport.sent).toHaveLength(0);
});

describe("eager mode", () => {
  function eager() {
    const app = new Celery("t", { taskAlwaysEager: true });
    const add = app.task("add", (x: number, y: number) => x + y);
    const total = app.task("total", (all: number[]) => all.reduce((sum, one) => sum + one, 0));
    const fail = app.task("fail", (n: number): number => {
      throw new RangeError(String(n));
    });
    return { app, add, total, fail };
  }

  test("runs chains, groups and chords here", async () => {
    const { add, total } = eager();
    expect(await (await chain(add.s(1, 2), add.s(3)).delay()).get()).toBe(6);
    expect(await (await group([add.s(1), add.s(2)]).delay(10)).get()).toEqual([11, 12]);
    expect(await (await chord([add.s(1, 1), add.s(2, 2)], total.s()).delay()).get()).toBe(6);
    const mixed = chain(add.s(1, 1), group([add.s(1), add.s(2)]), total.s(), add.s(100));
    expect(await (await mixed.apply([])).get()).toBe(107);
    expect(
      await (
        await add
          .starmap([
            [1, 2],
            [3, 4],
          ])
          .delay()
      ).get(),
    ).toEqual([3, 7]);
    expect(
      await (
        await add
          .chunks(
            [
              [1, 2],
              [3, 4],
              [5, 6],
            ],
            2,
          )
          .delay()
      ).get(),
    ).toEqual([[3, 7], [11]]);
  });

  test("a group of one is its member at the end of a chain, and a group on its own", async () => {
    const { add } = eager();
    expect(await (await chain(add.s(1, 2), group([add.s(3)])).delay()).get()).toBe(6);
    expect(await (await group([add.s(1, 2)]).delay()).get()).toEqual([3]);
  });

  test("a failure ends a chain, and is its result", async () => {
    const { add, fail } = eager();
    const result = await chain(add.s(1, 2), fail.s(), add.s(1)).delay();
    expect(await result.status()).toMatchObject({ state: "FAILURE", error: { type: "ValueError" } });
  });

  test("what is not known here is said before anything runs", async () => {
    const { app, add } = eager();
    const ran: number[] = [];
    const note = app.task("note", (n: number) => ran.push(n));
    const elsewhere = app.remote<(n: number) => number>("elsewhere");
    await expect(chain(add.s(1, 2), note.s(), elsewhere.s()).delay()).rejects.toMatchObject({
      code: "PET_TASK_NOT_REGISTERED",
    });
    expect(ran).toEqual([]);
  });
});
