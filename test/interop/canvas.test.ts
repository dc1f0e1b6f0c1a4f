/**
 * Links, errbacks and plain chains that cross the languages: the queue `py` is served by Python only, `ts` by Petiole
 * only, so that each step's language is known.
 */
import type { Celery } from "petiole";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { PythonClient } from "../support/python.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
let python: PythonClient;
let app: Celery;

beforeAll(async () => {
  fleet = await startFleet({ config: { task_default_queue: "ts" } });
  ({ python, app } = fleet);
  await Promise.all([
    fleet.worker({ hostname: "ts@test", queues: ["ts"], concurrency: 4 }),
    fleet.pythonWorker({ name: "py@test", queues: ["py"], concurrency: 4 }),
  ]);
});

afterAll(() => fleet?.stop());

const add = () => app.remote<(x: number, y: number) => number>("demo.add");
const record = () => app.remote<(key: string, value: unknown) => unknown>("demo.record");
const seenSoon = (key: string, count = 1): Promise<unknown[]> =>
  eventually(`${count} entries of ${key}`, async () => {
    const seen = await fleet.seen(key);
    return seen.length >= count && seen;
  });

describe("chains", () => {
  test("a chain written in Python goes Node, Python, Node", async () => {
    const value = await python.value(`
      steps = chain(
          whoami.s("a").set(queue="ts"), whoami.s().set(queue="py"), whoami.s().set(queue="ts"),
      )
      return steps.delay().get(timeout=20)
    `);
    expect(value).toEqual(["ts", "ts@test", ["py", "py@test", ["ts", "ts@test", "a"]]]);
  });

  test("a chain written in Python goes Python, Node, Python", async () => {
    const value = await python.value(`
      steps = chain(
          whoami.s("a").set(queue="py"), whoami.s().set(queue="ts"), whoami.s().set(queue="py"),
      )
      return steps.delay().get(timeout=20)
    `);
    expect(value).toEqual(["py", "py@test", ["ts", "ts@test", ["py", "py@test", "a"]]]);
  });

  test("partial arguments are prepended, immutable steps ignore what comes before", async () => {
    const immutable = await python.value(`
      return chain(
          add.s(1, 2).set(queue="py"), add.s(10).set(queue="ts"),
          add.si(100, 1).set(queue="py"), add.s(1000).set(queue="ts"),
      ).delay().get(timeout=20)
    `);
    expect(immutable).toBe(1101);
    const value = await python.value(`
      return chain(
          add.s(1, 2).set(queue="ts"), mul.s(10).set(queue="py"), add.s(5).set(queue="ts"),
      ).delay().get(timeout=20)
    `);
    expect(value).toBe(35);
  });

  test("the handles of a chain know their parents, and all steps share the root", async () => {
    const ids = await python.value<string[]>(`
      last = chain(add.s(1, 2).set(queue="ts"), add.s(3).set(queue="py"), add.s(4).set(queue="ts")).delay()
      assert last.get(timeout=20) == 10
      return [last.parent.parent.id, last.parent.id, last.id, last.parent.parent.get(timeout=10)]
    `);
    const [root, second, third, first] = ids;
    expect(first).toBe(3);
    expect(await fleet.meta(second!)).toMatchObject({ parent_id: root });
    expect(await fleet.meta(third!)).toMatchObject({ parent_id: second });
    // The same seen by our handles.
    expect(await app.asyncResult(third!).get({ timeout: 10 })).toBe(10);
    const children = await app.asyncResult(root!).children();
    expect(children.map((child) => child.id)).toEqual([second]);
  });

  test("a step that fails in Node ends a chain written in Python, and the reverse", async () => {
    const error = await python.raised(`
      chain(fail.s("in the middle").set(queue="ts"), add.s(1).set(queue="py")).delay().parent.get(timeout=20)
    `);
    expect([error.type, error.args]).toEqual(["ValueError", ["'in the middle'", "42"]]);
    const parent = await python.value<string>(`
      last = chain(fail.s("here").set(queue="py"), add.s(1).set(queue="ts")).delay()
      return last.parent.id
    `);
    await expect(app.asyncResult(parent).get({ timeout: 20 })).rejects.toMatchObject({
      type: "ValueError",
      args: ["here", 42],
    });
  });

  test("a chain that goes on after a retry keeps its steps", async () => {
    const value = await python.value(`
      return chain(flaky.s(2).set(queue="ts"), add.s(100).set(queue="py")).delay().get(timeout=20)
    `);
    expect(value).toBe(102);
  });
});

