import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LamportClock } from "../../../src/base/lamport-clock.ts";
import { seed } from "../../support/seed.ts";

describe("the logical clock", () => {
  test("what was sent after something was heard is later than that", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(1000)), { maxLength: 50 }), (steps) => {
        const clock = new LamportClock();
        let last = 0;
        for (const [send, heard] of steps) {
          const now = send ? clock.forward() : clock.adjust(heard);
          expect(now).toBeGreaterThan(last);
          expect(now).toBeGreaterThan(send ? last : heard);
          last = now;
        }
        expect(clock.value).toBe(last);
      }),
      { seed },
    );
  });

  test("what is no count moves it by one", () => {
    const clock = new LamportClock(7);
    for (const heard of [null, "9", Number.NaN, Number.POSITIVE_INFINITY, 1.5]) clock.adjust(heard);
    expect(clock.value).toBe(12);
  });
});
