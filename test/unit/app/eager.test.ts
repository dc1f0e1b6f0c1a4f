import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  currentTask,
  Ignore,
  kw,
  NotRegistered,
  Reject,
  RemoteError,
  type Signature,
  type TaskContext,
} from "../../../src/index.ts";
import { testApp } from "./support.ts";

class Unlucky extends Error {}

describe("run", () => {
  test("calls the function here and now, and sends nothing", async () => {
    const { app, transport } = testApp();
    const add = app.task("add", (x: number, y = 1) => x + y);
    expect(await add.run(2, 3)).toBe(5);
    expect(await add.run(2)).toBe(3);
    expect(transport.starts).toBe(0);
  });

  test("gives a bound task a context with calledDirectly", async () => {
    const { app } = testApp();
    const task = app.task("t", { bind: true }, (context, n: number) => [
      context.request.calledDirectly,
      context.name,
      n,
    ]);
    expect(await task.run(1)).toEqual([true, "t", 1]);
  });

  test("throws what the function throws", async () => {
    const { app } = testApp();
    const task = app.task("t", () => {
      throw new Unlucky("no");
    });
    await expect(task.run()).rejects.toThrow(Unlucky);
  });

  test("nothing becomes null, and a schema fills in its defaults", async () => {
    const { app } = testApp();
    expect(await app.task("nothing", async () => {}).run()).toBeNull();
    const order = app.task("order", { input: z.object({ n: z.number().default(3) }) }, ({ n }) => n);
    expect(await order.run({})).toBe(3);
  });
});

describe("apply", () => {
  test("gives a handle that knows its result", async () => {
    const { app, transport } = testApp();
    const add = app.task("add", (x: number, y: number) => x + y);
    const result = await add.apply([2, 3], { taskId: "own" });
    expect(result.id).toBe("own");
    expect(await result.get()).toBe(5);
    expect(await result.status()).toEqual({ ready: true, state: "SUCCESS", result: 5 });
    await result.forget();
    expect(await result.state()).toBe("PENDING");
    expect(transport.starts).toBe(0);
  });

  test("takes keyword arguments by the parameters' names", async () => {
    const { app } = testApp();
    const add = app.task("add", (x: number, y: number) => x - y);
    expect(await (await app.tasks.get("add")?.apply([kw({ y: 1, x: 5 })] as never))?.get()).toBe(4);
    expect(await (await add.apply([5, 2])).get()).toBe(3);
  });

  test("a failure is in the handle, not thrown", async () => {
    const { app } = testApp();
    const task = app.task("shop.t", () => {
      throw new Unlucky("no");
    });
    const result = await task.apply([]);
    expect(await result.failed()).toBe(true);
    await expect(result.get()).rejects.toThrow(RemoteError);
    await expect(result.get()).rejects.toMatchObject({ type: "Unlucky", module: "shop", args: ["no"] });
  });

  test("retries at once, with the attempt's number and new arguments", async () => {
    const { app } = testApp();
    const attempts: unknown[] = [];
    const task = app.task("t", { bind: true, maxRetries: 5 }, (context, n: number): string => {
      attempts.push([context.request.id, context.request.retries, n]);
      if (context.request.retries < 2) throw context.retry({ countdown: 3600, args: [n + 1] });
      return "done";
    });
    const result = await task.apply([0], { taskId: "x" });
    expect(await result.get()).toBe("done");
    expect(attempts).toEqual([
      ["x", 0, 0],
      ["x", 1, 1],
      ["x", 2, 2],
    ]);
  });

  test("gives up after maxRetries, also for autoretry", async () => {
    const { app } = testApp();
    let attempts = 0;
    const task = app.task("t", { autoretryFor: [Unlucky], maxRetries: 2 }, () => {
      attempts += 1;
      throw new Unlucky("again");
    });
    await expect((await task.apply([])).get()).rejects.toMatchObject({ type: "Unlucky" });
    expect(attempts).toBe(3);
  });

  test("runs callbacks with the result, and immutable ones without", async () => {
    const { app } = testApp();
    const seen: unknown[] = [];
    const note = app.task(
      "note",
      (...args: unknown[]) => void seen.push([...args, currentTask()?.request.parentId]),
    );
    const task = app.task("t", (n: number) => n * 2);
    await task.apply([2], { taskId: "t-id", link: [note.s("a"), note.si("b")] as never });
    expect(seen).toEqual([
      [4, "a", "t-id"],
      ["b", "t-id"],
    ]);
  });

  test("runs errbacks: old ones with the id, those of app.errback with request, error and traceback", async () => {
    const { app } = testApp();
    const seen: unknown[] = [];
    const old = app.task("old", (id: string) => void seen.push(id));
    const modern = app.errback("modern", (request, error, traceback) => {
      seen.push([request.id, error.type, error.args, typeof traceback]);
    });
    const task = app.task("t", () => {
      throw new TypeError("bad");
    });
    await task.apply([], { taskId: "x", linkError: [old.s(), modern.s()] });
    expect(seen).toEqual(["x", ["x", "TypeError", ["bad"], "string"]]);
  });

  test("an errback that fails is logged", async () => {
    const { app, logger } = testApp();
    const errback = app.errback("e", () => {
      throw new Error("errback");
    });
    const task = app.task("t", () => {
      throw new Error("task");
    });
    await task.apply([], { linkError: errback.s() });
    expect(logger.lines).toEqual([expect.objectContaining({ message: "an errback failed" })]);
  });

  test("a callback of a task that is not known here is refused before anything runs", async () => {
    const { app } = testApp();
    let runs = 0;
    const task = app.task("t", () => {
      runs += 1;
    });
    const elsewhere = app.remote<(x: unknown) => void>("elsewhere").s() as Signature<[unknown], unknown>;
    await expect(task.apply([], { link: elsewhere })).rejects.toThrow(NotRegistered);
    expect(runs).toBe(0);
  });

  test.each([
    ["REJECTED", () => new Reject("no")],
    ["IGNORED", () => new Ignore()],
  ])("%s has no result to wait for", async (state, error) => {
    const { app } = testApp();
    const task = app.task("t", () => {
      throw error();
    });
    const result = await task.apply([]);
    expect(await result.state()).toBe(state);
    await expect(result.get()).rejects.toMatchObject({ code: "PET_RESULT_IGNORED" });
  });

  test("inside a task inherits the ids", async () => {
    const { app } = testApp();
    const inner = app.task("inner", { bind: true }, (context: TaskContext) => [
      context.request.rootId,
      context.request.parentId,
    ]);
    const outer = app.task("outer", async () => (await inner.apply([])).get());
    expect(await (await outer.apply([], { taskId: "outer-id" })).get()).toEqual(["outer-id", "outer-id"]);
  });
});

