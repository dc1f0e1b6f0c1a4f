import { describe, expect, test } from "vitest";
import { z } from "zod";
import { EncodeError, kw, OperationalError, PetioleError } from "../../../src/index.ts";
import { type Execution, runExecution } from "../../../src/task/current.ts";
import { NO_EMBED, testApp } from "./support.ts";

function running(): Execution & { readonly children: unknown[] } {
  return {
    context: { name: "parent", app: null } as never,
    parent: { id: "parent-id", rootId: "root-id", priority: 7 },
    children: [],
    pending: new Set(),
  };
}

describe("options", () => {
  test("of the call win over the task's, those over its route, those over the settings", async () => {
    const { app, last, transport } = testApp({
      taskDefaultQueue: "default",
      taskDefaultPriority: 1,
      taskRoutes: { "a.*": { queue: "routed", priority: 2 } },
    });
    const owned = app.task("a.owned", { queue: "own", priority: 3 }, () => 1);
    const routed = app.task("a.routed", () => 1);
    const plain = app.task("b.plain", () => 1);
    await owned.applyAsync([], { queue: "call", priority: 4 });
    expect(transport.sent.at(-1)).toMatchObject({ routingKey: "call", priority: 4 });
    await owned.delay();
    expect(transport.sent.at(-1)).toMatchObject({ routingKey: "own", priority: 3 });
    await routed.delay();
    expect(transport.sent.at(-1)).toMatchObject({ routingKey: "routed", priority: 2 });
    await plain.delay();
    expect(transport.sent.at(-1)).toMatchObject({ routingKey: "default", priority: 1 });
    expect(last().priority).toBe(1);
  });

  test("a route function is asked at each send, with arguments and options", async () => {
    const asked: unknown[] = [];
    const { app, transport } = testApp({
      taskRoutes: [
        (name: string, args: readonly unknown[], kwargs: object, options: object) => {
          asked.push([name, args, kwargs, options]);
          return args[0] === 1 ? { queue: "one", serializer: "json", headers: { routed: true } } : null;
        },
      ],
    });
    const task = app.task("t", { priority: 5 }, (_n: number) => 1);
    await task.delay(1);
    await task.applyAsync([2], { shadow: "s" });
    expect(transport.sent.map((one) => one.routingKey)).toEqual(["one", "celery"]);
    expect(transport.sent[0]?.message.headers["routed"]).toBe(true);
    expect(asked).toEqual([
      ["t", [1], {}, { priority: 5 }],
      ["t", [2], {}, { priority: 5, shadow: "s" }],
    ]);
  });

  test("headers of the call win over the route's", async () => {
    const { app, transport } = testApp({ taskRoutes: { t: { headers: { a: 1, b: 1 } } } });
    await app.sendTask("t", [], { headers: { b: 2 } });
    expect(transport.sent[0]?.message.headers).toMatchObject({ a: 1, b: 2 });
  });

  test("annotations win over the task's own options", async () => {
    const { app, transport } = testApp({ taskAnnotations: { t: { queue: "annotated", timeLimit: 9 } } });
    await app.task("t", { queue: "own" }, () => 1).delay();
    expect(transport.sent[0]).toMatchObject({ routingKey: "annotated" });
    expect(transport.sent[0]?.message.headers["timelimit"]).toEqual([9, null]);
  });

  test("limits from the settings stay the worker's: they do not travel", async () => {
    const { app, transport } = testApp({ taskTimeLimit: 10, taskSoftTimeLimit: 5 });
    await app.task("t", () => 1).delay();
    expect(transport.sent[0]?.message.headers["timelimit"]).toEqual([null, null]);
  });

  test("a task's expires counts for every send", async () => {
    const { app, last } = testApp();
    const before = Date.now();
    await app.task("t", { expires: 60 }, () => 1).delay();
    expect(last().expiresMs).toBeGreaterThanOrEqual(before + 60_000);
    expect(last().expiresMs).toBeLessThan(Date.now() + 61_000);
  });

  test("a countdown wins over an eta, 0 is none", async () => {
    const { app, last } = testApp();
    await app.sendTask("t", [], { countdown: 5, eta: new Date(0) });
    expect(last().etaMs).toBeGreaterThan(Date.now());
    await app.sendTask("t", [], { countdown: 0 });
    expect(last().etaMs).toBeNull();
  });

  test("what is counted from now is written in the settings' time zone", async () => {
    const { app, transport } = testApp({ timezone: "Asia/Kolkata" });
    await app.sendTask("t", [], { countdown: 5, expires: 10 });
    expect(transport.sent[0]?.message.headers["eta"]).toMatch(/\+05:30$/u);
    expect(transport.sent[0]?.message.headers["expires"]).toMatch(/\+05:30$/u);
  });

  test("an expiry in the past is 0 ms for the broker", async () => {
    const { app, transport } = testApp();
    await app.sendTask("t", [], { expires: new Date(0) });
    expect(transport.sent[0]?.message.properties["expiration"]).toBe("0");
  });

  test.each([
    [{ countdown: Number.NaN }, /countdown/u],
    [{ eta: "yesterday" }, /eta/u],
    [{ eta: new Date(Number.NaN) }, /eta/u],
    [{ expires: Infinity }, /expires/u],
    [{ priority: 1.5 }, /priority/u],
    [{ taskId: "" }, /taskId/u],
  ])("%j is refused by name before anything is sent", async (options, name) => {
    const { app, transport } = testApp();
    const sent = app.sendTask("t", [], options);
    await expect(sent).rejects.toThrow(EncodeError);
    await expect(sent).rejects.toThrow(name);
    expect(transport.sent).toHaveLength(0);
  });

  test("sendTask knows nothing of the options of a task that is registered here", async () => {
    const { app, transport } = testApp();
    app.task("t", { queue: "own", ignoreResult: true }, () => 1);
    await app.sendTask("t");
    expect(transport.sent[0]).toMatchObject({ routingKey: "celery" });
    expect(transport.sent[0]?.message.headers["ignore_result"]).toBe(false);
  });

  test("a task that is registered after a send by its name gives its options to later ones", async () => {
    const { app, transport } = testApp();
    const remote = app.remote<() => void>("t");
    await remote.delay();
    app.task("t", { queue: "own" }, () => 1);
    await remote.delay();
    expect(transport.sent.map((one) => one.routingKey)).toEqual(["celery", "own"]);
  });

  test("a queue that is not declared is refused when missing ones are not made", async () => {
    const { app } = testApp({ taskCreateMissingQueues: false });
    await expect(app.sendTask("t", [], { queue: "nowhere" })).rejects.toMatchObject({
      code: "PET_QUEUE_NOT_FOUND",
    });
  });
});

