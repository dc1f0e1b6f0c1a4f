import fc from "fast-check";
import { expect, test } from "vitest";
import type { Request } from "../../../src/worker/request.ts";
import { RequestQueue } from "../../../src/worker/request-queue.ts";
import { seed } from "../../support/seed.ts";

type Step = readonly ["push", number] | readonly ["shift"] | readonly ["drop", number];

test("the queue behaves as a list, whatever is done to it", () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 5, arbitrary: fc.tuple(fc.constant("push" as const), fc.nat()) },
    { weight: 4, arbitrary: fc.tuple(fc.constant("shift" as const)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("drop" as const), fc.integer({ min: 2, max: 5 })) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new RequestQueue();
      let model: Request[] = [];
      for (const [kind, n = 0] of steps) {
        const request = { id: String(n) } as Request;
        const match = (one: Request): boolean => Number(one.id) % n === 0;
        const [got, wanted] = {
          push: () => [queue.push(request), void model.push(request)],
          shift: () => [queue.shift(), model.shift() ?? null],
          drop: () => [queue.drop(match), model.filter(match)],
        }[kind]();
        if (kind === "drop") model = model.filter((one) => !match(one));
        expect(got).toEqual(wanted);
        expect(queue.size).toBe(model.length);
      }
    }),
    { seed },
  );
});

test("the queue lets go of what was taken, however long it gets", () => {
  const queue = new RequestQueue();
  const make = (id: number): Request => ({ id: String(id) }) as Request;
  for (let i = 0; i < 5000; i += 1) queue.push(make(i));
  for (let i = 0; i < 4000; i += 1) expect(queue.shift()?.id).toBe(String(i));
  for (let i = 5000; i < 6000; i += 1) queue.push(make(i));
  for (let i = 4000; i < 6000; i += 1) expect(queue.shift()?.id).toBe(String(i));
  expect(queue.shift()).toBeNull();
});