describe("taskAlwaysEager", () => {
  test("makes delay, applyAsync, signatures and many calls run here", async () => {
    const { app, transport } = testApp({ taskAlwaysEager: true });
    const add = app.task("add", (x: number, y: number) => x + y);
    expect(await (await add.delay(1, 2)).get()).toBe(3);
    expect(await (await add.applyAsync([1, 2], { countdown: 60 })).get()).toBe(3);
    expect(await (await add.s(2).delay(1)).get()).toBe(3);
    const many = await add.delayMany([
      [1, 1],
      [2, 2],
    ]);
    expect(await Promise.all(many.map((one) => one.get()))).toEqual([2, 4]);
    const [sent] = await app.sendMany([add.s(3, 4)]);
    expect(await sent?.get()).toBe(7);
    expect(transport.starts).toBe(0);
  });

  test("does not keep a task of elsewhere from being sent", async () => {
    const { app, transport } = testApp({ taskAlwaysEager: true });
    app.task("here", () => 1);
    await app.remote<() => number>("elsewhere").delay();
    await app.sendTask("here");
    expect(transport.sent.map((one) => one.message.headers["task"])).toEqual(["elsewhere", "here"]);
  });

  test("with taskEagerPropagates throws the task's own error", async () => {
    const { app } = testApp({ taskAlwaysEager: true, taskEagerPropagates: true });
    const task = app.task("t", () => {
      throw new Unlucky("no");
    });
    await expect(task.delay()).rejects.toThrow(Unlucky);
  });

  test("with taskStoreEagerResult stores results and states", async () => {
    const { app } = testApp({
      taskAlwaysEager: true,
      taskStoreEagerResult: true,
      resultBackend: `memory://${randomUUID()}`,
    });
    const seen: unknown[] = [];
    const task = app.task("t", { bind: true }, async (context, n: number) => {
      await context.updateState("PROGRESS", { done: n });
      seen.push(await app.asyncResult(context.request.id).status());
      return n;
    });
    const result = await task.delay(1);
    expect(seen).toEqual([{ ready: false, state: "PROGRESS", info: { done: 1 } }]);
    expect(await app.asyncResult(result.id).get()).toBe(1);
    await app.close();
  });
});
