/** How a worker is told to stop: by process signals, and by its own method. */
import { afterEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { handleSignals, type StopKind, type Worker } from "../../../src/worker/index.ts";
import { eventually } from "../../support/eventually.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { Gate, type RigOptions, turns, WorkerRig } from "./support.ts";

const SOFT = { workerSoftShutdownTimeout: 10 };
const raise = (signal: NodeJS.Signals): boolean => process.emit(signal, signal);

let rig: WorkerRig;
let clock: VirtualClock;
let gate: Gate;
let told: (StopKind | "force" | "hangup")[];
let undo: () => void = () => {};

async function started(app: RigOptions["app"] = {}): Promise<Worker> {
  rig = new WorkerRig({ app });
  clock = new VirtualClock();
  gate = new Gate();
  told = [];
  Object.defineProperty(internalsOf(rig.app), "clock", { value: clock });
  rig.app.signals.workerShuttingDown.connect(({ how }) => told.push(how));
  await rig.start();
  return rig.worker as Worker;
}

/** With a task that runs until the gate opens. */
async function busy(app: RigOptions["app"] = {}): Promise<Worker> {
  const worker = await started(app);
  rig.app.task("t.wait", async () => (await gate.promise, 1));
  await rig.run({ task: "t.wait" });
  return worker;
}

/** Until it has stopped: its pool waits a moment for what was given up. */
async function over(stopped: Promise<void>): Promise<void> {
  let isOver = false;
  void stopped.finally(() => {
    isOver = true;
  });
  await eventually("the worker has stopped", () => {
    clock.advance(1);
    return isOver;
  });
}

function handle(worker: Worker, more: { env?: Record<string, string>; onHangup?: () => void } = {}): void {
  undo = handleSignals(worker, {
    logger: rig.logger,
    force: () => told.push("force"),
    env: {},
    ...more,
  });
}

afterEach(async () => {
  undo();
  gate.open();
  await rig.stop();
});

describe("process signals", () => {
  const REMAP = { REMAP_SIGTERM: "SIGQUIT" };
  test.each([
    ["SIGTERM stays warm", SOFT, {}, ["SIGTERM", "SIGTERM", "SIGTERM"], ["warm"]],
    [
      "SIGINT goes all the way",
      SOFT,
      {},
      ["SIGINT", "SIGINT", "SIGINT", "SIGINT"],
      ["warm", "soft", "cold", "force"],
    ],
    [
      "without a time there is no soft stop",
      {},
      {},
      ["SIGINT", "SIGINT", "SIGINT"],
      ["warm", "cold", "force"],
    ],
    ["SIGQUIT begins soft", SOFT, {}, ["SIGQUIT", "SIGQUIT", "SIGQUIT"], ["soft", "cold", "force"]],
    ["SIGQUIT begins cold without a time", {}, {}, ["SIGQUIT", "SIGTERM", "SIGQUIT"], ["cold", "force"]],
    [
      "SIGQUIT after SIGTERM",
      SOFT,
      {},
      ["SIGTERM", "SIGQUIT", "SIGTERM", "SIGINT"],
      ["warm", "soft", "cold"],
    ],
    [
      "a remapped SIGTERM is a SIGQUIT",
      SOFT,
      REMAP,
      ["SIGTERM", "SIGTERM", "SIGTERM"],
      ["soft", "cold", "force"],
    ],
    ["SIGHUP is a SIGTERM", SOFT, {}, ["SIGHUP", "SIGHUP"], ["warm"]],
  ] as const)("%s", async (_name, app, env, signals, expected) => {
    const worker = await busy(app);
    handle(worker, { env });
    for (const signal of signals) raise(signal);
    expect(told).toEqual(expected);
    await turns();
    expect(worker.state).toBe("stopping");
  });

  test("a signal that changes nothing is said", async () => {
    const worker = await busy();
    handle(worker);
    raise("SIGTERM");
    raise("SIGTERM");
    expect(rig.logger.of("warn")).toEqual([
      "signal received: the worker stops",
      "signal received: the worker is stopping already",
    ]);
  });

  test("SIGHUP is the process's own where it has something to reopen", async () => {
    const worker = await started();
    handle(worker, { onHangup: () => told.push("hangup") });
    raise("SIGHUP");
    expect([told, worker.stopping]).toEqual([["hangup"], null]);
  });

  test("handlers are gone when they were removed", async () => {
    const worker = await started();
    const before = process.listenerCount("SIGTERM");
    handle(worker);
    expect(process.listenerCount("SIGTERM")).toBe(before + 1);
    undo();
    expect(process.listenerCount("SIGTERM")).toBe(before);
  });
});

describe("a soft stop", () => {
  test("waits for running tasks, and is over with them", async () => {
    const worker = await busy(SOFT);
    const stopped = worker.stop({ how: "soft" });
    await turns();
    clock.advance(9_999);
    gate.open();
    await stopped;
    expect(rig.meta()["status"]).toBe("SUCCESS");
    expect(clock.timers).toBe(0);
  });

  test("gives them up after its time", async () => {
    const worker = await busy();
    const stopped = worker.stop({ timeout: 3 });
    await turns();
    clock.advance(2_999);
    await turns();
    expect([worker.state, worker.stopping]).toEqual(["stopping", "soft"]);
    await over(stopped);
    expect(rig.meta()["status"]).not.toBe("SUCCESS");
  });

  test("is short while nothing runs, and takes its whole time with workerEnableSoftShutdownOnIdle", async () => {
    await (await started(SOFT)).stop({ how: "soft" });
    const worker = await started({ ...SOFT, workerEnableSoftShutdownOnIdle: true });
    const stopped = worker.stop({ how: "soft" });
    await turns();
    clock.advance(9_999);
    await turns();
    expect(worker.state).toBe("stopping");
    clock.advance(1);
    await stopped;
  });

  test("does not go back to a milder one", async () => {
    const worker = await busy(SOFT);
    void worker.stop({ how: "soft" });
    void worker.stop();
    await turns();
    expect([worker.stopping, told]).toEqual(["soft", ["soft"]]);
  });
});

test("workerSoftShutdownTimeout does not shorten a warm stop", async () => {
  const worker = await busy(SOFT);
  const stopped = worker.stop();
  await turns();
  clock.advance(60_000);
  await turns();
  expect([worker.state, worker.stopping]).toEqual(["stopping", "warm"]);
  gate.open();
  await stopped;
  expect(rig.meta()["status"]).toBe("SUCCESS");
});

test("a handler of workerShuttingDown that hangs does not hold up a cold stop", async () => {
  const worker = await busy();
  rig.app.signals.workerShuttingDown.connect(() => new Promise(() => {}));
  void worker.stop();
  await over(worker.stop({ how: "cold" }));
  expect(worker.state).toBe("stopped");
});
