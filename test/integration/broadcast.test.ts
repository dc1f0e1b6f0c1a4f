/** Broadcast queues and queues of one worker, over the memory broker and over a real Redis. */
import { Redis } from "ioredis";
import { Celery, Reject, workerDirect } from "petiole";
import { Worker, type WorkerOptions } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

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

describe.each([
  ["memory://", () => `memory://broadcast-${count}`],
  ["Redis", () => `${redis.url}/0`],
])("over %s", (place, url) => {
  let app: Celery;
  let workers: Worker[];
  /** What ran, by the worker it ran on. */
  let ran: string[];

  beforeEach(async () => {
    count += 1;
    await admin.flushall();
    workers = [];
    ran = [];
    app = new Celery("it", {
      brokerUrl: url(),
      resultBackend: url(),
      logger: silentLogger,
      workerDirect: true,
      taskQueues: [{ name: "celery" }, { name: "news", exchangeType: "fanout" }],
    });
    app.task("hear", { bind: true }, (task, what: string) => {
      ran.push(`${task.request.hostname} ${what}`);
      return what;
    });
    app.task("refuse", { bind: true, acksLate: true }, (task): null => {
      ran.push(`${task.request.hostname} refused`);
      throw new Reject("no", { requeue: true });
    });
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop({ how: "cold" })));
    await app.close();
  });

  async function work(hostname: string, options: WorkerOptions = {}): Promise<Worker> {
    const worker = new Worker(app, { hostname, withoutMingle: true, withoutGossip: true, ...options });
    workers.push(worker);
    await worker.start();
    return worker;
  }

  /** What ran, once it is as much as that. */
  async function ranWhen(least: number): Promise<readonly string[]> {
    await eventually(`${least} tasks ran`, () => ran.length >= least);
    return [...ran].sort();
  }

  test("every worker runs a copy, with and without an ETA, and the result is stored", async () => {
    await work("a@h");
    await work("b@h");
    const now = await app.sendTask("hear", ["now"], { queue: "news" });
    expect(await ranWhen(2)).toEqual(["a@h now", "b@h now"]);
    expect(await now.get({ timeout: 10 })).toBe("now");
    await app.sendTask("hear", ["soon"], { queue: "news", countdown: 0.2 });
    expect(await ranWhen(4)).toEqual(["a@h now", "a@h soon", "b@h now", "b@h soon"]);
  });

  test("what is put back by its task is rejected: it runs once for each worker", async () => {
    await work("a@h");
    const result = await app.sendTask("refuse", [], { queue: "news" });
    await eventually("it is rejected", async () => (await result.status()).state === "REJECTED");
    expect(ran).toEqual(["a@h refused"]);
  });

  test("a task that is not known fails", async () => {
    await work("a@h");
    const result = await app.sendTask("nowhere", [], { queue: "news" });
    await expect(result.get({ timeout: 10 })).rejects.toThrow("nowhere");
  });

  test("is heard no more once it is cancelled, nor by a worker that stopped", async () => {
    await work("a@h");
    const stopped = await work("b@h");
    await work("c@h");
    await stopped.stop();
    await app.control.cancelConsumer("news", { destination: ["a@h"], reply: true });
    const shown = await app.control.inspect({ destination: ["c@h"] }).activeQueues();
    expect(shown["c@h"]).toMatchObject([
      { name: "celery" },
      { name: "c@h.dq2", exchange: { name: "C.dq2", type: "direct" }, routingKey: "c@h" },
      { name: expect.stringMatching(/^bcast\./), exchange: { name: "news", type: "fanout" } },
    ]);
    await app.sendTask("hear", ["it"], { queue: "news" });
    // A later message of each worker shows that nothing is on its way.
    for (const node of ["a@h", "c@h"]) await app.sendTask("hear", ["end"], { queue: workerDirect(node) });
    expect(await ranWhen(3)).toEqual(["a@h end", "c@h end", "c@h it"]);
  });

  test("a queue of one worker is served by that worker alone, whatever -Q says", async () => {
    await work("a@h", { queues: ["celery"] });
    await work("b@h", { queues: ["other"] });
    for (let i = 0; i < 4; i += 1) {
      await app.sendTask("hear", [`${i}`], { queue: workerDirect(i % 2 === 0 ? "a@h" : "b@h") });
    }
    expect(await ranWhen(4)).toEqual(["a@h 0", "a@h 2", "b@h 1", "b@h 3"]);
  });

  test.skipIf(place !== "Redis")("on Redis no list and no binding is left of a broadcast queue", async () => {
    await work("a@h");
    await app.sendTask("hear", ["x"], { queue: "news" });
    expect(await ranWhen(1)).toEqual(["a@h x"]);
    expect(await admin.keys("*news*")).toEqual([]);
    expect(await admin.keys("*bcast*")).toEqual([]);
  });
});
