import { describe, expect, test } from "vitest";
import { Ignore, Reject, SoftTimeLimitExceeded, WorkerShutdown } from "../../../src/errors.ts";
import { currentTask, type Task } from "../../../src/index.ts";
import type { Outcome } from "../../../src/protocol/job.ts";
import { currentExecution } from "../../../src/task/current.ts";
import { taskRig } from "./support.ts";

const NO_SCHEMA_ISSUES = { issues: undefined };

/** An error of the user's. */
class ShopError extends Error {}

function failureOf(outcome: Outcome): Extract<Outcome, { kind: "failure" }> {
  if (outcome.kind !== "failure") throw new Error(`not a failure: ${JSON.stringify(outcome)}`);
  return outcome;
}

describe("success", () => {
  test("of a synchronous function is a plain value, not a promise", () => {
    const { app, run, port } = taskRig();
    app.task("t.add", (x: number, y: number) => x + y);
    const outcome = run("t.add", { args: [1, 2] });
    expect(outcome).not.toBeInstanceOf(Promise);
    expect(outcome).toMatchObject({ kind: "success", value: 3, children: [] });
    expect((outcome as { runtimeMs: number }).runtimeMs).toBeGreaterThanOrEqual(0);
    expect(port.starts).toBe(1);
  });

  test("of an asynchronous function is awaited", async () => {
    const { app, run } = taskRig();
    app.task("t.add", async (x: number, y: number) => x + y);
    expect(await run("t.add", { kwargs: { y: 1, x: 2 } })).toMatchObject({ kind: "success", value: 3 });
  });

  test("of anything with a then is awaited", async () => {
    const { app, run } = taskRig();
    const names = ["then"];
    const query: unknown = Object.fromEntries([[names[0], (resolve: (value: number) => void) => resolve(4)]]);
    app.task("t.then", (() => query) as never);
    expect(await run("t.then")).toMatchObject({ kind: "success", value: 4 });
  });

  test("without a result is null", async () => {
    const { app, run } = taskRig();
    app.task("t.none", () => {});
    app.task("t.later", async () => {});
    expect(run("t.none")).toMatchObject({ value: null });
    expect(await run("t.later")).toMatchObject({ value: null });
  });
});

describe("the context", () => {
  test("comes first with bind, knows its request, and is the current task everywhere below", async () => {
    const { app, run } = taskRig();
    app.task("t.bound", { bind: true }, async (task, x: number) => {
      await Promise.resolve();
      const same = currentTask() === task;
      return [task.name, task.request.id, task.request.retries, x, same, task.app === app];
    });
    const outcome = await run("t.bound", { args: [5], request: { retries: 2 } });
    expect(outcome).toMatchObject({ value: ["t.bound", "id-1", 2, 5, true, true] });
    expect(currentTask()).toBeNull();
  });

  test("gives sends what they inherit", () => {
    const { app, run } = taskRig();
    app.task("t.parent", () => JSON.stringify(currentExecution()?.parent));
    const deliveryInfo = { exchange: "", routingKey: "q", priority: 6, redelivered: false };
    const outcome = run("t.parent", { request: { rootId: "root", deliveryInfo } });
    expect(outcome).toMatchObject({ value: JSON.stringify({ id: "id-1", rootId: "root", priority: 6 }) });
  });

  test("logs with the task's name and id", () => {
    const fields: object[] = [];
    const logger = {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: () => {},
      child: (one: object) => (fields.push(one), logger),
    };
    const { app, run } = taskRig({ logger });
    app.task("t.log", { bind: true }, (task) => {
      task.log.info({}, "one");
      task.log.info({}, "two");
      return null;
    });
    void run("t.log");
    expect(fields).toEqual([{ task_name: "t.log", task_id: "id-1" }]);
  });
});

