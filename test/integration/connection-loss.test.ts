/** `worker_cancel_long_running_tasks_on_connection_loss`, over a real Redis whose connections are cut. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { TestSignal } from "../../src/base/test-signal.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { makePoolProject } from "./pool-support.ts";

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(() => redis.command("FLUSHALL"));

const cut = () => redis.command("CLIENT", "KILL", "TYPE", "normal");

/** A worker whose task tells of its runs, and ends when its signal is aborted or when `release` is called. */
async function started(cancels: boolean) {
  const app = new Celery("loss", {
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
    workerCancelLongRunningTasksOnConnectionLoss: cancels,
    logger: silentLogger,
  });
  const runs = new TestSignal<{ redelivered: boolean; release: (value: string) => void }>().init();
  const body = (signal: AbortSignal | null, redelivered: boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      runs.signal({ redelivered, release: resolve });
    });
  const late = app.task("loss.late", { bind: true, acksLate: true }, (task) =>
    body(task.signal, task.request.deliveryInfo.redelivered),
  );
  const deaf = app.task("loss.deaf", { bind: true, acksLate: true }, (task) =>
    body(null, task.request.deliveryInfo.redelivered),
  );
  const early = app.task("loss.early", { bind: true }, (task) =>
    body(task.signal, task.request.deliveryInfo.redelivered),
  );
  const worker = new Worker(app, { hostname: "loss@here", concurrency: 4 });
  await worker.start();
  return {
    tasks: { late, deaf, early },
    next: () => runs.next({ timeoutMs: 10_000 }),
    nothingMore: () => runs.expectEmpty(),
    async stop() {
      await worker.stop({ how: "cold" });
      await app.close();
    },
  };
}

test("a late-acked task is cancelled, says RETRY, and runs again as redelivered", async () => {
  const here = await started(true);
  try {
    const result = await here.tasks.late.delay();
    expect(await here.next()).toMatchObject({ redelivered: false });
    await cut();
    const second = await here.next();
    expect(second.redelivered).toBe(true);
    expect(await result.status()).toMatchObject({
      state: "RETRY",
      info: { message: expect.stringContaining("broker was lost") },
    });
    second.release("second");
    expect(await result.get({ timeout: 10 })).toBe("second");
    here.nothingMore();
  } finally {
    await here.stop();
  }
});

test("who does not look at its signal goes on, and its result counts; what was acked early goes on", async () => {
  const here = await started(true);
  try {
    for (const task of [here.tasks.deaf, here.tasks.early]) {
      const result = await task.delay();
      const run = await here.next();
      await cut();
      // Its next message is run only after the connection is back.
      const after = await here.tasks.early.delay();
      (await here.next()).release("after");
      expect(await after.get({ timeout: 10 })).toBe("after");
      run.release("first");
      expect(await result.get({ timeout: 10 })).toBe("first");
    }
    here.nothingMore();
  } finally {
    await here.stop();
  }
});

test("without the setting a lost connection cancels nothing", async () => {
  const here = await started(false);
  try {
    const result = await here.tasks.late.delay();
    const run = await here.next();
    await cut();
    const after = await here.tasks.early.delay();
    (await here.next()).release("after");
    await after.get({ timeout: 10 });
    run.release("first");
    expect(await result.get({ timeout: 10 })).toBe("first");
    here.nothingMore();
  } finally {
    await here.stop();
  }
});

test("in prefork its process is ended, and another one runs it", async () => {
  const project = makePoolProject(redis.url);
  const app = project.client();
  const pids = join(project.dir, "pids");
  writeFileSync(pids, "");
  const begun = (count: number) =>
    eventually(`run ${count} has begun`, () => readFileSync(pids, "utf8").split("\n").length > count, {
      timeoutMs: 20_000,
    });
  const worker = project.worker(
    ..."-P prefork -c 1 -l INFO -- worker.cancel_long_running_tasks_on_connection_loss=true".split(" "),
  );
  try {
    await worker.says(/tasks: +p\.add/);
    const result = await app.sendTask("p.late", [7, 2_000, pids]);
    await begun(1);
    await cut();
    await begun(2);
    expect(await result.get({ timeout: 20 })).toBe(7);
    const [first, second, ...more] = readFileSync(pids, "utf8").trim().split("\n");
    expect([first === second, more]).toEqual([false, []]);
  } finally {
    worker.kill("SIGKILL");
    await worker.ended;
    await app.close();
    project.remove();
  }
});
