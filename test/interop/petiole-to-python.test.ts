/** Our client, a Python worker: what Python ran, stored and says is read through our API. */
import { type Celery, kw, RemoteError, TaskRevokedError } from "petiole";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { samples } from "./fixtures/tasks.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
let app: Celery;

beforeAll(async () => {
  fleet = await startFleet();
  ({ app } = fleet);
  await fleet.pythonWorker({ name: "py@test", concurrency: 4 });
});

afterAll(() => fleet?.stop());

const add = () => app.remote<(x: number, y: number) => number>("demo.add");

describe("calls", () => {
  test("a result computed by Python is read by Node", async () => {
    expect(await (await add().delay(2, 3)).get({ timeout: 10 })).toBe(5);
    const whoami = app.remote<(value: string) => string[]>("demo.whoami");
    expect(await (await whoami.delay("x")).get({ timeout: 10 })).toEqual(["py", "py@test", "x"]);
  });

  test("kw() arguments are Python's keyword arguments", async () => {
    const keywords = app.remote("demo.keywords");
    const result = await app.sendTask("demo.keywords", [1, 2, 8, kw({ third: 4, extra: 5 })]);
    expect(keywords.name).toBe("demo.keywords");
    expect(await result.get({ timeout: 10 })).toEqual({
      first: 1,
      second: 2,
      rest: [8],
      third: 4,
      others: { extra: 5 },
    });
    const named = await app.sendTask("demo.keywords", [], { kwargs: { first: "a" } });
    expect(await named.get({ timeout: 10 })).toMatchObject({ first: "a", second: "two" });
  });

  test("many calls in one round trip are all answered, in order", async () => {
    const results = await app.sendMany(Array.from({ length: 200 }, (_, n) => add().s(n, n)));
    const values = await Promise.all(results.map((one) => one.get({ timeout: 30 })));
    expect(values).toEqual(Array.from({ length: 200 }, (_, n) => 2 * n));
  });

  test("our own task id is the one that Python sees", async () => {
    const seen = app.remote<(key: string) => null>("demo.record_request");
    const result = await seen.applyAsync(["own-id"], { taskId: "chosen-here" });
    await result.get({ timeout: 10 });
    expect(await fleet.seen("own-id")).toMatchObject([{ id: "chosen-here", root_id: "chosen-here" }]);
    expect(await fleet.python.value("return AsyncResult('chosen-here').state")).toBe("SUCCESS");
  });
});

describe("values", () => {
  test.each(Object.entries(samples))(
    "Python gets our %s and gives it back unchanged",
    async (_name, value) => {
      const echo = app.remote<(value: unknown) => unknown>("demo.echo");
      expect(await (await echo.delay(value)).get({ timeout: 10 })).toEqual(value);
    },
  );

  test("Python sees the types that our values stand for", async () => {
    const typed = app.remote<(value: unknown) => [string, string]>("demo.typed");
    const seen = async (value: unknown): Promise<unknown> => (await typed.delay(value)).get({ timeout: 10 });
    expect(await seen(samples.datetime)).toEqual([
      "datetime",
      "datetime.datetime(2026, 11, 24, 8, 30, 15, 123000, tzinfo=datetime.timezone.utc)",
    ]);
    expect(await seen(samples.bytes)).toEqual(["bytes", String.raw`b'\x00\xff\xfe b'`]);
    expect(await seen(samples.big)).toEqual(["int", String(samples.big)]);
    expect(await seen(samples.unicode)).toEqual(["str", String.raw`'naïve ☕ 日本語 😀 \x00 end'`]);
    expect(await seen(2 ** 53 - 1)).toEqual(["int", "9007199254740991"]);
    expect(await seen(1.5)).toEqual(["float", "1.5"]);
    expect(await seen(null)).toEqual(["NoneType", "None"]);
  });

  test("Python's own values arrive, whole", async () => {
    const all = app.remote<() => Record<string, unknown>>("demo.samples");
    const got = await (await all.delay()).get({ timeout: 10 });
    expect(got["datetime"]).toEqual(new Date("2026-11-24T08:30:15.123Z"));
    expect(got["big"]).toBe(2n ** 70n + 1n);
    expect(got["text_bytes"]).toEqual(new TextEncoder().encode("plain"));
    expect(String(got["uuid"])).toBe("12345678-1234-5678-1234-567812345678");
    expect(String(got["decimal"])).toBe("10.50");
    expect(String(got["date"])).toBe("2026-02-28");
    expect(String(got["time"])).toBe("23:59:58");
  });
});

