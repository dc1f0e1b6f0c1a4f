import fc from "fast-check";
import { expect, test } from "vitest";
import { DueHeap } from "../../../../src/base/due-heap.ts";
import { Deque } from "../../../../src/transports/memory/deque.ts";
import { cpuMs } from "../../../support/best-of.ts";
import { seed } from "../../../support/seed.ts";

test("a deque does what an array does", () => {
  const step = fc.tuple(fc.constantFrom("back", "front", "pop", "pop", "clear", "list"), fc.nat(999));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const deque = new Deque<number>();
      let model: number[] = [];
      const seen: unknown[] = [];
      const expected: unknown[] = [];
      for (const [what, value] of steps) {
        if (what === "back") {
          deque.pushBack(value);
          model.push(value);
        } else if (what === "front") {
          deque.pushFront(value);
          model.unshift(value);
        } else if (what === "pop") {
          seen.push(deque.popFront());
          expected.push(model.shift());
        } else if (what === "clear" && value < 50) {
          deque.clear();
          model = [];
        } else if (what === "list") {
          seen.push(deque.toArray());
          expected.push([...model]);
        }
        seen.push(deque.size);
        expected.push(model.length);
      }
      expect(deque.toArray()).toEqual(model);
      expect(seen).toEqual(expected);
    }),
    { seed, numRuns: 500 },
  );
});

test("parked values come out by time, equal times in the order of arrival", () => {
  const step = fc.tuple(fc.boolean(), fc.nat(40));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new DueHeap<number>();
      let model: { dueMs: number; value: number }[] = [];
      const seen: unknown[] = [];
      const expected: unknown[] = [];
      for (const [index, [add, time]] of steps.entries()) {
        if (add) {
          heap.add(time, index);
          model.push({ dueMs: time, value: index });
          // Stable: equal times keep their order.
          model.sort((a, b) => a.dueMs - b.dueMs);
        } else {
          const due = model.filter((one) => one.dueMs <= time);
          model = model.filter((one) => one.dueMs > time);
          seen.push(heap.takeDue(time));
          expected.push(due.map((one) => one.value));
        }
        expect(heap.size).toBe(model.length);
        expect(heap.nextDueMs()).toBe(model[0]?.dueMs ?? null);
      }
      expect(seen).toEqual(expected);
    }),
    { seed, numRuns: 500 },
  );
});

test("hundreds of thousands parked in any order are cheap", () => {
  const heap = new DueHeap<number>();
  const costMs = cpuMs(() => {
    for (let i = 0; i < 200_000; i++) heap.add((i * 7919) % 100_003, i);
    expect(heap.takeDue(100_003).length).toBe(200_000);
  });
  expect(costMs).toBeLessThan(3_000);
});