describe("arguments", () => {
  test("kw(…) and the option kwargs become keyword arguments, both at once are a TypeError", async () => {
    const { app, last } = testApp();
    await app.sendTask("t", [1, kw({ a: 1 })]);
    expect(last()).toMatchObject({ args: [1], kwargs: { a: 1 } });
    await app.sendTask("t", [1], { kwargs: { b: 2 } });
    expect(last()).toMatchObject({ args: [1], kwargs: { b: 2 } });
    await expect(app.sendTask("t", [kw({ a: 1 })], { kwargs: { b: 2 } })).rejects.toThrow(TypeError);
  });

  test("the object of a task with an input schema travels as keyword arguments", async () => {
    const { app, last } = testApp();
    const order = app.task("order", { input: z.object({ id: z.string() }) }, ({ id }) => id);
    await order.delay({ id: "1" });
    expect(last()).toMatchObject({ args: [], kwargs: { id: "1" } });
    await order.s({ id: "2" }).delay();
    expect(last()).toMatchObject({ args: [], kwargs: { id: "2" } });
  });

  test("validate: true refuses bad arguments here, with the path", async () => {
    const { app, transport } = testApp();
    const input = z.object({ user: z.object({ age: z.number() }) });
    const task = app.task("t", { input }, ({ user }) => user.age);
    const bad = task.applyAsync([{ user: { age: "old" } }] as never, { validate: true });
    await expect(bad).rejects.toMatchObject({ code: "PET_ARGUMENTS" });
    await expect(bad).rejects.toThrow(/t: input\.user\.age/u);
    await task.applyAsync([{ user: { age: 3 } }], { validate: true });
    await task.delay({ user: { age: "old" } } as never);
    expect(transport.sent).toHaveLength(2);
  });

  test("what cannot travel is an EncodeError with its path, and nothing is sent", async () => {
    const { app, transport } = testApp();
    const sent = app.sendTask("t", [{ deep: new Map() }] as never);
    await expect(sent).rejects.toThrow(EncodeError);
    await expect(sent).rejects.toThrow(/deep/u);
    expect(transport.sent).toHaveLength(0);
    expect(transport.starts).toBe(0);
  });
});