describe("failures", () => {
  const failure = async (name: string, args: unknown[] = []): Promise<RemoteError> => {
    const result = await app.sendTask(name, args);
    const error = await result.get({ timeout: 20 }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(RemoteError);
    return error as RemoteError;
  };

  test("a Python exception is a RemoteError with its type, module, arguments and traceback", async () => {
    const error = await failure("demo.fail", ["no luck"]);
    expect([error.type, error.module, error.args]).toEqual(["ValueError", "builtins", ["no luck", 42]]);
    expect(error.remoteTraceback).toContain("tasks.py");
    expect(error.message).toContain("no luck");
  });

  test("an exception class that only Python knows keeps its identity", async () => {
    const error = await failure("demo.out_of_stock", ["cup", 3]);
    expect([error.type, error.module, error.args]).toEqual(["OutOfStock", "tasks", ["cup", 3]]);
  });

  test("propagate: false returns the error, outcome() says how it ended", async () => {
    const result = await app.sendTask("demo.fail", ["x"]);
    expect(await result.get({ timeout: 10, propagate: false })).toBeInstanceOf(RemoteError);
    const outcome = await result.outcome({ timeout: 10 });
    expect(outcome.state).toBe("FAILURE");
    expect(await result.failed()).toBe(true);
    expect(await result.traceback()).toContain("ValueError");
  });

  test("an unregistered task is NotRegistered", async () => {
    const error = await failure("demo.nowhere");
    expect([error.type, error.module]).toEqual(["NotRegistered", "celery.exceptions"]);
  });

  test("retries happen in Python and end in its cause", async () => {
    const flaky = app.remote<(failures: number) => number>("demo.flaky");
    expect(await (await flaky.delay(2)).get({ timeout: 20 })).toBe(2);
    const error = await failure("demo.hopeless");
    expect([error.type, error.args]).toEqual(["KeyError", ["never"]]);
  });

  test("the state RETRY and its cause are seen while Python waits", async () => {
    const result = await app.sendTask("demo.slow_retry");
    await eventually("it is in RETRY", async () => (await result.state()) === "RETRY");
    expect(await result.info()).toMatchObject({ type: "ValueError", args: ["later"] });
    expect(await result.ready()).toBe(false);
  });
});

describe("time", () => {
  test("a countdown is waited for in Python", async () => {
    const started = performance.now();
    const result = await add().applyAsync([1, 2], { countdown: 1.5 });
    expect(await result.get({ timeout: 20 })).toBe(3);
    expect(performance.now() - started).toBeGreaterThan(1400);
  });

  test("an ETA is the same instant in Python", async () => {
    const eta = new Date(Date.now() + 1000);
    const seen = app.remote<(key: string) => null>("demo.record_request");
    await (await seen.applyAsync(["eta"], { eta })).get({ timeout: 20 });
    const [request] = (await fleet.seen("eta")) as { eta: string }[];
    expect(Date.parse(request!.eta)).toBe(eta.getTime());
  });

  test("what expired is REVOKED by Python, and known as such here", async () => {
    const result = await add().applyAsync([1, 2], { expires: new Date(Date.now() - 5000) });
    const outcome = await result.outcome({ timeout: 10 });
    expect(outcome.state).toBe("REVOKED");
    await expect(result.get({ timeout: 10 })).rejects.toBeInstanceOf(TaskRevokedError);
  });
});

describe("states and options", () => {
  test("a custom state of Python is read while the task runs", async () => {
    const result = await app.sendTask("demo.progress", [3, "gate-py"]);
    await fleet.waiting("gate-py");
    const status = await result.status();
    expect(status).toMatchObject({ ready: false, state: "PROGRESS", info: { done: 3, of: 3 } });
    await fleet.open("gate-py");
    expect(await result.get({ timeout: 10 })).toBe("done");
    expect(await result.status()).toMatchObject({ ready: true, state: "SUCCESS", result: "done" });
  });

  test("options of the send are what Python's request shows", async () => {
    const seen = app.remote<(key: string) => null>("demo.record_request");
    const result = await seen.applyAsync(["request"], {
      priority: 5,
      headers: { tenant: "acme" },
      timeLimit: 60,
      softTimeLimit: 50,
      expires: 600,
    });
    await result.get({ timeout: 10 });
    const [request] = (await fleet.seen("request")) as Record<string, unknown>[];
    expect(request).toMatchObject({
      id: result.id,
      root_id: result.id,
      parent_id: null,
      retries: 0,
      timelimit: [60, 50],
      lang: "js",
      priority: 5,
      correlation_id: result.id,
      argsrepr: "('request',)",
      kwargsrepr: "{}",
    });
    expect(request!["origin"]).toMatch(/^gen\d+@/);
    expect(request!["headers"]).toMatchObject({ tenant: "acme" });
  });

  test("ignoreResult stores nothing, and get() rejects at once", async () => {
    const record = app.remote<(key: string, value: number) => number>("demo.record");
    const result = await record.applyAsync(["ignored", 1], { ignoreResult: true });
    await eventually("Python ran it", async () => (await fleet.seen("ignored")).length === 1);
    expect(await result.state()).toBe("PENDING");
    await expect(result.get({ timeout: 10 })).rejects.toMatchObject({ code: "PET_RESULT_IGNORED" });
  });

  test("children and parents of a Python task are handles here", async () => {
    const result = await app.sendTask("demo.parent", ["lineage"]);
    const childId = await result.get({ timeout: 10 });
    const children = await result.children();
    expect(children.map((child) => child.id)).toEqual([childId]);
    expect(await children[0]!.get({ timeout: 10 })).toBe("child");
    const collected: unknown[] = [];
    for await (const [one, value] of result.collect({ timeout: 10 })) collected.push([one.id, value]);
    expect(collected).toEqual([
      [result.id, childId],
      [childId, "child"],
    ]);
  });

  test("forget() removes what Python stored", async () => {
    const result = await add().delay(1, 2);
    await result.get({ timeout: 10 });
    await result.forget();
    expect(await fleet.python.value("return AsyncResult(args).state", result.id)).toBe("PENDING");
  });

  test("a handle made from an id alone reads Python's result", async () => {
    const id = await fleet.python.value<string>("return add.delay(20, 22).id");
    expect(await app.asyncResult(id).get({ timeout: 10 })).toBe(42);
  });
});
