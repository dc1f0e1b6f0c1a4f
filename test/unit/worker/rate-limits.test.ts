import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InvalidRate, RateLimits, rateOf, TokenBucket } from "../../../src/worker/rate-limits.ts";
import type { Request } from "../../../src/worker/request.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { turns, WorkerRig } from "./support.ts";

describe("a rate", () => {
  test.each([
    [null, 0],
    ["", 0],
    [0, 0],
    [5, 5],
    [0.5, 0.5],
    ["10", 10],
    ["10/s", 10],
    ["90/m", 1.5],
    ["3600/h", 1],
    ["0.5/s", 0.5],
    [" 2 /s", 2],
    ["1e2/s", 100],
  ])("%j is %j starts for each second", (given, perSecond) => {
    expect(rateOf(given)).toBe(perSecond);
  });

  test.each([
    ["abc", "ValueError", "could not convert string to float: 'abc'"],
    ["/m", "ValueError", "could not convert string to float: ''"],
    ["10/d", "KeyError", "d"],
    ["-1/s", "ValueError", "a rate limit is not below 0: '-1/s'"],
    [Number.NaN, "ValueError", "a rate limit is not below 0: 'NaN'"],
    [[1], "TypeError", "a rate limit is a number or a text"],
  ])("%j is refused as Python does", (given, type, text) => {
    const error = caught(() => rateOf(given));
    expect([error.type, error.message]).toEqual([type, text]);
  });
});

function caught(run: () => unknown): InvalidRate {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidRate) return error;
  }
  throw new Error("nothing was refused");
}

test("a bucket holds one token, however long nobody comes", () => {
  const clock = new VirtualClock();
  const bucket = new TokenBucket(2, clock);
  expect([bucket.take(), bucket.take(), bucket.waitMs]).toEqual([true, false, 500]);
  clock.advance(10_000);
  expect([bucket.take(), bucket.take()]).toEqual([true, false]);
});

describe("requests of limited types", () => {
  let clock: VirtualClock;
  const rates = new Map<string, number>();
  let released: string[] = [];
  let limits: RateLimits;
  const request = (task: string, id: string): Request => ({ task, id }) as Request;

  beforeEach(() => {
    clock = new VirtualClock();
    released = [];
    rates.clear();
    limits = new RateLimits({
      clock,
      rateOf: (task) => rates.get(task) ?? 0,
      release: ({ id }) => released.push(id),
      onReleased: () => {},
    });
  });

  test("leave in their order, no faster than the rate, and types do not wait for each other", () => {
    rates.set("a", 1);
    rates.set("b", 10);
    for (const id of ["a0", "a1", "a2"]) limits.add(request("a", id));
    for (const id of ["b0", "b1"]) limits.add(request("b", id));
    expect([released, limits.size]).toEqual([["a0", "b0"], 3]);
    clock.advance(100);
    expect(released).toEqual(["a0", "b0", "b1"]);
    clock.advance(900);
    expect(released.at(-1)).toBe("a1");
    clock.advance(1000);
    expect([released.at(-1), limits.size]).toEqual(["a2", 0]);
  });

  test("all leave when the limit is lifted, and wait again when there is a new one", () => {
    rates.set("a", 0.01);
    for (const id of ["a0", "a1", "a2"]) limits.add(request("a", id));
    rates.set("a", 0);
    limits.changed("a");
    expect([released, limits.size]).toEqual([["a0", "a1", "a2"], 0]);
    rates.set("a", 1);
    limits.changed("a");
    for (const id of ["a3", "a4"]) limits.add(request("a", id));
    expect([released.at(-1), limits.size]).toEqual(["a3", 1]);
  });

  test("share one timer for each type, and none is left when the worker stops", () => {
    rates.set("a", 1);
    rates.set("b", 1);
    for (let n = 0; n < 50; n += 1) limits.add(request(n % 2 === 0 ? "a" : "b", `r${n}`));
    expect(clock.timers).toBe(2);
    limits.stop();
    expect([clock.timers, limits.size]).toEqual([0, 0]);
  });

  test("that are dropped leave no gap", () => {
    rates.set("a", 1);
    for (const id of ["a0", "a1", "a2"]) limits.add(request("a", id));
    expect(limits.drop(({ id }) => id === "a1").map(({ id }) => id)).toEqual(["a1"]);
    expect([limits.size, limits.waiting().map(({ id }) => id)]).toEqual([1, ["a2"]]);
    clock.advance(1000);
    expect(released).toEqual(["a0", "a2"]);
  });
});

describe("in a worker", () => {
  let rig: WorkerRig;
  afterEach(() => rig.stop());
  const send = async (task: string, from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n += 1) await rig.run({ task, id: `${task}${n}` });
  };

  test("tasks that wait hold no slot, and the prefetch grows by them", async () => {
    rig = new WorkerRig({ worker: { concurrency: 2, prefetchMultiplier: 1 } });
    rig.app.task("slow", { rateLimit: "1/h" }, () => 1);
    rig.app.task("free", () => 2);
    await rig.start();
    await send("slow", 0, 5);
    await send("free", 0, 3);
    await turns();
    expect([rig.meta("slow0")["status"], rig.meta("slow1")["status"]]).toEqual(["SUCCESS", undefined]);
    expect([0, 1, 2].map((n) => rig.meta(`free${n}`)["status"])).toEqual(["SUCCESS", "SUCCESS", "SUCCESS"]);
    expect([rig.consumer.prefetch, rig.worker?.active]).toEqual([6, 0]);
  });

  test("no more of them than a thousand are taken from the broker", async () => {
    rig = new WorkerRig({ worker: { concurrency: 2, prefetchMultiplier: 1 } });
    rig.app.task("slow", { rateLimit: "1/h" }, () => 1);
    await rig.start();
    await send("slow", 0, 1200);
    expect(rig.consumer.prefetch).toBe(1002);
  });

  test("workerDisableRateLimits takes no notice of any, taskDefaultRateLimit is every task's", async () => {
    rig = new WorkerRig({ app: { workerDisableRateLimits: true } });
    rig.app.task("slow", { rateLimit: "1/h" }, () => 1);
    await rig.start();
    await send("slow", 0, 3);
    expect(rig.meta("slow2")["status"]).toBe("SUCCESS");
    await rig.stop();
    rig = new WorkerRig({ app: { taskDefaultRateLimit: "1/h" } });
    rig.app.task("any", () => 1);
    await rig.start();
    await send("any", 0, 2);
    expect([rig.meta("any0")["status"], rig.meta("any1")["status"]]).toEqual(["SUCCESS", undefined]);
  });
});