describe("what is not waited for", () => {
  test("is settled before the result counts", async () => {
    const { app, run, port } = taskRig();
    let open = (): void => {};
    port.gate = new Promise((resolve) => {
      open = resolve;
    });
    app.task("t.progress", { bind: true }, (task) => {
      void task.updateState("PROGRESS", { done: 1 });
      return "end";
    });
    const outcome = run("t.progress");
    expect(outcome).toBeInstanceOf(Promise);
    let ended = false;
    void (outcome as Promise<Outcome>).then(() => {
      ended = true;
    });
    await new Promise(setImmediate);
    expect(ended).toBe(false);
    open();
    expect(await outcome).toMatchObject({ kind: "success", value: "end" });
    expect(port.states).toEqual([["PROGRESS", { done: 1 }]]);
  });

  test("is settled before a failure too, thrown at once or later", async () => {
    const { app, run, port } = taskRig();
    app.task("t.sync", { bind: true }, (task): null => {
      void task.updateState("A");
      throw new ShopError("x");
    });
    app.task("t.async", { bind: true }, async (task): Promise<null> => {
      void task.updateState("B");
      await Promise.resolve();
      throw new ShopError("x");
    });
    expect(await run("t.sync")).toMatchObject({ kind: "failure" });
    expect(await run("t.async")).toMatchObject({ kind: "failure" });
    expect(port.states.map(([state]) => state)).toEqual(["A", "B"]);
  });

  test("and fails after the function's end is the task's failure", async () => {
    const { app, run } = taskRig();
    app.task("t.lost", (): string => {
      const late = new Promise((_, reject) => setImmediate(() => reject(new ShopError("not sent"))));
      currentExecution()?.pending.add(late);
      return "fine";
    });
    expect(failureOf(await run("t.lost")).error).toMatchObject({
      type: "ShopError",
      module: "t",
      args: ["not sent"],
    });
  });

  test("and had failed before was the function's own to handle", async () => {
    const { app, run } = taskRig();
    app.task("t.handled", async (): Promise<string> => {
      const sent = Promise.reject<string>(new ShopError("not sent"));
      currentExecution()?.pending.add(sent);
      try {
        return await sent;
      } catch {
        return "went another way";
      }
    });
    expect(await run("t.handled")).toMatchObject({ kind: "success", value: "went another way" });
  });

  test("what was sent is recorded as children", () => {
    const { app, run } = taskRig();
    app.task("t.sends", (): null => {
      currentExecution()?.children.push([["child", null], null]);
      return null;
    });
    expect(run("t.sends")).toMatchObject({ children: [[["child", null], null]] });
  });
});

test("a handle that is returned is stored as Celery's tuple", () => {
  const { app, run } = taskRig();
  app.task("t.handle", (() => app.asyncResult("other")) as never);
  app.task("t.date", () => new Date(0));
  expect(run("t.handle")).toMatchObject({ value: [["other", null], null] });
  expect(run("t.date")).toMatchObject({ value: new Date(0) });
});

describe("failure", () => {
  test("keeps class, module and arguments, and a traceback that begins with the user's function", () => {
    const { app, run } = taskRig();
    app.task("shop.orders.fail", (): null => {
      throw new ShopError("boom");
    });
    const outcome = failureOf(run("shop.orders.fail") as Outcome);
    expect(outcome).toMatchObject({
      expected: false,
      error: { type: "ShopError", module: "shop.orders", args: ["boom"] },
    });
    const lines = outcome.error.traceback?.split("\n") ?? [];
    expect(lines[0]).toBe("Traceback (most recent call last):");
    expect(lines[1]).toContain("execute.test.ts");
    expect(lines.at(-2)).toBe("shop.orders.ShopError: boom");
  });

  test("that the task throws on purpose is expected", async () => {
    const { app, run } = taskRig();
    app.task("t.fail", { throws: [ShopError] }, async (): Promise<null> => {
      throw new ShopError("x");
    });
    expect(await run("t.fail")).toMatchObject({ kind: "failure", expected: true });
  });

  test("of something else than an error", () => {
    const { app, run } = taskRig();
    app.task("t.text", (): null => {
      throw "just text";
    });
    expect(failureOf(run("t.text") as Outcome).error).toMatchObject({
      type: "Exception",
      module: "builtins",
      args: ["just text"],
    });
  });

  test("of arguments that do not bind is a TypeError, and never tried again", () => {
    const { app, run, port } = taskRig();
    app.task("t.add", { autoretryFor: [Error], params: ["x", "y"] }, (x: number, y: number) => x + y);
    const { error } = failureOf(run("t.add", { args: [1] }) as Outcome);
    expect(error).toMatchObject({ type: "TypeError", module: "builtins" });
    expect(error.args[0]).toContain("t.add() missing 1 required positional argument: 'y'");
    expect(error.traceback).toMatch(
      /^Traceback \(most recent call last\):\nTypeError: t\.add\(\) missing[^\n]*\n$/,
    );
    expect(port.starts).toBe(1);
  });

  test("of a task that is not registered", () => {
    const { run } = taskRig();
    expect(run("no.such")).toMatchObject({
      kind: "failure",
      error: { type: "NotRegistered", args: ["no.such"] },
    });
  });
});

