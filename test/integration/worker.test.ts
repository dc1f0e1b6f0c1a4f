/** A worker end to end, over the memory broker and over a real Redis: a client in the same process sends, reads and waits. */
import { Redis } from "ioredis";
import { type AsyncResult, Celery, currentTask, type Task } from "petiole";
import { Worker, type WorkerOptions } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

/** Where the broker and the results live. */
interface Place {
  readonly brokerUrl: string;
  readonly resultBackend: string;
}

const SECONDS = { timeout: 20 };

let count = 0;
let redis: RedisServer;
let admin: Redis;

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.port);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

const places: Readonly<Record<string, () => Place>> = {
  "memory://": () => ({ brokerUrl: `memory://it-${count}`, resultBackend: `memory://it-${count}` }),
  "Redis, results in another database": () => ({
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
  }),
  "memory:// with results in Redis": () => ({
    brokerUrl: `memory://it-${count}`,
    resultBackend: `${redis.url}/1`,
  }),
};

describe.each(Object.entries(places))("over %s", (_name, place) => {
  let app: Celery;
  let workers: Worker[];
  /** What the tasks noted, in order. */
  let notes: unknown[];
  let add: Task<[x: number, y: number], number>;
  let note: Task<[what: unknown], null>;

  beforeEach(async () => {
    count += 1;
    await admin.flushall();
    workers = [];
    notes = [];
    app = new Celery("it", { ...place(), logger: silentLogger });
    add = app.task("it.add", (x: number, y: number) => x + y);
    note = app.task("it.note", (what: unknown) => {
      notes.push(what);
      return null;
    });
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop({ how: "cold" })));
    await app.close();
  });

  async function work(options: WorkerOptions = {}): Promise<Worker> {
    const worker = new Worker(app, { concurrency: 4, ...options });
    workers.push(worker);
    await worker.start();
    return worker;
  }

  /** A task that waits until it is let go. */
  function gated(
    name: string,
    options: { acksLate?: boolean } = {},
  ): { task: Task<[], string>; open: () => void; started: () => number } {
    let open = (): void => {};
    let started = 0;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const task = app.task(name, options, async (): Promise<string> => {
      started += 1;
      await gate;
      return "let go";
    });
    return { task, open, started: () => started };
  }

  test("a thousand tasks, each with its own result", async () => {
    const handles = await add.delayMany(Array.from({ length: 1000 }, (_, i): [number, number] => [i, i]));
    await work({ concurrency: 10 });
    const values = await Promise.all(handles.map((handle: AsyncResult<number>) => handle.get(SECONDS)));
    expect(values).toEqual(Array.from({ length: 1000 }, (_, i) => 2 * i));
  });

  test("tasks by name with keyword arguments, asynchronous ones, and failures", async () => {
    app.task("it.later", async (x: number) => {
      await new Promise(setImmediate);
      return x + 1;
    });
    app.task("it.fail", (): null => {
      throw new RangeError("no");
    });
    await work();
    const byName = await app.sendTask("it.add", [], { kwargs: { y: 2, x: 1 } });
    expect(await byName.get(SECONDS)).toBe(3);
    expect(await (await app.sendTask("it.later", [1])).get(SECONDS)).toBe(2);
    const failed = await (await app.sendTask("it.fail")).outcome(SECONDS);
    expect(failed).toMatchObject({ state: "FAILURE", error: { type: "ValueError", args: ["no"] } });
  });

  test("a retry keeps its id and comes back after its countdown", async () => {
    const flaky = app.task("it.flaky", { bind: true, maxRetries: 5 }, (task): string => {
      notes.push(`${task.request.id} ${task.request.retries}`);
      if (task.request.retries < 2) throw task.retry({ countdown: 0.05 });
      return "done";
    });
    await work();
    const handle = await flaky.delay();
    expect(await handle.get(SECONDS)).toBe("done");
    expect(notes).toEqual([0, 1, 2].map((n) => `${handle.id} ${n}`));
  });

  test("a chain of signatures in one message, callbacks and errbacks", async () => {
    app.task("it.fail", (): null => {
      throw new Error("no");
    });
    app.errback("it.local", (request, error) => {
      notes.push(`errback ${request.task} ${error.type}`);
    });
    await work();
    const linked = await add.applyAsync([1, 2], { link: add.s(10).link(note.s()) });
    expect(await linked.get(SECONDS)).toBe(3);
    await eventually("the callback's callback ran", () => notes.length > 0);
    expect(notes).toEqual([13]);
    const [child] = await linked.children();
    expect(await child?.get(SECONDS)).toBe(13);
    const signature = app
      .signature("it.fail", [])
      .linkError(app.signature("it.local") as never)
      .linkError(note.s());
    const failed = await (signature as unknown as { delay(): Promise<AsyncResult<unknown>> }).delay();
    await eventually("both errbacks ran", () => notes.length === 3);
    expect(new Set(notes.slice(1))).toEqual(new Set([failed.id, "errback it.fail Exception"]));
  });

  test("what a task sends inherits its root and parent, and becomes its child", async () => {
    const leaf = app.task("it.leaf", { bind: true }, (task) => [task.request.rootId, task.request.parentId]);
    const middle = app.task("it.middle", async (): Promise<string> => (await leaf.delay()).id);
    const top = app.task("it.top", async (): Promise<string> => {
      void note.delay("not waited for");
      return (await middle.delay()).id;
    });
    await work();
    const handle = await top.delay();
    const middleId = await handle.get(SECONDS);
    const leafId = await app.asyncResult<string>(middleId).get(SECONDS);
    expect(await app.asyncResult(leafId).get(SECONDS)).toEqual([handle.id, middleId]);
    const children = (await handle.children()).map((one) => one.id);
    expect(children).toHaveLength(2);
    expect(children).toContain(middleId);
    await eventually("the other ran too", () => notes.includes("not waited for"));
  });

  test("an ETA is waited for, and an expired task does not run", async () => {
    await work();
    const from = Date.now();
    const late = await note.applyAsync(["late"], { countdown: 0.3 });
    const soon = await note.applyAsync(["soon"]);
    const gone = await note.applyAsync(["gone"], { expires: new Date(Date.now() - 1000) });
    await Promise.all([late.get(SECONDS), soon.get(SECONDS)]);
    expect(Date.now() - from).toBeGreaterThanOrEqual(300);
    expect(await gone.outcome(SECONDS)).toMatchObject({ state: "REVOKED" });
    expect(notes).toEqual(["soon", "late"]);
  });

  test("states on the way are seen", async () => {
    const gate = gated("it.gate");
    const progress = app.task("it.progress", { bind: true }, async (task) => {
      await task.updateState("PROGRESS", { done: 1, of: 2 });
      expect(currentTask()).toBe(task);
      return await gate.task.run();
    });
    await work();
    const handle = await progress.delay();
    await eventually("the state is stored", async () => (await handle.state()) === "PROGRESS");
    expect(await handle.info()).toEqual({ done: 1, of: 2 });
    gate.open();
    expect(await handle.get(SECONDS)).toBe("let go");
  });

  test("a warm stop finishes what runs and puts the rest back, in order, for the next worker", async () => {
    const gate = gated("it.gate", { acksLate: true });
    const first = await work({ concurrency: 1 });
    const running = await gate.task.delay();
    const others = await note.delayMany([["a"], ["b"], ["c"]]);
    await eventually("it runs", () => gate.started() === 1);
    const stopping = first.stop();
    gate.open();
    await stopping;
    expect(await running.get(SECONDS)).toBe("let go");
    expect(notes).toEqual([]);
    await work({ concurrency: 1 });
    await Promise.all(others.map((one) => one.get(SECONDS)));
    expect(notes).toEqual(["a", "b", "c"]);
  });

  test("a cold stop puts a late-acked task back, and the next worker runs it", async () => {
    const gate = gated("it.gate", { acksLate: true });
    const first = await work();
    const handle = await gate.task.delay();
    await eventually("it runs", () => gate.started() === 1);
    await first.stop({ how: "cold" });
    await work();
    await eventually("it runs again", () => gate.started() === 2);
    gate.open();
    expect(await handle.get(SECONDS)).toBe("let go");
  });

  test("two workers share the work, and each task runs once", async () => {
    await Promise.all([work({ hostname: "w1@%h" }), work({ hostname: "w2@%h" })]);
    const where = app.task("it.where", { bind: true }, async (task, n: number) => {
      notes.push(String(n));
      await new Promise(setImmediate);
      return task.request.hostname;
    });
    const handles = await where.delayMany(Array.from({ length: 200 }, (_, i): [number] => [i]));
    const hosts = new Set(await Promise.all(handles.map((one) => one.get(SECONDS))));
    expect(new Set([...hosts].map((host) => host.split("@")[0]))).toEqual(new Set(["w1", "w2"]));
    expect(notes.toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 200 }, (_, i) => String(i)),
    );
  });

  test("priorities and queues are served as they were asked for", async () => {
    await note.applyAsync(["low"], { priority: 9 });
    await note.applyAsync(["high"], { priority: 0 });
    await note.applyAsync(["elsewhere"], { queue: "other" });
    const worker = await work({ concurrency: 1, prefetchMultiplier: 1 });
    await eventually("both ran", () => notes.length === 2);
    expect(notes).toEqual(["high", "low"]);
    await worker.stop();
    await work({ queues: ["other"] });
    await eventually("the other queue's ran", () => notes.length === 3);
  });

  test("a schema is checked, and its failure has the path", async () => {
    const { z } = await import("zod");
    const input = z.object({ id: z.string(), lines: z.array(z.object({ sku: z.string() })).default([]) });
    const order = app.task("it.order", { input }, ({ id, lines }) => `${id} ${lines.length}`);
    await work();
    expect(await (await order.delay({ id: "a" })).get(SECONDS)).toBe("a 0");
    const bad = await app.sendTask("it.order", [], { kwargs: { id: "a", lines: [{ sku: 5 }] } });
    expect(await bad.outcome(SECONDS)).toMatchObject({
      error: { type: "ValueError", args: [expect.stringContaining("it.order: input.lines[0].sku: ")] },
    });
  });
});

describe("over Redis", () => {
  test("ends with nothing held, nothing waiting, and results that expire", async () => {
    await admin.flushall();
    const app = new Celery("it", {
      brokerUrl: `${redis.url}/0`,
      resultBackend: `${redis.url}/1`,
      logger: silentLogger,
    });
    const add = app.task("it.add", (x: number, y: number) => x + y);
    const worker = new Worker(app, { concurrency: 4 });
    await worker.start();
    const handles = await add.delayMany(Array.from({ length: 100 }, (_, i): [number, number] => [i, 1]));
    await Promise.all(handles.map((one) => one.get(SECONDS)));
    await worker.stop();
    await app.close();
    const kinds = await Promise.all(
      (await admin.keys("*")).map(async (key) => [key, await admin.type(key)] as const),
    );
    expect(kinds.filter(([, type]) => type !== "string" && type !== "none").map(([key]) => key)).toEqual([
      "_kombu.binding.celery",
    ]);
    await admin.select(1);
    const ttl = await admin.ttl(`celery-task-meta-${handles[0]?.id}`);
    await admin.select(0);
    expect(ttl).toBeGreaterThan(86_000);
  });
});
