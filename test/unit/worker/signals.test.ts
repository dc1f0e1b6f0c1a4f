/** Signals of the worker itself: those of tasks are where tasks are. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SignalEvents } from "../../../src/index.ts";
import { Worker } from "../../../src/worker/index.ts";
import { turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;

beforeEach(() => {
  rig = new WorkerRig({ worker: { hostname: "w1@h" } });
});
afterEach(() => rig.stop());

describe("celerydInit", () => {
  test("may change the settings of one node, before they are final", async () => {
    rig.app.signals.celerydInit.connect(({ conf }) => void (conf.taskDefaultRateLimit = "10/m"), {
      sender: "w1@h",
    });
    rig.app.signals.celerydInit.connect(({ conf }) => void (conf.taskDefaultQueue = "other"), {
      sender: "w2@h",
    });
    await rig.start();
    expect(rig.app.conf.taskDefaultRateLimit).toBe("10/m");
    expect(rig.worker?.settings.queues.map(({ name }) => name)).toEqual(["celery"]);
    expect(() => void (rig.app.conf.taskDefaultQueue = "late")).toThrow("taskDefaultQueue");
  });

  test("is told once, whether or not the worker was prepared first", async () => {
    const told: unknown[] = [];
    rig.app.signals.celerydInit.connect(({ hostname, options }) => void told.push([hostname, options]));
    const worker = new Worker(rig.app, { hostname: "w1@h", concurrency: 1 });
    await worker.prepare();
    await worker.prepare();
    await worker.start();
    await worker.stop();
    expect(told).toEqual([["w1@h", { hostname: "w1@h", concurrency: 1 }]]);
  });
});

test("the node's name is the sender of all of them", async () => {
  const heard: string[] = [];
  const names = [
    "celerydAfterSetup",
    "workerInit",
    "workerProcessInit",
    "workerReady",
    "workerShuttingDown",
    "workerProcessShutdown",
    "workerShutdown",
  ] as const satisfies readonly (keyof SignalEvents)[];
  for (const name of names) {
    rig.app.signals[name].connect(() => void heard.push(name), { sender: "w1@h" });
    rig.app.signals[name].connect(() => void heard.push(`not ${name}`), { sender: "celery@h" });
  }
  await rig.start();
  await rig.worker?.stop();
  expect(heard).toEqual(names.toSpliced(1, 2, "workerInit", "workerProcessInit"));
});

test("an asynchronous handler is waited for: no message is taken before workerProcessInit is done", async () => {
  let ready = false;
  rig.app.signals.workerProcessInit.connect(async () => {
    await turns();
    ready = rig.transport.consumer === null;
  });
  await rig.start();
  expect(ready).toBe(true);
});

test("a handler that fails is logged with its signal, and keeps nobody from anything", async () => {
  const heard: string[] = [];
  rig.app.signals.workerReady.connect(() => Promise.reject(new Error("boom")));
  rig.app.signals.workerReady.connect(() => void heard.push("next"));
  await rig.start();
  expect(heard).toEqual(["next"]);
  expect(rig.logger.lines).toContainEqual({
    level: "error",
    message: "a signal handler failed",
    fields: { signal: "workerReady", err: new Error("boom") },
  });
});

test("workerShuttingDown is told for each harder stop, with the process's signal", async () => {
  const told: unknown[] = [];
  rig.app.signals.workerShuttingDown.connect(({ how, signal }) => void told.push([how, signal]));
  await rig.start();
  await Promise.all([
    rig.worker?.stop({ signal: "SIGTERM" }),
    rig.worker?.stop({ how: "cold", signal: "SIGQUIT" }),
  ]);
  expect(told).toEqual([
    ["warm", "SIGTERM"],
    ["cold", "SIGQUIT"],
  ]);
});

test("handlers that are not asynchronous have all run when an emit returns", () => {
  const heard: number[] = [];
  for (const n of [1, 2, 3]) rig.app.signals.importModules.connect(() => void heard.push(n));
  const emitter = rig.app.signals.importModules as unknown as {
    emit(event: object, to: object): Promise<void>;
  };
  void emitter.emit({}, { onError: () => {} });
  expect(heard).toEqual([1, 2, 3]);
});