describe("control flow", () => {
  test("task.retry is a retry, also when the task forgot to throw and went on", () => {
    const { app, run } = taskRig();
    app.task("t.retry", { bind: true }, (task): null => {
      const cause = new ShopError("again");
      task.retry({ cause, countdown: 2, args: [1] });
      return null;
    });
    expect(run("t.retry")).toMatchObject({
      kind: "retry",
      delayMs: 2000,
      etaMs: null,
      cause: { type: "ShopError", module: "t", args: ["again"] },
      reason: "Retry in 2s: ShopError('again')",
      overrides: { args: [1] },
    });
  });

  test("the last retry fails with its cause", () => {
    const { app, run } = taskRig();
    app.task("t.retry", { bind: true, maxRetries: 1 }, (task): null => {
      throw task.retry({ cause: new ShopError("last") });
    });
    expect(failureOf(run("t.retry", { request: { retries: 1 } }) as Outcome).error.args).toEqual(["last"]);
  });

  test("autoretryFor tries again, and fails when no attempt is left", () => {
    const { app, run } = taskRig();
    app.task("t.auto", { autoretryFor: [ShopError], defaultRetryDelay: 7, maxRetries: 2 }, (): null => {
      throw new ShopError("auto");
    });
    expect(run("t.auto")).toMatchObject({ kind: "retry", delayMs: 7000, cause: { type: "ShopError" } });
    expect(run("t.auto", { request: { retries: 2 } })).toMatchObject({
      kind: "failure",
      error: { args: ["auto"] },
    });
  });

  test("Ignore and Reject are themselves, whatever autoretryFor says", async () => {
    const { app, run } = taskRig();
    app.task("t.ignore", { autoretryFor: [Error] }, (): null => {
      throw new Ignore();
    });
    app.task("t.reject", { autoretryFor: [Error] }, async (): Promise<null> => {
      throw new Reject("not now", { requeue: true });
    });
    expect(run("t.ignore")).toMatchObject({ kind: "ignored" });
    expect(await run("t.reject")).toEqual({ kind: "rejected", requeue: true, reason: "not now" });
  });

  test("an AbortError of the task's own signal is stored as the signal's reason", async () => {
    const { app, run, abort } = taskRig();
    app.task("t.abort", { bind: true }, async (task): Promise<null> => {
      await new Promise((_, reject) => {
        task.signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      });
      return null;
    });
    const outcome = run("t.abort");
    abort.abort(new WorkerShutdown());
    expect(failureOf(await outcome).error).toMatchObject({
      type: "WorkerShutdown",
      module: "celery.exceptions",
    });
  });

  test("an AbortError of somebody else's signal is an error like any other", async () => {
    const { app, run } = taskRig();
    app.task("t.abort", async (): Promise<null> => {
      throw new DOMException("aborted", "AbortError");
    });
    expect(failureOf(await run("t.abort")).error.type).not.toBe("WorkerShutdown");
  });
});