describe("inside a task", () => {
  test("a send inherits root and parent, is recorded as a child and waited for", async () => {
    const { app, last, transport } = testApp();
    const execution = running();
    let release = (): void => {};
    transport.onPublish = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    const sent = runExecution(execution, () => app.sendTask("child", [], { taskId: "child-id" }));
    await expect.poll(() => execution.pending.size).toBe(1);
    expect(execution.children).toEqual([]);
    await expect.poll(() => transport.starts).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await sent;
    expect(last()).toMatchObject({ rootId: "root-id", parentId: "parent-id", priority: 0 });
    expect(execution.children).toEqual([[["child-id", null], null]]);
    expect(execution.pending.size).toBe(0);
  });

  test("explicit root and parent win", async () => {
    const { app, last } = testApp();
    await runExecution(running(), () => app.sendTask("t", [], { rootId: "r", parentId: "p" }));
    expect(last()).toMatchObject({ rootId: "r", parentId: "p" });
  });

  test("taskInheritParentPriority passes the priority on, where nothing else gives one", async () => {
    const { app, last } = testApp({ taskInheritParentPriority: true, taskDefaultPriority: 2 });
    await runExecution(running(), () => app.sendTask("t"));
    expect(last().priority).toBe(7);
    await runExecution(running(), () => app.sendTask("t", [], { priority: 1 }));
    expect(last().priority).toBe(1);
    await app.sendTask("t");
    expect(last().priority).toBe(2);
  });

  test("a send that failed stays for the worker to see, and is no unhandled rejection", async () => {
    const { app } = testApp();
    const execution = running();
    void runExecution(execution, () => app.sendTask("t", [() => 1] as never)).catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    expect(execution.pending.size).toBe(1);
    expect(execution.children).toEqual([]);
    const [end] = await Promise.allSettled(execution.pending);
    expect(end?.status).toBe("rejected");
  });

  test("many sends are recorded as children in order", async () => {
    const { app } = testApp();
    const execution = running();
    const task = app.task("t", (n: number) => n);
    const results = await runExecution(execution, () => task.delayMany([[1], [2]]));
    expect(execution.children).toEqual(results.map(({ id }) => [[id, null], null]));
    expect(execution.pending.size).toBe(0);
  });
});

test("sends of one turn keep their order, from the first on", async () => {
  const { app, transport } = testApp();
  const task = app.task("t", (n: number) => n);
  const sends = (from: number): Promise<unknown>[] => [
    task.delay(from),
    app.sendTask("t", [from + 1]),
    task.s(from + 2).delay(),
    task.applyAsync([from + 3], { priority: 1 }),
    app.sendMany([task.s(from + 4)]),
    task.delayMany([[from + 5]]),
  ];
  await Promise.all(sends(0));
  await Promise.all(sends(6));
  const order = transport.sent.map((one) => one.message.headers["argsrepr"]);
  expect(order).toEqual(Array.from({ length: 12 }, (_, index) => `(${index},)`));
});

