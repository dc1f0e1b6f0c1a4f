/** A Python client, a Petiole worker: Python reads what the worker stored, with its own Celery. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { PythonClient } from "../support/python.ts";
import { samples } from "./fixtures/tasks.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
let python: PythonClient;

beforeAll(async () => {
  fleet = await startFleet();
  ({ python } = fleet);
  await fleet.worker({ hostname: "ts@test", concurrency: 4 });
});

afterAll(() => fleet?.stop());

describe("calls", () => {
  test("a result computed by Node is read by Python", async () => {
    expect(await python.run("return add.delay(2, 3).get(timeout=10)")).toMatchObject({
      type: "int",
      value: 5,
    });
    expect(await python.value("return whoami.delay('x').get(timeout=10)")).toEqual(["ts", "ts@test", "x"]);
  });

  test("keyword arguments bind to parameters, with defaults, *args and **kwargs", async () => {
    const call = (code: string): Promise<unknown> => python.value(`return keywords.${code}.get(timeout=10)`);
    expect(await call("delay(1)")).toEqual({ first: 1, second: "two", rest: [], third: 3, others: {} });
    expect(await call("delay(1, 2, 8, 9, third=4, extra=5)")).toEqual({
      first: 1,
      second: 2,
      rest: [8, 9],
      third: 4,
      others: { extra: 5 },
    });
    expect(await call("delay(first='a', second='b')")).toMatchObject({ first: "a", second: "b" });
    expect(await python.value("return add.delay(x=1, y=2).get(timeout=10)")).toBe(3);
  });

  test("arguments that do not bind are a TypeError in Python", async () => {
    const error = await python.raised("app.send_task('demo.add', (1,), {'z': 3}).get(timeout=10)");
    expect([error.type, error.module]).toEqual(["TypeError", "builtins"]);
    expect(error.message).toContain("demo.add");
  });

  test("send_task by name needs nothing registered on the Python side", async () => {
    const code = "return tasks.app.send_task('demo.current', task_id='my-own-id').get(timeout=10)";
    expect(await python.value(code.replace("tasks.app", "app"))).toBe("my-own-id");
  });

  test("many calls at once are all answered", async () => {
    const code = `
      results = [add.delay(n, n) for n in range(200)]
      return [r.get(timeout=30) for r in results]
    `;
    expect(await python.value(code)).toEqual(Array.from({ length: 200 }, (_, n) => 2 * n));
    await eventually("nothing is held any more", async () => (await fleet.unacked()) === 0);
  });
});

describe("values", () => {
  test("every kind of value that Python sends comes back as the same Python value", async () => {
    const code = `
      sent = args_value()
      got = echo.delay(sent).get(timeout=10)
      different = {k: [repr(sent[k]), repr(got.get(k))] for k in sent if got.get(k) != sent[k] or type(got.get(k)) is not type(sent[k])}
      return [different, sorted(set(got) - set(sent))]
    `.replace("args_value()", "SAMPLES");
    expect(await python.value(code)).toEqual([{}, []]);
  });

  test("JavaScript's own values arrive as the Python types that stand for them", async () => {
    const seen = await python.value(`
      got = app.send_task("demo.samples").get(timeout=10)
      return {k: [type(v).__name__, repr(v)] for k, v in got.items()}
    `);
    expect(seen).toEqual({
      datetime: [
        "datetime",
        "datetime.datetime(2026, 11, 24, 8, 30, 15, 123000, tzinfo=datetime.timezone.utc)",
      ],
      bytes: ["bytes", String.raw`b'\x00\xff\xfe b'`],
      text_bytes: ["bytes", "b'plain'"],
      big: ["int", String(samples.big)],
      negative: ["int", String(samples.negative)],
      unicode: ["str", String.raw`'naïve ☕ 日本語 😀 \x00 end'`],
      float: ["float", "0.1"],
      nested: ["list", "[[], {}, [None, True, False, {'a': [1, 2.5]}]]"],
    });
  });

  test("Python's values arrive as JavaScript's own types", async () => {
    const code = `return {k: typed.delay(v).get(timeout=10) for k, v in SAMPLES.items() if k != "nested"}`;
    const seen = await python.value<Record<string, [string, string]>>(code);
    expect(seen).toEqual({
      datetime: ["Date", String(new Date("2026-11-24T08:30:15.123Z"))],
      bytes: ["Uint8Array", "0,255,254,32,98,105,110,97,114,121"],
      text_bytes: ["Uint8Array", "112,108,97,105,110"],
      big: ["bigint", String(2n ** 70n + 1n)],
      negative: ["bigint", String(-(2n ** 64n))],
      unicode: ["string", "naïve ☕ 日本語 😀 \u0000 end"],
      float: ["number", "0.1"],
      uuid: ["Uuid", "12345678-1234-5678-1234-567812345678"],
      decimal: ["Decimal", "10.50"],
      date: ["PlainDate", "2026-02-28"],
      time: ["PlainTime", "23:59:58"],
    });
  });

  test("NaN and the infinities survive the way there and back", async () => {
    const code = `
      got = echo.delay([float("nan"), float("inf"), float("-inf"), 1e308, -0.0]).get(timeout=10)
      return [repr(v) for v in got]
    `;
    expect(await python.value(code)).toEqual(["nan", "inf", "-inf", "1e+308", "-0.0"]);
  });

  test("a naive datetime stays naive and keeps its wall time", async () => {
    const code = `
      sent = datetime.datetime(2026, 3, 29, 2, 30)
      got = echo.delay(sent).get(timeout=10)
      aware = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
      back = echo.delay(aware).get(timeout=10)
      return [repr(got), back == aware]
    `;
    const [naive, aware] = await python.value<[string, boolean]>(code);
    expect(aware).toBe(true);
    // JavaScript has no naive time: UTC is what Celery itself reads a naive one as.
    expect(naive).toMatch(/^datetime\.datetime\(2026, 3, 29, 2, 30/);
  });
});

describe("failures", () => {
  test("an error with a Python identity is raised as that class, with its arguments", async () => {
    const error = await python.raised("fail.delay('no luck').get(timeout=10)");
    expect([error.type, error.module, error.args]).toEqual(["ValueError", "builtins", ["'no luck'", "42"]]);
  });

  test("JavaScript's TypeError is Python's TypeError", async () => {
    const error = await python.raised("app.send_task('demo.type_error').get(timeout=10)");
    expect([error.type, error.module, error.args]).toEqual(["TypeError", "builtins", ["'not a function'"]]);
  });

  test("an exception of the project's own keeps its name and arguments", async () => {
    const error = await python.raised("out_of_stock.delay('cup', 3).get(timeout=10)");
    expect(error.type).toBe("OutOfStock");
    expect(error.args).toEqual(["'cup'", "3"]);
  });

  test("the traceback that Python shows names the task's file", async () => {
    const [state, traceback] = await python.value<[string, string]>(`
      result = fail.delay("x")
      result.get(timeout=10, propagate=False)
      return [result.state, result.traceback]
    `);
    expect(state).toBe("FAILURE");
    expect(traceback).toMatch(/tasks\.(ts|js)/);
    expect(traceback).toContain("ValueError");
  });

  test("an unregistered task is NotRegistered", async () => {
    const error = await python.raised("app.send_task('demo.nowhere').get(timeout=10)");
    expect([error.type, error.module]).toEqual(["NotRegistered", "celery.exceptions"]);
    expect(error.args).toEqual(["'demo.nowhere'"]);
  });

  test("an ignored task stores nothing of its own, a rejected one that it was rejected", async () => {
    const states = await python.value(`
      a, b = ignore.delay(), reject.delay()
      add.delay(1, 1).get(timeout=10)
      deadline = time.monotonic() + 10
      while (a.state, b.state) != ("CUSTOM", "REJECTED") and time.monotonic() < deadline:
          time.sleep(0.02)
      return [a.state, a.info, b.state]
    `);
    // Celery 5.6.3 stores nothing for a rejected task; a caller can tell it from one that was never sent.
    expect(states).toEqual(["CUSTOM", { kept: true }, "REJECTED"]);
    await eventually("both are off the broker", async () => (await fleet.unacked()) === 0);
  });
});

describe("retries", () => {
  test("a task that retries by hand succeeds with its count, and its id never changes", async () => {
    const seen = await python.value(`
      result = flaky.delay(3)
      return [result.get(timeout=20), result.id == result.id, result.state]
    `);
    expect(seen).toEqual([3, true, "SUCCESS"]);
  });

  test("autoretry works as Celery's", async () => {
    expect(await python.value("return autoretry.delay(2).get(timeout=30)")).toBe(2);
  });

  test("the last attempt raises the cause", async () => {
    const error = await python.raised("hopeless.delay().get(timeout=20)");
    expect([error.type, error.args]).toEqual(["KeyError", ["'never'"]]);
  });

  test("while it waits for its next attempt its state is RETRY, with the cause", async () => {
    const seen = await python.value(`
      result = app.send_task("demo.slow_retry")
      deadline = time.monotonic() + 10
      while result.state not in ("RETRY", "FAILURE") and time.monotonic() < deadline:
          time.sleep(0.02)
      state, info = result.state, result.info
      return [state, type(info).__name__, str(info), bool(result.traceback)]
    `);
    expect(seen).toEqual(["RETRY", "ValueError", "later", true]);
  });
});

describe("time", () => {
  test("a countdown is waited for, and the message says the same instant on both sides", async () => {
    const [waited, value] = await python.value<[number, number]>(`
      started = time.monotonic()
      value = add.apply_async((1, 2), countdown=1.5).get(timeout=20)
      return [time.monotonic() - started, value]
    `);
    expect(value).toBe(3);
    expect(waited).toBeGreaterThanOrEqual(1.4);
    expect(waited).toBeLessThan(6);
  });

  test("an ETA in another time zone is that instant", async () => {
    const [sent] = await python.value<[number]>(`
      zone = datetime.timezone(datetime.timedelta(hours=-7))
      eta = datetime.datetime.now(zone) + datetime.timedelta(seconds=1)
      record_request.apply_async(("eta",), eta=eta).get(timeout=20)
      return [eta.timestamp() * 1000]
    `);
    const [seen] = (await fleet.seen("eta")) as { eta: string }[];
    expect(Math.abs(Date.parse(seen!.eta) - sent)).toBeLessThan(2);
  });

  test("an ETA that lies in the past runs now", async () => {
    const code = `
      eta = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
      return add.apply_async((1, 2), eta=eta).get(timeout=10)
    `;
    expect(await python.value(code)).toBe(3);
  });

  test("a task that expired before it could start is REVOKED and never runs", async () => {
    const error = await python.raised(`
      past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
      record.apply_async(("expired",), expires=past).get(timeout=10)
    `);
    expect([error.type, error.args]).toEqual(["TaskRevokedError", ["'expired'"]]);
    expect(await fleet.seen("expired")).toEqual([]);
  });

  test("a task that expires while it waits for its ETA is REVOKED", async () => {
    const error = await python.raised(
      "record.apply_async(('late',), countdown=2, expires=1).get(timeout=20)",
    );
    expect(error.type).toBe("TaskRevokedError");
    expect(await fleet.seen("late")).toEqual([]);
  });
});

describe("states and options", () => {
  test("a custom state is read by Python while the task runs", async () => {
    const seen = await python.value(`
      result = progress.delay(3, "gate-progress")
      deadline = time.monotonic() + 10
      while (result.state, result.info) != ("PROGRESS", {"done": 3, "of": 3}) and time.monotonic() < deadline:
          time.sleep(0.02)
      state, info = result.state, result.info
      app.backend.client.set("gate-progress", 1)
      return [state, info, result.get(timeout=10), result.state]
    `);
    expect(seen).toEqual(["PROGRESS", { done: 3, of: 3 }, "done", "SUCCESS"]);
  });

  test("ignore_result stores nothing", async () => {
    const state = await python.value(`
      result = record.apply_async(("ignored", 1), ignore_result=True)
      deadline = time.monotonic() + 10
      while not app.backend.client.exists("seen:ignored") and time.monotonic() < deadline:
          time.sleep(0.02)
      add.delay(1, 1).get(timeout=10)
      return [result.state, app.backend.client.exists("celery-task-meta-" + result.id)]
    `);
    expect(state).toEqual(["PENDING", 0]);
    expect(await fleet.seen("ignored")).toEqual([["ts", 1]]);
  });

  test("what the message says about itself is what the task is told", async () => {
    const id = await python.value<string>(`
      result = record_request.apply_async(
          ("request",), priority=5, headers={"tenant": "acme"}, time_limit=60, soft_time_limit=50, expires=600,
      )
      result.get(timeout=10)
      return result.id
    `);
    const [seen] = (await fleet.seen("request")) as Record<string, unknown>[];
    expect(seen).toMatchObject({
      id,
      root_id: id,
      parent_id: null,
      retries: 0,
      timelimit: [60, 50],
      lang: "py",
      ignore_result: false,
      priority: 5,
      headers: { tenant: "acme" },
      correlation_id: id,
    });
    expect(seen!["origin"]).toMatch(/^gen\d+@/);
    expect(Date.parse(String(seen!["expires"])) - Date.now()).toBeGreaterThan(500_000);
  });

  test("the result's date is an ISO date that Python parses, and the result expires in Redis", async () => {
    const [type, age, ttl] = await python.value<[string, number, number]>(`
      result = add.delay(1, 2)
      result.get(timeout=10)
      done = result.date_done
      if done.tzinfo is None:
          done = done.replace(tzinfo=datetime.timezone.utc)
      age = (datetime.datetime.now(datetime.timezone.utc) - done).total_seconds()
      return [type(done).__name__, age, app.backend.client.ttl("celery-task-meta-" + result.id)]
    `);
    expect(type).toBe("datetime");
    expect(Math.abs(age)).toBeLessThan(10);
    expect(ttl).toBeGreaterThan(86_000);
  });

  test("Python forgets a result that we stored", async () => {
    expect(
      await python.value(`
        result = add.delay(1, 2)
        result.get(timeout=10)
        result.forget()
        return app.backend.client.exists("celery-task-meta-" + result.id)
      `),
    ).toBe(0);
  });
});

describe("lineage", () => {
  test("a task sent from inside our task has our task as parent, and Python lists it as a child", async () => {
    const [parentId, children, childValue] = await python.value<[string, string[], unknown]>(`
      result = parent.delay("lineage")
      result.get(timeout=10)
      children = result.children
      return [result.id, [child.id for child in children], children[0].get(timeout=10)]
    `);
    expect(children).toHaveLength(1);
    expect(childValue).toBe("child");
    expect((await fleet.meta(parentId))["children"]).toEqual([[[children[0], null], null]]);
    expect(await fleet.meta(children[0]!)).toMatchObject({ parent_id: parentId });
  });
});
