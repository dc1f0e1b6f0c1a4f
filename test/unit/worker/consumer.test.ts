import { afterEach, describe, expect, test } from "vitest";
import type { WorkerShutdown } from "../../../src/errors.ts";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import type { TaskOptions } from "../../../src/task/task-types.ts";
import { delivery, Gate, message, type RigOptions, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;
/** Gates of the running tasks, by id. */
let gates: Map<string, Gate>;
/** Ids in the order of their start. */
let starts: string[];

async function started(options: RigOptions = {}, task: TaskOptions = {}): Promise<WorkerRig> {
  rig = new WorkerRig(options);
  gates = new Map();
  starts = [];
  rig.app.task("t.wait", { ...task, bind: true }, async (self) => {
    const gate = new Gate();
    gates.set(self.request.id, gate);
    starts.push(self.request.id);
    await gate.promise;
    return self.request.id;
  });
  rig.app.task("t.abortable", { ...task, bind: true }, async (self): Promise<string> => {
    starts.push(self.request.id);
    await new Promise((_, reject) => {
      self.signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
    });
    return "never";
  });
  rig.app.task("t.note", { ...task, bind: true }, (self) => {
    starts.push(self.request.id);
    return null;
  });
  return rig.start();
}
afterEach(async () => {
  for (const gate of gates.values()) gate.open();
  await rig.stop();
});

const of = (task: string, id: string): ReturnType<typeof delivery> => delivery(message({ task, id }));
const end = async (id: string): Promise<void> => {
  gates.get(id)?.open();
  await turns();
};

describe("slots", () => {
  test("run as many at once as there are, in the order of arrival", async () => {
    await started();
    await rig.deliver(of("t.wait", "a"), of("t.wait", "b"), of("t.wait", "c"), of("t.note", "d"));
    expect(starts).toEqual(["a", "b"]);
    expect(rig.worker?.active).toBe(2);
    await end("b");
    expect(starts).toEqual(["a", "b", "c"]);
    await end("a");
    expect(starts).toEqual(["a", "b", "c", "d"]);
    await end("c");
    expect(rig.worker?.active).toBe(0);
  });

  test("ask for the concurrency times the multiplier, or for everything", async () => {
    await started({ worker: { concurrency: 3, prefetchMultiplier: 2, queues: ["a", "b"] } });
    expect(rig.consumer.options).toMatchObject({ prefetch: 6, queues: ["a", "b"] });
    await rig.stop();
    await started({ worker: { prefetchMultiplier: 0 } });
    expect(rig.consumer.options.prefetch).toBe(65_535);
  });

  test("are taken only for free slots with workerDisablePrefetch, whether they are acked early or late", async () => {
    await started({ worker: { concurrency: 3 }, app: { workerDisablePrefetch: true } });
    rig.app.task("t.late", { acksLate: true }, () => new Promise<never>(() => {}));
    expect(rig.consumer.options.prefetch).toBe(3);
    await rig.deliver(of("t.wait", "a"), of("t.late", "l"));
    // Two run; the one that is acked late is an unsettled message still.
    expect(rig.consumer.prefetch).toBe(2);
    await rig.deliver(of("t.wait", "b"));
    expect(rig.consumer.prefetch).toBe(1);
    await end("a");
    expect(rig.consumer.prefetch).toBe(2);
    await end("b");
    expect(rig.consumer.prefetch).toBe(3);
  });

  test("are taken up to the most that there may be where the pool scales by itself, also from none", async () => {
    await started({ worker: { autoscale: { max: 3, min: 0 } }, app: { workerDisablePrefetch: true } });
    expect(rig.consumer.options.prefetch).toBe(3);
  });

  test("leave the event loop its turn between long synchronous tasks", async () => {
    await started({ worker: { concurrency: 1 } });
    rig.app.task("t.busy", (ms: number) => {
      const until = performance.now() + ms;
      while (performance.now() < until);
      return null;
    });
    const many = Array.from({ length: 5 }, (_, i) =>
      delivery(message({ task: "t.busy", id: `b${i}`, args: [15] })),
    );
    let turnAfter = 0;
    setImmediate(() => {
      turnAfter = rig.journal.length;
    });
    rig.consumer.options.onBatch(many);
    while (rig.journal.length < 5) await turns(1);
    expect(turnAfter).toBeGreaterThan(0);
    expect(turnAfter).toBeLessThan(5);
  });
});

describe("a message that was delivered before", () => {
  test("is marked as started before it runs, when its holder was lost", async () => {
    await started();
    const gate = new Gate();
    rig.consumer.onMark = () => gate.promise;
    await rig.deliver(delivery(message({ task: "t.note" }), { redelivered: true, deliveryCount: 1 }));
    expect([rig.journal, starts]).toEqual([["mark t1"], []]);
    gate.open();
    await turns();
    expect(starts).toEqual(["t1"]);
    expect(rig.journal).toEqual(["mark t1", "ack-with-result t1 SUCCESS"]);
  });

  test("takes its slot while it is marked", async () => {
    await started({ worker: { concurrency: 1 } });
    const gate = new Gate();
    rig.consumer.onMark = () => gate.promise;
    await rig.deliver(delivery(message({ task: "t.note" }), { deliveryCount: 1 }), of("t.note", "t2"));
    expect(starts).toEqual([]);
    gate.open();
    await turns();
    expect(starts).toEqual(["t1", "t2"]);
  });

  test("runs although the mark could not be made", async () => {
    await started();
    rig.consumer.onMark = () => Promise.reject(new Error("away"));
    await rig.deliver(delivery(message({ task: "t.note" }), { deliveryCount: 1 }));
    expect(starts).toEqual(["t1"]);
    expect(rig.logger.of("warn")).toHaveLength(1);
  });

  test("does not run again with workerDeduplicateSuccessfulTasks when its SUCCESS is stored", async () => {
    await started({ app: { workerDeduplicateSuccessfulTasks: true } }, { acksLate: true });
    rig.backend.known.set("t1", { taskId: "t1", status: "SUCCESS" } as ResultMeta);
    rig.backend.known.set("t2", { taskId: "t2", status: "STARTED" } as ResultMeta);
    await rig.deliver(delivery(message({ task: "t.note" }), { redelivered: true }));
    await rig.deliver(delivery(message({ task: "t.note", id: "t2" }), { redelivered: true }));
    await rig.deliver(delivery(message({ task: "t.note", id: "t3" })));
    expect(starts).toEqual(["t2", "t3"]);
    expect(rig.journal).toEqual(["ack t1", "ack-with-result t2 SUCCESS", "ack-with-result t3 SUCCESS"]);
  });
});

describe("a lost lease", () => {
  test("drops what has not started and lets run what runs", async () => {
    await started({ worker: { concurrency: 1 } });
    const [running, reserved, kept] = [of("t.wait", "a"), of("t.note", "b"), of("t.note", "c")];
    await rig.deliver(running, reserved, kept);
    rig.consumer.options.onLost([running, reserved]);
    await end("a");
    expect(starts).toEqual(["a", "c"]);
    expect(rig.logger.lines.find((line) => line.level === "warn")?.fields).toEqual({
      dropped: ["b"],
      running: ["a"],
    });
  });

  test("drops what is held until its ETA", async () => {
    await started({ capabilities: { parks: false } });
    // Far enough that a busy machine delivers before it.
    const etaMs = Date.now() + 1000;
    const held = delivery(message({ task: "t.note", eta: new Date(etaMs).toISOString() }));
    await rig.deliver(held);
    rig.consumer.options.onLost([held]);
    expect(Date.now()).toBeLessThan(etaMs);
    while (Date.now() < etaMs + 10) await turns(1);
    expect(starts).toEqual([]);
  });

  test("drops a suspect that is just being marked", async () => {
    await started();
    const gate = new Gate();
    rig.consumer.onMark = () => gate.promise;
    const suspect = delivery(message({ task: "t.note" }), { deliveryCount: 1 });
    await rig.deliver(suspect);
    rig.consumer.options.onLost([suspect]);
    gate.open();
    await turns();
    expect(starts).toEqual([]);
    expect(rig.worker?.active).toBe(0);
  });
});

describe("a warm stop", () => {
  test("waits for what runs, starts nothing new, and leaves the rest to the broker", async () => {
    await started({ worker: { concurrency: 1 } });
    await rig.deliver(of("t.wait", "a"), of("t.note", "b"));
    let over = false;
    const stopping = rig.worker?.stop().then(() => {
      over = true;
    });
    await turns();
    await rig.deliver(of("t.note", "c"));
    expect([over, starts]).toEqual([false, ["a"]]);
    await end("a");
    await stopping;
    expect(starts).toEqual(["a"]);
    expect(rig.journal).toEqual(["ack a", "pause", "store a SUCCESS", "close", "stop"]);
  });

  test("waits for stores and follow-ups", async () => {
    const gate = new Gate();
    await started({ sameStore: false });
    rig.backend.onStore = () => gate.promise;
    await rig.deliver(of("t.note", "a"));
    const stopping = rig.worker?.stop();
    await turns();
    expect(rig.journal).toEqual(["ack a", "pause"]);
    gate.open();
    await stopping;
    expect(rig.journal).toEqual(["ack a", "pause", "store a SUCCESS", "close", "stop"]);
  });

  test("is done at once when nothing runs, and may be asked for twice", async () => {
    await started();
    await Promise.all([rig.worker?.stop(), rig.worker?.stop()]);
    expect(rig.journal).toEqual(["pause", "close", "stop"]);
    expect(rig.worker?.state).toBe("stopped");
  });

  test("tells how it is meant", async () => {
    await started();
    const heard: unknown[] = [];
    rig.app.signals.workerShuttingDown.connect(({ signal, how }) => heard.push([signal, how]));
    rig.app.signals.workerShutdown.connect(({ hostname }) => heard.push(hostname));
    await rig.worker?.stop({ signal: "SIGTERM" });
    expect(heard).toEqual([["SIGTERM", "warm"], rig.worker?.hostname]);
  });
});

describe("a cold stop", () => {
  test("puts back a late-acked task that ends because of it", async () => {
    await started({}, { acksLate: true });
    await rig.deliver(of("t.abortable", "a"));
    await rig.worker?.stop({ how: "cold" });
    expect(rig.journal).toEqual(["pause", "close", "stop"]);
    expect(rig.logger.of("warn")).toContain("task put back");
  });

  test("stores the reason of an early-acked task that ends because of it", async () => {
    await started();
    await rig.deliver(of("t.abortable", "a"));
    await rig.worker?.stop({ how: "cold" });
    expect(rig.journal).toEqual(["ack a", "pause", "store a FAILURE", "close", "stop"]);
    expect(rig.meta("a")["result"]).toMatchObject({
      exc_type: "WorkerShutdown",
      exc_module: "celery.exceptions",
    });
  });

  test("lets a task that cleans up in time have its result", async () => {
    await started({}, { acksLate: true });
    rig.app.task("t.clean", { bind: true, acksLate: true }, async (self) => {
      await new Promise<void>((resolve) => self.signal.addEventListener("abort", () => resolve()));
      return (self.signal.reason as WorkerShutdown).type;
    });
    await rig.deliver(of("t.clean", "a"));
    await rig.worker?.stop({ how: "cold" });
    expect(rig.journal).toEqual(["pause", "ack-with-result a SUCCESS", "close", "stop"]);
  });

  test("gives up what does not react: late-acked goes back, early-acked is lost and says so", async () => {
    await started({});
    rig.app.task("t.late", { acksLate: true, bind: true }, async (self) => {
      const gate = new Gate();
      gates.set(self.request.id, gate);
      await gate.promise;
      return 1;
    });
    await rig.deliver(of("t.late", "a"), of("t.wait", "b"));
    await rig.worker?.stop({ how: "cold" });
    expect(rig.journal).toEqual(["ack b", "pause", "store b FAILURE", "close", "stop"]);
    expect(rig.meta("b")["result"]).toMatchObject({ exc_type: "WorkerLostError" });
    expect([rig.logger.of("warn"), rig.logger.of("error")]).toEqual([["task put back"], ["task lost"]]);
    await end("a");
    expect(rig.journal).toHaveLength(5);
    expect(rig.logger.of("warn")).toContain(
      "a task ended after its worker had given it up: its outcome is dropped",
    );
  });

  test("ends a warm stop that takes too long", async () => {
    await started({}, { acksLate: true });
    await rig.deliver(of("t.abortable", "a"));
    const warm = rig.worker?.stop();
    await turns();
    const cold = rig.worker?.stop({ how: "cold" });
    await Promise.all([warm, cold]);
    expect(rig.worker?.state).toBe("stopped");
  });

  test("ends a store that never succeeds", async () => {
    await started({ sameStore: false }, { acksLate: true });
    rig.backend.onStore = (signal) =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    await rig.deliver(of("t.note", "a"));
    await rig.worker?.stop({ how: "cold" });
    await turns();
    expect(rig.journal).toEqual(["pause", "close", "stop"]);
    expect(rig.logger.of("error")).toEqual(["a result could not be stored"]);
  });
});

describe("a soft stop", () => {
  test("gives running tasks their time, and is cold then", async () => {
    await started({}, { acksLate: true });
    await rig.deliver(of("t.abortable", "a"));
    const heard: string[] = [];
    rig.app.signals.workerShuttingDown.connect(({ how }) => heard.push(how));
    await rig.worker?.stop({ timeout: 0.03 });
    expect(heard).toEqual(["soft"]);
    expect(rig.journal).toEqual(["pause", "close", "stop"]);
  });

  test("is what workerSoftShutdownTimeout asks for", async () => {
    await started({ app: { workerSoftShutdownTimeout: 0.03 } }, { acksLate: true });
    await rig.deliver(of("t.abortable", "a"));
    await rig.worker?.stop({ how: "soft" });
    expect(rig.worker?.state).toBe("stopped");
  });
});