describe("the soft time limit", () => {
  const limit = (): SoftTimeLimitExceeded =>
    new SoftTimeLimitExceeded({
      type: "SoftTimeLimitExceeded",
      module: "billiard.exceptions",
      args: [],
      traceback: null,
    });

  test("ends a function that never took its signal", async () => {
    const { app, run, abort } = taskRig();
    app.task("t.deaf", () => new Promise<null>(() => {}));
    const outcome = run("t.deaf", { softTimeLimitMs: 10 });
    await new Promise(setImmediate);
    abort.abort(limit());
    expect(failureOf(await outcome).error).toMatchObject({
      type: "SoftTimeLimitExceeded",
      module: "billiard.exceptions",
      args: [],
    });
  });

  test("is tried again where autoretryFor names it", async () => {
    const { app, run, abort } = taskRig();
    app.task("t.deaf", { autoretryFor: [SoftTimeLimitExceeded] }, () => new Promise<null>(() => {}));
    const outcome = run("t.deaf", { softTimeLimitMs: 10 });
    await new Promise(setImmediate);
    abort.abort(limit());
    expect(await outcome).toMatchObject({ kind: "retry" });
  });

  test("leaves the end to a function that holds its signal", async () => {
    const { app, run, abort } = taskRig();
    app.task("t.careful", { bind: true }, async (task): Promise<string> => {
      await new Promise<void>((resolve) => task.signal.addEventListener("abort", () => resolve()));
      return `cleaned up after ${(task.signal.reason as SoftTimeLimitExceeded).type}`;
    });
    const outcome = run("t.careful", { softTimeLimitMs: 10 });
    await new Promise(setImmediate);
    abort.abort(limit());
    expect(await outcome).toMatchObject({ kind: "success", value: "cleaned up after SoftTimeLimitExceeded" });
  });
});

describe("schemas", () => {
  interface Fields {
    readonly id: string;
    readonly n?: number | undefined;
  }
  const schema = {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      types: undefined as unknown as { input: Fields; output: Fields },
      validate: (value: unknown) => {
        const { id, n } = value as Fields;
        if (typeof id === "string") return { value: { id: id.trim(), n: n ?? 1 }, ...NO_SCHEMA_ISSUES };
        return { issues: [{ message: "expected text", path: ["items", 0, { key: "id" }] }] };
      },
    },
  };

  test.each<[string, { args?: unknown[]; kwargs?: Record<string, unknown> }, unknown]>([
    ["keyword arguments", { kwargs: { id: " a " } }, { id: "a", n: 1 }],
    ["one object by position", { args: [{ id: "b", n: 2 }] }, { id: "b", n: 2 }],
    ["both, keyword arguments winning", { args: [{ id: "b", n: 2 }], kwargs: { n: 3 } }, { id: "b", n: 3 }],
  ])("input takes %s, and gives what the schema makes of it", async (_name, call, value) => {
    const { app, run } = taskRig();
    app.task("t.input", { input: schema }, (fields) => fields as never);
    expect(await run("t.input", call)).toMatchObject({ kind: "success", value });
  });

  test("input refuses what makes no object with a TypeError", async () => {
    const { app, run } = taskRig();
    app.task("t.input", { input: schema }, () => null);
    for (const args of [[1], [[1]], [null], [{ id: "a" }, 2]]) {
      expect(failureOf(await run("t.input", { args })).error.type).toBe("TypeError");
    }
  });

  test("a mismatch is a failure with the path, never a retry", async () => {
    const { app, run } = taskRig();
    app.task("t.input", { input: schema, autoretryFor: [Error] }, () => null);
    const { error } = failureOf(await run("t.input", { kwargs: { id: 5 } }));
    expect(error).toMatchObject({ type: "ValueError", module: "builtins" });
    expect(error.args[0]).toBe("t.input: input.items[0].id: expected text");
  });

  test("output is checked before it counts", async () => {
    const { app, run } = taskRig();
    app.task("t.output", { output: schema, autoretryFor: [Error] }, ((good: boolean) =>
      good ? { id: " x " } : {}) as never);
    expect(await run("t.output", { args: [true] })).toMatchObject({ value: { id: "x", n: 1 } });
    expect(failureOf(await run("t.output", { args: [false] })).error.args[0]).toContain(
      "t.output: output.items[0].id",
    );
  });
});

