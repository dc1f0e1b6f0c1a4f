import fc from "fast-check";
import { expect, test } from "vitest";
import { assertNever } from "../../../src/base/assert-never.ts";
import { fullJitterMs } from "../../../src/base/backoff.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { Emitter } from "../../../src/base/emitter.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { TestSignal } from "../../../src/base/test-signal.ts";

test("the first retry does not wait, later ones stay below their ceiling", () => {
  expect(fullJitterMs(0, { baseMs: 100, capMs: 5000 })).toBe(0);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, random) => {
        const ms = fullJitterMs(attempt, { baseMs: 100, capMs: 5000, random: () => random });
        return ms >= 0 && ms <= Math.min(5000, 100 * 2 ** attempt);
      },
    ),
  );
});

test("handlers run in the order they were connected, and one that throws is reported without stopping the others", async () => {
  const emitter = new Emitter<number>();
  const seen: string[] = [];
  const errors: unknown[] = [];
  expect(emitter.active).toBe(false);
  emitter.connect((n) => void seen.push(`a${n}`));
  emitter.connect(() => Promise.reject(new Error("broken handler")));
  const off = emitter.connect(async (n) => void seen.push(`b${n}`));
  await emitter.emit(1, { onError: (error) => errors.push(error) });
  off();
  await emitter.emit(2, { onError: (error) => errors.push(error) });
  expect(seen).toEqual(["a1", "b1", "a2"]);
  expect(errors).toHaveLength(2);
});

test("a handler with a sender hears only that one, by name or by object", async () => {
  const emitter = new Emitter<string>();
  const seen: string[] = [];
  const offs = [
    emitter.connect((event) => void seen.push(`name:${event}`), { sender: "shop.add" }),
    emitter.connect((event) => void seen.push(`task:${event}`), { sender: { name: "shop.add" } }),
  ];
  await emitter.emit("x", { sender: "shop.add", onError: () => {} });
  await emitter.emit("y", { sender: "shop.mul", onError: () => {} });
  expect(seen).toEqual(["name:x", "task:x"]);
  for (const off of offs) off();
  expect(emitter.active).toBe(false);
});

test("a test signal keeps what was signalled once somebody listens", async () => {
  const signal = new TestSignal<number>();
  signal.signal(1);
  signal.init();
  signal.signal(2);
  expect(await signal.next({ timeoutMs: 100 })).toBe(2);
  const coming = signal.next({ timeoutMs: 1000 });
  signal.signal(3);
  expect(await coming).toBe(3);
  signal.expectEmpty();
  signal.signal(4);
  expect(() => signal.expectEmpty()).toThrow("unexpected");
  await signal.next({ timeoutMs: 100 });
  await expect(signal.next({ timeoutMs: 1 })).rejects.toThrow("no test signal");
});

test("a cancelled timer does not fire", async () => {
  const fired: string[] = [];
  systemClock.setTimer(0, () => fired.push("cancelled"), { unref: true }).cancel();
  await new Promise<void>((resolve) => systemClock.setTimer(1, resolve));
  expect(fired).toEqual([]);
  expect(systemClock.now()).toBeGreaterThan(1.7e12);
  expect(systemClock.monotonic()).toBeGreaterThan(0);
});

test("the silent logger says nothing and has children", () => {
  silentLogger.child({}).info({}, "nothing");
  expect(silentLogger.child({})).toBe(silentLogger);
});

test("an impossible value is named", () => {
  expect(() => assertNever("surprise" as never)).toThrow("surprise");
});
