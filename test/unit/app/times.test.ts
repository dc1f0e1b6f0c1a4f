import fc from "fast-check";
import { expect, test } from "vitest";
import { etaText, expiresText } from "../../../src/app/times.ts";
import { parseIso } from "../../../src/protocol/iso8601.ts";
import { seed } from "../../support/seed.ts";

const now = Date.UTC(2026, 0, 1);

test("text passes through as it was written", () => {
  const context = { nowMs: now, zone: "Europe/Berlin" };
  expect(etaText(undefined, "2030-01-02T03:04:05.123456", context)).toBe("2030-01-02T03:04:05.123456");
  expect(expiresText("2026-01-01T00:00:10Z", context)).toEqual({
    text: "2026-01-01T00:00:10Z",
    leftMs: 10_000,
  });
});

test("dates and Temporal's instants become UTC", () => {
  const context = { nowMs: now, zone: "Europe/Berlin" };
  expect(etaText(undefined, new Date(now), context)).toMatch(/\+00:00$/u);
  expect(etaText(undefined, { epochMilliseconds: now }, context)).toBe(
    etaText(undefined, new Date(now), context),
  );
});

test("a countdown is the same instant in every zone", () => {
  const zones = [null, "UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Pacific/Apia"];
  fc.assert(
    fc.property(fc.integer({ min: -1e8, max: 1e9 }), fc.constantFrom(...zones), (countdown, zone) => {
      const text = etaText(countdown, undefined, { nowMs: now, zone });
      expect(text === null ? now : parseIso(text)).toBe(now + countdown * 1000);
      expect(text === null).toBe(countdown === 0);
    }),
    { seed },
  );
});
