import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import type { WorkerStep, WorkerStepContext } from "../../../src/index.ts";
import { workerSteps } from "../../../src/worker/index.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { Gate, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;
let clock: VirtualClock;
let log: string[];

beforeEach(() => {
  rig = new WorkerRig();
  clock = new VirtualClock();
  Object.defineProperty(internalsOf(rig.app), "clock", { value: clock });
  log = [];
});
afterEach(() => rig.stop());

/** A step that notes what is asked of it. */
function step(name: string, more: Partial<WorkerStep> = {}): WorkerStep {
  return {
    name,
    start: () => void log.push(`start ${name}`),
    stop: async () => void log.push(`stop ${name}`),
    ...more,
  };
}

describe("steps of app.steps.worker", () => {
  test("start before the first message is taken, and stop after the last task, in the order they require", async () => {
    rig.app.steps.worker.add(step("b", { requires: ["a"] })).add(step("a", { requires: ["tasks"] }));
    rig.app.steps.worker.add(
      step("taking", { start: () => void log.push(`taking ${rig.transport.consumer !== null}`) }),
    );
    await rig.start();
    expect(log).toEqual(["start a", "start b", "taking false"]);
    const gate = new Gate();
    rig.app.task("t.wait", async () => (await gate.promise, void log.push("task")));
    await rig.run({ task: "t.wait" });
    const stopped = rig.worker?.stop();
    await turns();
    gate.open();
    await stopped;
    expect(log.slice(3)).toEqual(["task", "stop taking", "stop b", "stop a"]);
  });

  test("are given the worker", async () => {
    let given: WorkerStepContext | null = null;
    rig.app.steps.worker.add(step("look", { start: (context) => void (given = context) }));
    await rig.start();
    const context = given as unknown as WorkerStepContext;
    const { app, hostname, pool, concurrency, signal } = context;
    expect({ app, hostname, pool, concurrency }).toEqual({
      app: rig.app,
      hostname: rig.worker?.hostname,
      pool: "async",
      concurrency: 2,
    });
    expect(signal.aborted).toBe(false);
    context.stop();
    await turns();
    expect([signal.aborted, rig.worker?.state]).toEqual([true, "stopped"]);
  });

  test("that are off are not started; what requires them only comes later", async () => {
    rig.app.steps.worker.add(step("off", { enabled: () => false })).add(step("on", { requires: ["off"] }));
    await rig.start();
    expect(log).toEqual(["start on"]);
  });

  test("end the start when they fail, are named, and what had started is stopped", async () => {
    rig.app.steps.worker.add(step("good")).add(
      step("bad", {
        requires: ["good"],
        start: () => Promise.reject(new RangeError("port 80 is taken")),
      }),
    );
    await expect(rig.start()).rejects.toMatchObject({
      code: "PET_STEP_FAILED",
      message: "the step bad failed to start: port 80 is taken",
    });
    expect(log).toEqual(["start good", "stop bad", "stop good"]);
    expect(rig.journal.at(-1)).toBe("stop");
  });

  test("that fail to stop are logged with their name, and the others stop", async () => {
    const stop = (): never => {
      throw new Error("stuck");
    };
    rig.app.steps.worker.add(step("first")).add(step("second", { stop }));
    await rig.start();
    await rig.worker?.stop();
    expect(log.at(-1)).toBe("stop first");
    expect(rig.logger.lines).toContainEqual(
      expect.objectContaining({
        message: "a step failed to stop",
        fields: expect.objectContaining({ step: "second", what: "stop" }),
      }),
    );
  });

  test("are terminated in a cold stop, and left when they take too long", async () => {
    rig.app.steps.worker
      .add(step("quick", { terminate: () => void log.push("terminate quick") }))
      .add(step("slow", { stop: () => new Promise(() => {}) }));
    await rig.start();
    const stopped = rig.worker?.stop({ how: "cold" });
    await turns();
    clock.advance(2_000);
    await stopped;
    expect(log.slice(1)).toEqual(["start slow", "terminate quick"]);
    expect(rig.logger.of("error")).toEqual(["a step did not stop in time: it is left"]);
  });

  test.each([
    [{ name: "" }, "needs a name"],
    [{ name: "pool" }, "a step pool of its own"],
    [{ name: "twice" }, 'two steps "twice"'],
  ])("%j is refused", (given, message) => {
    rig.app.steps.consumer.add(step("twice"));
    expect(() => rig.app.steps.worker.add(given)).toThrow(message);
  });

  test("that require what is not there, or each other, are refused by name", async () => {
    rig.app.steps.worker.add(step("a", { requires: ["pol"] }));
    await expect(rig.start()).rejects.toThrow("step a requires pol, which is not there");
    const other = new WorkerRig();
    other.app.steps.worker.add(step("x", { requires: ["y"] })).add(step("y", { requires: ["x"] }));
    await expect(other.start()).rejects.toThrow("x -> y -> x");
  });
});

describe("steps of app.steps.consumer", () => {
  const state = async (is: "waiting" | "reclaiming" | "live"): Promise<void> => {
    rig.consumer.options.onState(is);
    await turns();
  };

  test("start with the consumer, stop while the broker is away, and start again", async () => {
    rig.app.steps.worker.add(step("steady"));
    rig.app.steps.consumer.add(step("one")).add(step("two"));
    await rig.start();
    await state("live");
    expect(log).toEqual(["start steady", "start one", "start two"]);
    await state("waiting");
    await state("reclaiming");
    expect(log.slice(3)).toEqual(["stop two", "stop one"]);
    await state("live");
    expect(log.slice(5)).toEqual(["start one", "start two"]);
    await rig.worker?.stop();
    expect(log.slice(7)).toEqual(["stop two", "stop one", "stop steady"]);
  });

  test("that cannot start again are logged, and are tried after the next loss", async () => {
    let starts = 0;
    const start = (): void => {
      starts += 1;
      if (starts === 2) throw new Error("not yet");
    };
    rig.app.steps.consumer.add(step("one", { start }));
    await rig.start();
    await state("waiting");
    await state("live");
    expect(rig.logger.of("error")).toEqual(["a step failed to start again"]);
    await state("waiting");
    await state("live");
    expect(starts).toBe(3);
  });

  test("do not come back while the worker stops", async () => {
    rig.app.steps.consumer.add(step("one"));
    await rig.start();
    await state("waiting");
    await rig.worker?.stop();
    await state("live");
    expect(log).toEqual(["start one", "stop one"]);
  });
});

test("--print-steps has them where they start", () => {
  rig.app.steps.worker.add(step("mine", { requires: ["pool"] }));
  rig.app.steps.consumer.add(step("last"));
  const names = workerSteps(rig.app).map(({ name }) => name);
  expect(names.indexOf("mine")).toBeLessThan(names.indexOf("consumer"));
  expect(workerSteps(rig.app).at(-1)).toEqual({ name: "last", requires: ["consumer"] });
});
