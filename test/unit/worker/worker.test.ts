import { hostname } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { WORKER_STEP_NAMES } from "../../../src/app/steps.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { BackendError, ImproperlyConfigured, OperationalError } from "../../../src/errors.ts";
import { Celery } from "../../../src/index.ts";
import { banner, Worker, workerSteps } from "../../../src/worker/index.ts";
import { resolveOptions } from "../../../src/worker/options.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { type RigOptions, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig | null = null;
async function started(options: RigOptions = {}): Promise<WorkerRig> {
  rig = new WorkerRig(options);
  return rig.start();
}
afterEach(async () => {
  await rig?.stop();
  rig = null;
});

describe("options", () => {
  test("are Celery's defaults", async () => {
    const { worker } = await started({ worker: { concurrency: undefined } });
    expect(worker?.settings).toMatchObject({
      hostname: `celery@${hostname()}`,
      pool: "async",
      concurrency: 100,
      prefetchMultiplier: 1,
      prefetch: 100,
      queues: [expect.objectContaining({ name: "celery" })],
      purge: false,
    });
  });

  test("come from the settings, and win over them", async () => {
    const app = {
      workerConcurrency: 7,
      workerPrefetchMultiplier: 2,
      taskQueues: [{ name: "a" }, { name: "b" }],
    };
    const first = await started({ app, worker: { concurrency: undefined } });
    expect(first.worker?.settings).toMatchObject({ concurrency: 7, prefetch: 14 });
    expect(first.worker?.settings.queues.map((one) => one.name)).toEqual(["a", "b"]);
    await first.stop();
    const second = await started({
      app,
      worker: { concurrency: 3, excludeQueues: ["a"], hostname: "w1@%h" },
    });
    expect(second.worker?.settings).toMatchObject({ concurrency: 3, hostname: `w1@${hostname()}` });
    expect(second.worker?.settings.queues.map((one) => one.name)).toEqual(["b"]);
  });

  test.each([
    [{ concurrency: 1 }, {}, 4],
    [{ concurrency: 3 }, {}, 4],
    [{ concurrency: 50 }, {}, 50],
    [{ autoscale: { max: 20, min: 1 } }, {}, 20],
    [{ concurrency: 1, prefetchMultiplier: 1 }, {}, 1],
    [{ concurrency: 2, prefetchMultiplier: 3 }, {}, 6],
    [{ concurrency: 2 }, { workerPrefetchMultiplier: 1 }, 2],
    [{ concurrency: 2 }, { workerDisablePrefetch: true }, 2],
    [{ concurrency: 1, pool: "threads" as const }, {}, 4],
    [{ concurrency: 3, pool: "prefork" as const }, {}, 12],
    [{ pool: "solo" as const }, {}, 4],
  ])("prefetch of %j with %j is %i", async (options, conf, prefetch) => {
    const app = new Celery("t", { brokerUrl: "memory://prefetch", logger: silentLogger, ...conf });
    await internalsOf(app).finalize();
    expect(resolveOptions(internalsOf(app), { appModule: "./x.js", ...options }).prefetch).toBe(prefetch);
  });

  test("solo runs one at a time", async () => {
    const { worker } = await started({ worker: { pool: "solo", concurrency: 9 } });
    expect(worker?.settings).toMatchObject({ concurrency: 1, pool: "solo" });
  });

  test.each([
    ["celery.concurrency.prefork:TaskPool", "prefork"],
    ["processes", "prefork"],
    ["celery.concurrency.thread:TaskPool", "threads"],
    ["eventlet", "async"],
    ["celery.concurrency.solo", "solo"],
  ])("the pool %s is %s", async (workerPool, pool) => {
    const app = new Celery("t", { brokerUrl: "memory://names", logger: silentLogger, workerPool });
    await internalsOf(app).finalize();
    const settings = resolveOptions(internalsOf(app), { appModule: "./x.js" });
    expect(settings).toMatchObject({ pool, appModule: { module: "./x.js" } });
  });

  test.each([
    { concurrency: 0 },
    { concurrency: 1.5 },
    { prefetchMultiplier: -1 },
    { pool: "prefrok" as never },
    { pool: "prefork" as const },
    { maxTasksPerChild: 0 },
    { autoscale: { max: 1, min: 2 } },
    { autoscale: { max: 2, min: 1 }, pool: "solo" as const },
    { queues: ["a"], excludeQueues: ["a"] },
  ])("that make no sense are refused: %j", async (options) => {
    const worker = new Worker(
      new Celery("t", { brokerUrl: "memory://refused", logger: silentLogger }),
      options,
    );
    await expect(worker.start()).rejects.toThrow(ImproperlyConfigured);
    expect(worker.state).toBe("stopped");
  });

  test("purge empties the queues first", async () => {
    const { journal } = await started({ worker: { purge: true } });
    expect(journal).toEqual(["purge celery"]);
  });
});