describe("hooks, signals and middleware", () => {
  test("run in Celery's order around a success", async () => {
    const { app, run } = taskRig();
    const seen: string[] = [];
    const note = (name: string) => (): void => void seen.push(name);
    for (const name of ["taskPrerun", "taskSuccess", "taskPostrun"] as const)
      app.signals[name].connect(note(name));
    app.use({
      run: async (_task, next) => {
        seen.push("outer in");
        const value = await next();
        seen.push("outer out");
        return value;
      },
    });
    app.use({ run: async (_task, next) => `<${String(await next())}>` });
    const hooks = {
      beforeStart: note("beforeStart"),
      onSuccess: note("onSuccess"),
      afterReturn: note("afterReturn"),
    };
    app.task("t.hooks", hooks, () => {
      seen.push("function");
      return "x";
    });
    expect(await run("t.hooks")).toMatchObject({ value: "<x>" });
    expect(seen).toEqual([
      "taskPrerun",
      "beforeStart",
      "outer in",
      "function",
      "outer out",
      "onSuccess",
      "taskSuccess",
      "afterReturn",
      "taskPostrun",
    ]);
  });

  test("hear of a failure and of a retry with the error itself", async () => {
    const { app, run } = taskRig();
    const error = new ShopError("x");
    const seen: unknown[] = [];
    app.signals.taskFailure.connect((event) => seen.push(event.error));
    app.signals.taskRetry.connect((event) => seen.push(event.reason));
    app.signals.taskPostrun.connect((event) => seen.push(event.state));
    const hooks = {
      onFailure: (_: unknown, one: unknown) => void seen.push(one),
      onRetry: (_: unknown, one: unknown) => void seen.push(one),
      afterReturn: (_: unknown, state: string) => void seen.push(`after ${state}`),
    };
    app.task("t.fail", hooks, (): null => {
      throw error;
    });
    app.task("t.retry", { ...hooks, autoretryFor: [ShopError] }, (): null => {
      throw error;
    });
    await run("t.fail");
    expect(seen.splice(0)).toEqual([error, error, "after FAILURE", "FAILURE"]);
    await run("t.retry");
    expect(seen).toEqual([error, error, "after RETRY", "RETRY"]);
  });

  test("a failing hook is reported and leaves the outcome as it was", async () => {
    const { app, run } = taskRig();
    const errors: unknown[] = [];
    app.signals.taskInternalError.connect((event) => errors.push(event.error));
    const broken = new Error("hook");
    app.task("t.hook", { onSuccess: () => Promise.reject(broken) }, () => 1);
    expect(await run("t.hook")).toMatchObject({ kind: "success", value: 1 });
    expect(errors).toEqual([broken]);
  });

  test("a failing beforeStart is the task's failure", async () => {
    const { app, run } = taskRig();
    app.task("t.hook", { beforeStart: () => Promise.reject(new ShopError("early")) }, () => 1);
    expect(await run("t.hook")).toMatchObject({ kind: "failure", error: { args: ["early"] } });
  });

  test("only a task's own signals are heard by a handler that names it", async () => {
    const { app, run } = taskRig();
    const one: Task<[], number> = app.task("t.one", () => 1);
    app.task("t.two", () => 2);
    const heard: string[] = [];
    app.signals.taskSuccess.connect((event) => heard.push(event.task.name), { sender: one });
    await run("t.one");
    await run("t.two");
    expect(heard).toEqual(["t.one"]);
  });
});

describe("a direct call", () => {
  test("gives a context that says so, and throws what the function throws", async () => {
    const { app } = taskRig();
    const task = app.task("t.direct", { bind: true }, (self, x: number) => [
      self.request.calledDirectly,
      x,
      self.signal.aborted,
    ]);
    expect(await task.run(1)).toEqual([true, 1, false]);
    const cause = new ShopError("direct");
    const retried = app.task("t.retried", { bind: true }, (self): null => self.retry({ cause }));
    await expect(retried.run()).rejects.toBe(cause);
  });
});