describe("links", () => {
  test("a link of a Node task runs in Python, and the reverse", async () => {
    await python.run(`
      add.apply_async((1, 2), queue="ts", link=record.si("link-1", "linked").set(queue="py")).get(timeout=10)
      add.apply_async((1, 2), queue="py", link=record.si("link-2", "linked").set(queue="ts")).get(timeout=10)
    `);
    expect(await seenSoon("link-1")).toEqual([["py", "linked"]]);
    expect(await seenSoon("link-2")).toEqual([["ts", "linked"]]);
  });

  test("a link gets the result in front", async () => {
    const link = app.remote<(x: number, y: number) => number>("demo.add").s(10).set({ queue: "py" });
    const result = await add().applyAsync([1, 2], { queue: "ts", link });
    expect(await result.get({ timeout: 10 })).toBe(3);
    const [child] = await eventually("the link is a child", async () => {
      const children = await result.children();
      return children.length === 1 && children;
    });
    expect(await child!.get({ timeout: 10 })).toBe(13);
  });

  test("several links all run, each where its queue is", async () => {
    const result = await add().applyAsync([1, 1], {
      queue: "py",
      link: [record().si("links", "a").set({ queue: "ts" }), record().si("links", "b").set({ queue: "py" })],
    });
    expect(await result.get({ timeout: 10 })).toBe(2);
    const seen = await seenSoon("links", 2);
    expect(seen).toEqual(
      expect.arrayContaining([
        ["ts", "a"],
        ["py", "b"],
      ]),
    );
  });
});

describe("errbacks", () => {
  const errbacks = (taskId: string, style: string): Promise<unknown> =>
    eventually(`the ${style} errback of ${taskId}`, async () => {
      const all = (await fleet.seen("errback")) as unknown[][];
      return all.find((entry) => entry[1] === style && entry[2] === taskId);
    });

  test("an old-style errback gets the id, in the language of its queue", async () => {
    const [first, second] = await python.value<[string, string]>(`
      one = fail.apply_async(("x",), queue="ts", link_error=old_errback.s().set(queue="py"))
      two = fail.apply_async(("x",), queue="py", link_error=old_errback.s().set(queue="ts"))
      one.get(timeout=10, propagate=False), two.get(timeout=10, propagate=False)
      return [one.id, two.id]
    `);
    expect(await errbacks(first, "old")).toEqual(["py", "old", first]);
    expect(await errbacks(second, "old")).toEqual(["ts", "old", second]);
  });

  test("a new-style errback is told the request, the error and the traceback by the worker that saw the failure", async () => {
    const [first, second] = await python.value<[string, string]>(`
      one = fail.apply_async(("x",), queue="ts", link_error=signature("demo.errback"))
      two = fail.apply_async(("x",), queue="py", link_error=signature("demo.errback"))
      one.get(timeout=10, propagate=False), two.get(timeout=10, propagate=False)
      return [one.id, two.id]
    `);
    const ours = (await errbacks(first, "new")) as unknown[];
    expect(ours.slice(0, 3)).toEqual(["ts", "new", first]);
    expect(String(ours[4])).toContain("x");
    expect(ours[5]).toBe(true);
    expect(((await errbacks(second, "new")) as unknown[]).slice(0, 4)).toEqual([
      "py",
      "new",
      second,
      "ValueError",
    ]);
  });

  test("an errback of a chain runs for the step that failed", async () => {
    const failed = await python.value<string>(`
      failing = fail.s("first").set(queue="ts").on_error(old_errback.s().set(queue="py"))
      return chain(failing, add.s(1).set(queue="py")).delay().parent.id
    `);
    expect(await errbacks(failed, "old")).toEqual(["py", "old", failed]);
  });
});