describe("the life of a worker", () => {
  test("is told by signals, in order", async () => {
    rig = new WorkerRig();
    const heard: string[] = [];
    const names = [
      "celerydInit",
      "celerydAfterSetup",
      "workerInit",
      "workerReady",
      "workerShuttingDown",
      "workerShutdown",
    ] as const;
    for (const name of names) rig.app.signals[name].connect(() => void heard.push(name));
    await rig.start();
    expect(heard).toEqual(names.slice(0, 4));
    await rig.worker?.stop();
    expect(heard).toEqual(names);
  });

  test("starts once, however often it is asked", async () => {
    const one = await started();
    await Promise.all([one.worker?.start(), one.worker?.start()]);
    expect(one.worker?.state).toBe("running");
  });

  test("may be stopped before it was started, and is not started then", async () => {
    const worker = new Worker(new Celery("t", { brokerUrl: "memory://never", logger: silentLogger }));
    await worker.stop();
    await expect(worker.start()).rejects.toThrow("cannot be started again");
  });

  test("waits for a broker that is not there yet, and starts when it comes", async () => {
    rig = new WorkerRig();
    const clock = new VirtualClock();
    Object.defineProperty(internalsOf(rig.app), "clock", { value: clock });
    const away = new OperationalError("connection refused");
    let left = 2;
    rig.transport.start = () => (left-- > 0 ? Promise.reject(away) : Promise.resolve());
    const starting = rig.start();
    await turns();
    expect(rig.logger.lines).toMatchObject([
      {
        message: "cannot connect: trying again",
        fields: { server: "broker", attempt: 1, most: 100, waitSeconds: 2 },
      },
    ]);
    clock.advance(2000);
    await turns();
    expect(rig.logger.lines.at(-1)?.fields).toMatchObject({ attempt: 2, waitSeconds: 4 });
    clock.advance(4000);
    await starting;
    expect(rig.worker?.state).toBe("running");
  });

  test.each([
    ["a broker that refuses", new OperationalError("NOPERM", { code: "PET_BROKER_REFUSED" }), {}],
    [
      "a broker that is away, where that is not to be waited for",
      new OperationalError("away"),
      { brokerConnectionRetryOnStartup: false },
    ],
    ["an error of another kind", new TypeError("bug"), {}],
  ])("fails at once for %s", async (_name, error, app) => {
    rig = new WorkerRig({ app });
    rig.transport.start = () => Promise.reject(error);
    await expect(rig.start()).rejects.toBe(error);
  });

  test("waits for a result backend too, unless it refuses", async () => {
    rig = new WorkerRig({ app: { brokerConnectionMaxRetries: 1 } });
    const clock = new VirtualClock();
    Object.defineProperty(internalsOf(rig.app), "clock", { value: clock });
    const away = new BackendError("away", { cause: new OperationalError("away") });
    rig.backend.start = () => Promise.reject(away);
    const ended = rig.start().catch((error: unknown) => error);
    await turns();
    clock.advance(2000);
    expect(await ended).toBe(away);
    rig = new WorkerRig();
    const refused = new BackendError("no", {
      cause: new OperationalError("no", { code: "PET_BROKER_REFUSED" }),
    });
    rig.backend.start = () => Promise.reject(refused);
    await expect(rig.start()).rejects.toBe(refused);
  });

  test("can be stopped while it waits for its broker", async () => {
    rig = new WorkerRig();
    rig.transport.start = () => Promise.reject(new OperationalError("away"));
    const ended = rig.start().catch((error: unknown) => error);
    await turns();
    await rig.worker?.stop();
    expect(await ended).toBeInstanceOf(Error);
    expect(rig.worker?.state).toBe("stopped");
  });

  test("stops what had started when a step fails", async () => {
    rig = new WorkerRig();
    rig.backend.start = () => Promise.reject(new Error("no backend"));
    await expect(rig.start()).rejects.toThrow("no backend");
    expect(rig.journal).toEqual(["stop"]);
  });

  test("its settings are not known before it starts", () => {
    const worker = new Worker(new Celery("t", { logger: silentLogger }));
    expect(() => worker.hostname).toThrow("has not been started");
    expect([worker.active, worker.totals]).toEqual([0, {}]);
  });
});

test("the steps start in the order that they require", () => {
  const steps = workerSteps(new Celery("t", { logger: silentLogger }));
  expect(steps.map((step) => step.name)).toEqual(WORKER_STEP_NAMES);
  for (const [index, step] of steps.entries()) {
    for (const name of step.requires) expect(steps.findIndex((one) => one.name === name)).toBeLessThan(index);
  }
});

test("the banner shows what is served, without passwords", async () => {
  const one = await started({
    app: { brokerUrl: "redis://:secret@broker/0", resultBackend: "redis://user:secret@results/1" },
  });
  one.app.task("shop.add", (x: number) => x);
  const text = banner(one.worker as Worker, "1.2.3");
  expect(text).toContain(`petiole 1.2.3 · ${one.worker?.hostname} · node ${process.versions.node}`);
  for (const part of [
    "app:         test",
    "broker/0",
    "results/1",
    "concurrency: 2 (async), prefetch 4",
    "celery(direct)",
    "shop.add",
  ]) {
    expect(text).toContain(part);
  }
  expect(text).not.toContain("secret");
  expect(text).not.toContain("celery.accumulate");
});
