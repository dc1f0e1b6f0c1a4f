/** Unique tasks from the call to the result, over both transports. */
import { randomUUID } from "node:crypto";
import { Celery, kw, Reject, type TaskContext, TaskRevokedError } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

let server: RedisServer;
let opened: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const close of opened.toReversed()) await close();
  opened = [];
});

const SECONDS = { timeout: 20 };

describe.each(["memory", "redis"])("unique tasks over %s", (kind) => {
  let url = "";
  let app: Celery;
  /** Opens the gate of each task that waits. */
  let gates: (() => void)[] = [];
  const ran: unknown[] = [];

  const makeApp = (): Celery => {
    const made = new Celery("unique", {
      brokerUrl: kind === "redis" ? `${url}/0` : url,
      resultBackend: kind === "redis" ? `${url}/1` : url.replace("memory:", "cache+memory:"),
      logger: silentLogger,
    });
    opened.push(() => made.close());
    return made;
  };
  beforeEach(async () => {
    gates = [];
    ran.length = 0;
    if (kind === "redis") await server.command("FLUSHALL");
    url = kind === "redis" ? server.url : `memory://${randomUUID()}`;
    app = makeApp();
  });
  const start = async (concurrency = 4): Promise<Worker> => {
    const worker = new Worker(app, { concurrency });
    opened.push(() => worker.stop({ how: "cold" }));
    await worker.start();
    return worker;
  };
  const note = <T>(value: T): T => {
    ran.push(value);
    return value;
  };
  const hold = async <T>(value: T): Promise<T> => {
    ran.push(value);
    await new Promise<void>((resolve) => gates.push(resolve));
    return value;
  };
  const open = (): void => {
    for (const gate of gates.splice(0)) gate();
  };

  test("a second call while the first waits or runs gets its handle; after it the key is free", async () => {
    const task = app.task("u.hold", { unique: true }, (x: number) => hold(x));
    const first = await task.delay(1);
    const second = await task.delay(1);
    expect([first.duplicate, second.duplicate, second.id]).toEqual([false, true, first.id]);
    expect((await task.delay(2)).duplicate).toBe(false);
    await start();
    await eventually("both run", () => gates.length === 2);
    expect(await task.delay(1)).toMatchObject({ id: first.id, duplicate: true });
    open();
    expect([await first.get(SECONDS), await second.get(SECONDS)]).toEqual([1, 1]);
    await eventually("the key is free", async () => !(await task.delay(1)).duplicate);
    await eventually("it runs", () => gates.length === 1);
    open();
    expect(ran.toSorted((a, b) => Number(a) - Number(b))).toEqual([1, 1, 2]);
  });

  test("the key is free as soon as the result is there: one step does both", async () => {
    const task = app.task("u.quick", { unique: true }, (x: number) => note(x));
    await start();
    for (let i = 0; i < 20; i++) {
      const result = await task.delay(1);
      expect(result.duplicate).toBe(false);
      await result.get(SECONDS);
    }
    expect(ran).toHaveLength(20);
  });

  test("keys: of all arguments, in whatever order their properties are; or of one's own", async () => {
    const plain = app.task("u.plain", { unique: true }, (x: { a: number; b: number }) => x.a);
    const one = await plain.delay({ a: 1, b: 2 });
    expect(await plain.delay({ b: 2, a: 1 })).toMatchObject({ id: one.id, duplicate: true });
    expect((await plain.delay({ a: 1, b: 3 })).duplicate).toBe(false);
    const keyed = app.task(
      "u.keyed",
      { unique: { key: (id: number) => `user ${id}` } },
      (id: number, why: string) => `${id} ${why}`,
    );
    const mine = await keyed.delay(7, "first");
    expect(await keyed.delay(7, "second")).toMatchObject({ id: mine.id, duplicate: true });
    expect((await keyed.delay(8, "first")).duplicate).toBe(false);
    const bad = app.task("u.bad", { unique: { key: () => "" } }, () => 1);
    await expect(bad.delay()).rejects.toThrow("unique.key of task u.bad must give a text");
    // By name alone a task has no options, as in Celery.
    expect((await app.sendTask("u.plain", [{ a: 1, b: 2 }, kw({})])).duplicate).toBe(false);
  });

  test("until start: while one runs another may wait", async () => {
    const task = app.task("u.start", { unique: { until: "start" } }, (x: number) => hold(x));
    const first = await task.delay(1);
    expect((await task.delay(1)).duplicate).toBe(true);
    await start();
    await eventually("it runs", () => gates.length === 1);
    const second = await task.delay(1);
    expect(second.duplicate).toBe(false);
    await eventually("both run", () => gates.length === 2);
    open();
    expect([await first.get(SECONDS), await second.get(SECONDS)]).toEqual([1, 1]);
  });

  test.each<[string, (task: TaskContext) => unknown, string]>([
    [
      "a failure",
      () => {
        throw new Error("no");
      },
      "FAILURE",
    ],
    [
      "a rejection",
      () => {
        throw new Reject("no", { requeue: false });
      },
      "REJECTED",
    ],
  ])("the key is free after %s", async (_, run, state) => {
    const task = app.task("u.ends", { bind: true, unique: true }, run);
    const first = await task.delay();
    expect((await task.delay()).duplicate).toBe(true);
    await start();
    await eventually("it is over", async () => (await first.state()) === state);
    await eventually("the key is free", async () => !(await task.delay()).duplicate);
  });

  test("the key is free after a revoke, and after it has expired", async () => {
    const task = app.task("u.note", { unique: true }, (x: string) => note(x));
    const revoked = await task.delay("revoked");
    const expired = await task.applyAsync(["expired"], { expires: new Date(0) });
    const worker = await start();
    expect(worker.state).toBe("running");
    expect((await expired.outcome(SECONDS)).state).toBe("REVOKED");
    await revoked.get(SECONDS);
    await eventually("the key is free", async () => !(await task.delay("expired")).duplicate);
    await eventually("the key is free", async () => !(await task.delay("revoked")).duplicate);
    const later = await task.applyAsync(["later"], { countdown: 2 });
    await later.revoke({ wait: 1 });
    expect((await later.outcome(SECONDS)).state).toBe("REVOKED");
    await eventually("the key is free", async () => !(await task.delay("later")).duplicate);
  });

  test("retries keep the key", async () => {
    const task = app.task(
      "u.retries",
      { bind: true, unique: true, maxRetries: 2 },
      async (context): Promise<number> => {
        await hold(context.request.retries);
        if (context.request.retries < 2) throw context.retry({ countdown: 0 });
        return context.request.retries;
      },
    );
    const first = await task.delay();
    await start();
    for (let attempt = 0; attempt < 3; attempt++) {
      await eventually("an attempt runs", () => ran.length === attempt + 1 && gates.length === 1);
      expect(await task.delay()).toMatchObject({ id: first.id, duplicate: true });
      open();
    }
    expect(await first.get(SECONDS)).toBe(2);
    await eventually("the key is free", async () => !(await task.delay()).duplicate);
    await eventually("it runs", () => gates.length === 1);
    open();
  });

  test("a task that its worker gives back keeps its key, and frees it when it has run", async () => {
    const task = app.task("u.late", { unique: true, acksLate: true }, (x: number) => hold(x));
    const first = await task.delay(1);
    const worker = await start();
    await eventually("it runs", () => gates.length === 1);
    await worker.stop({ how: "cold" });
    expect(await task.delay(1)).toMatchObject({ id: first.id, duplicate: true });
    await start();
    await eventually("it runs again", () => gates.length === 2);
    expect(await task.delay(1)).toMatchObject({ id: first.id, duplicate: true });
    open();
    expect(await first.get(SECONDS)).toBe(1);
    await eventually("the key is free", async () => !(await task.delay(1)).duplicate);
    await eventually("it runs", () => gates.length === 1);
    open();
  });

  test("replace: the newest call runs, the older ones are revoked", async () => {
    const task = app.task("u.replace", { unique: { key: () => "k", replace: true } }, (x: number) => hold(x));
    const sent = [await task.delay(1), await task.delay(2), await task.delay(3)];
    expect(new Set(sent.map((one) => one.id)).size).toBe(3);
    await start();
    await eventually("the newest runs", () => gates.length === 1);
    expect(ran).toEqual([3]);
    expect(await task.delay(4)).toMatchObject({ id: sent[2]?.id, duplicate: true });
    open();
    expect(await sent[2]?.get(SECONDS)).toBe(3);
    await expect(sent[0]?.get(SECONDS)).rejects.toThrow(TaskRevokedError);
    expect((await sent[1]?.outcome(SECONDS))?.state).toBe("REVOKED");
  });

  test("debounce: a burst is one run, of the newest, when it has been quiet for so long", async () => {
    const task = app.task("u.debounce", { unique: { key: () => "k", debounce: 0.5 } }, (x: number) =>
      note(x),
    );
    await start();
    const from = performance.now();
    let last = await task.delay(0);
    for (let i = 1; i < 5; i++) last = await task.delay(i);
    expect(last.duplicate).toBe(false);
    expect(await last.get(SECONDS)).toBe(4);
    expect(performance.now() - from).toBeGreaterThan(490);
    expect(ran).toEqual([4]);
  });

  test("many in one round trip", async () => {
    const task = app.task("u.many", { unique: true }, (x: number) => note(x));
    const sent = await task.delayMany([[1], [2], [1], [2], [3]]);
    expect(sent.map((one) => one.duplicate)).toEqual([false, false, true, true, false]);
    expect(sent[2]?.id).toBe(sent[0]?.id);
    await start();
    await Promise.all(sent.map((one) => one.get(SECONDS)));
    expect(ran.toSorted((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3]);
  });

  test("a part of a chain takes no key: the next step waits for it", async () => {
    const task = app.task("u.chained", { unique: true }, (x: number) => note(x));
    await task.delay(1);
    const chained = await task
      .s(1)
      .pipe(app.task("u.next", (x: number) => x + 1).s())
      .delay();
    await start();
    expect(await chained.get(SECONDS)).toBe(2);
    expect(ran).toEqual([1, 1]);
  });

  test("a task that sends is told of duplicates too, and the plain ones beside them are sent", async () => {
    const unique = app.task("u.inner", { unique: true }, (x: number) => note(x));
    const outer = app.task("u.outer", async () => {
      const sent = [await unique.delay(1), await unique.delay(1)];
      return sent.map((one) => one.duplicate);
    });
    // The one slot is taken: the inner calls wait.
    await start(1);
    const result = await outer.delay();
    expect(await result.get(SECONDS)).toEqual([false, true]);
    expect(await result.children()).toHaveLength(2);
    await eventually("it runs once", () => ran.length === 1);
  });

  test("what makes no sense is refused where the task is defined", () => {
    const define =
      (unique: object): (() => unknown) =>
      () =>
        app.task(`u.${randomUUID()}`, { unique }, () => 1);
    expect(define({ ttl: 0 })).toThrow("seconds above 0 as ttl");
    expect(define({ until: "end" })).toThrow('"start" or "done"');
    expect(define({ maxWait: 5 })).toThrow("debounce where it has maxWait");
    expect(define({ debounce: 5, maxWait: 1 })).toThrow("maxWait that is no shorter");
    expect(define({ tll: 5 })).toThrow('has "tll"');
  });
});