describe("many in one round trip", () => {
  test("delayMany keeps the order of calls and results", async () => {
    const { app, transport } = testApp();
    const add = app.task("add", (x: number, y: number) => x + y);
    const results = await add.delayMany([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(transport.calls).toHaveLength(1);
    expect(transport.sent.map((one) => one.message.headers["argsrepr"])).toEqual([
      "(1, 2)",
      "(3, 4)",
      "(5, 6)",
    ]);
    expect(transport.sent.map((one) => one.message.headers["id"])).toEqual(results.map((one) => one.id));
    expect(await add.delayMany([])).toEqual([]);
  });

  test("sendMany sends signatures of different tasks with their options, each queue declared", async () => {
    const { app, transport } = testApp();
    const one = app.task("one", (x: number) => x);
    const two = app.task("two", { queue: "two" }, (x: string) => x);
    await app.sendMany([one.s(1), two.s("a"), one.s(2).set({ queue: "three", priority: 9 })]);
    expect(transport.calls).toHaveLength(1);
    expect(transport.sent.map((sent) => [sent.routingKey, sent.priority])).toEqual([
      ["celery", 0],
      ["two", 0],
      ["three", 9],
    ]);
    expect(transport.declared.map((queue) => queue.name)).toEqual(["celery", "two", "three"]);
  });

  test.each([
    ["an argument that cannot travel", [[1], [2], [() => 1]]],
    ["undefined in the middle", [[1], [2], [undefined, 3]]],
  ])("%s is named by its index before anything is sent", async (_what, calls) => {
    const { app, transport } = testApp();
    const task = app.task("t", (x: number) => x);
    const sent = task.delayMany(calls as never);
    await expect(sent).rejects.toThrow(/^member 2: /u);
    await expect(sent).rejects.toThrow(EncodeError);
    expect(transport.calls).toHaveLength(0);
  });

  test("a bad signature is named by its index", async () => {
    const { app } = testApp();
    const task = app.task("t", (x: number) => x);
    await expect(app.sendMany([task.s(1), task.s(2).set({ priority: 0.5 })])).rejects.toThrow(/^member 1: /u);
  });
});

describe("codecs", () => {
  test("one that is not loaded yet is loaded, then the send goes on", async () => {
    const { app, last } = testApp();
    await app.sendTask("t", [1], { serializer: "msgpack" });
    expect(last().args).toEqual([1]);
    await app.sendMany([app.signature("t", [2], { serializer: "yaml" })]);
    expect(last().args).toEqual([2]);
  });

  test("an unknown one is an error that says so", async () => {
    const { app } = testApp();
    await expect(app.sendTask("t", [], { serializer: "nonsense" })).rejects.toMatchObject({
      code: "PET_CODEC_UNAVAILABLE",
    });
  });
});

describe("failures of the broker", () => {
  test("retry: false gives up at once", async () => {
    const { app, transport } = testApp();
    let attempts = 0;
    transport.onPublish = () => {
      attempts += 1;
      throw new OperationalError("refused", { outcome: "not sent" });
    };
    await expect(app.sendTask("t", [], { retry: false })).rejects.toMatchObject({ outcome: "not sent" });
    expect(attempts).toBe(1);
  });

  test("a send over an open connection is tried again too", async () => {
    const { app, transport } = testApp({ taskPublishRetryPolicy: { maxRetries: 2, intervalStep: 0 } });
    await app.sendTask("t");
    let fails = 2;
    transport.onPublish = () => {
      fails -= 1;
      if (fails >= 0) throw new OperationalError("refused", { outcome: "not sent" });
    };
    await app.sendTask("t");
    expect(transport.sent).toHaveLength(2);
    expect(transport.starts).toBe(1);
  });

  test("no rejection is left unhandled, and each send has its own", async () => {
    const { app, transport } = testApp({ taskPublishRetry: false });
    transport.onStart = () => {
      throw new OperationalError("refused", { outcome: "not sent" });
    };
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    const ends = await Promise.allSettled([app.sendTask("a"), app.sendTask("b"), app.sendTask("c")]);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(ends.map((end) => (end.status === "rejected" ? String(end.reason) : ""))).toEqual([
      expect.stringContaining("task a["),
      expect.stringContaining("task b["),
      expect.stringContaining("task c["),
    ]);
    expect(unhandled).toEqual([]);
  });
});

describe("closing", () => {
  test("a closed app sends nothing", async () => {
    const { app, transport } = testApp();
    await app.sendTask("t");
    await app.close();
    await expect(app.sendTask("t")).rejects.toThrow(PetioleError);
    await expect(app.sendTask("t")).rejects.toMatchObject({ code: "PET_CLOSED" });
    expect(transport.stops).toBe(1);
  });

  test("a send in flight is waited for", async () => {
    const { app, transport } = testApp();
    await app.sendTask("t");
    let release = (): void => {};
    transport.onPublish = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    const sent = app.sendTask("t");
    await expect.poll(() => transport.stops).toBe(0);
    const closing = app.close();
    release();
    await sent;
    await closing;
    expect(transport.sent).toHaveLength(2);
    expect(transport.stops).toBe(1);
  });

  test("await using closes the app", async () => {
    const { app, transport } = testApp();
    await app.sendTask("t");
    await app[Symbol.asyncDispose]();
    expect(transport.stops).toBe(1);
  });
});

test("a message without callbacks has an empty embed", async () => {
  const { app, last } = testApp();
  await app.sendTask("t");
  expect(last().embed).toEqual(NO_EMBED);
});

test("two apps in one process have their own ids to be replied to", async () => {
  const one = testApp();
  const two = testApp();
  await one.app.sendTask("t");
  await two.app.sendTask("t");
  expect(one.last().replyTo).not.toBe(two.last().replyTo);
  expect(one.last().origin).toMatch(new RegExp(`^gen${process.pid}@.+`, "u"));
});
