import { describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/base/logger.ts";
import { ImproperlyConfigured } from "../../../src/errors.ts";
import { AsyncPool } from "../../../src/pool/async.ts";
import { Autoscaler } from "../../../src/worker/autoscaler.ts";
import { checkedRange } from "../../../src/worker/options.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

function make(range = { max: 10, min: 2 }): {
  clock: VirtualClock;
  pool: AsyncPool;
  autoscaler: Autoscaler;
  work: { n: number };
} {
  const clock = new VirtualClock();
  const execute = (): never => {
    throw new Error("not run");
  };
  const pool = new AsyncPool({ size: range.min, execute, clock, logger: silentLogger });
  const work = { n: 0 };
  const autoscaler = new Autoscaler({ range, pool, clock, logger: silentLogger, work: () => work.n });
  autoscaler.start();
  return { clock, pool, autoscaler, work };
}

describe("autoscale", () => {
  test("grows at once, to the work or the maximum", () => {
    const { pool, autoscaler, work } = make();
    work.n = 5;
    autoscaler.look();
    expect(pool.size).toBe(5);
    work.n = 50;
    autoscaler.look();
    expect(pool.size).toBe(10);
    expect(autoscaler.info()).toEqual({ max: 10, min: 2, current: 10, qty: 50 });
  });

  test("shrinks to the work when a slot was not needed for half a minute, by itself", () => {
    const { clock, pool, autoscaler, work } = make();
    work.n = 8;
    autoscaler.look();
    work.n = 1;
    clock.advance(29_000);
    expect(pool.size).toBe(8);
    clock.advance(2000);
    expect(pool.size).toBe(2);
  });

  test("a slot that was needed in between starts the time again", () => {
    const { clock, pool, autoscaler, work } = make();
    work.n = 8;
    autoscaler.look();
    work.n = 3;
    clock.advance(20_000);
    work.n = 8;
    clock.advance(1000);
    work.n = 3;
    clock.advance(20_000);
    expect(pool.size).toBe(8);
    clock.advance(11_000);
    expect(pool.size).toBe(3);
  });

  test("other bounds hold at once", () => {
    const { pool, autoscaler, work } = make();
    work.n = 10;
    autoscaler.look();
    autoscaler.update({ max: 4, min: 1 });
    expect(pool.size).toBe(4);
    work.n = 0;
    autoscaler.update({ max: 8, min: 6 });
    expect(pool.size).toBe(6);
    expect(() => autoscaler.update({ max: 1, min: 2 })).toThrow(ImproperlyConfigured);
  });

  test("stops with the worker", () => {
    const { clock, autoscaler } = make();
    autoscaler.stop();
    expect(clock.timers).toBe(0);
  });

  test.each([
    { max: 0, min: 0 },
    { max: 1.5, min: 0 },
    { max: 2, min: -1 },
  ])("bounds that make no sense are refused: %j", (range) => {
    expect(() => checkedRange(range)).toThrow(ImproperlyConfigured);
  });
});
