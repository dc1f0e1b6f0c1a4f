import fc from "fast-check";
import { expect, test } from "vitest";
import { Counted, short } from "../../../src/events/digits.ts";

test("a number that grows is written as JavaScript writes it", () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 5_000 })));
  fc.assert(
    fc.property(fc.maxSafeNat(), steps, (from, all) => {
      const counted = new Counted();
      let n = Math.floor(from / 2);
      for (const step of [0, ...all]) {
        n += step;
        expect(counted.write(n)).toBe(String(n));
      }
    }),
  );
  const counted = new Counted();
  for (const n of [0, 7, 999, 1000, 1001, 1999, 2000, 2 ** 40, 999_999, 1_000_000, 5])
    expect(counted.write(n)).toBe(String(n));
});

test("short numbers, and any other", () => {
  for (const n of [0, 999, 1000, 123_456, -1, Number.NaN]) expect(short(n)).toBe(String(n));
});
