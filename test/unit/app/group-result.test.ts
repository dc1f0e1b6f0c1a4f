import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { AppCore } from "../../../src/app/core.ts";
import { internalsOf } from "../../../src/app/internals.ts";
import { Celery, chain, chord, type GroupResult, group, type RemoteError } from "../../../src/index.ts";
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
