import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError } from "../../../src/errors.ts";
import { parseIso, toIso } from "../../../src/protocol/iso8601.ts";
import { seed } from "../../support/seed.ts";

const HOUR = 3_600_000;

describe("parseIso", () => {
  const noon = Date.UTC(2024, 1, 29, 12, 34, 56);
  test.each([
    ["2024-02-29T12:34:56", noon],
    ["2024-02-29T12:34:56Z", noon],
    ["2024-02-29t12:34:56z".toUpperCase(), noon],
    ["2024-02-29T12:34:56z", noon],
    ["2024-02-29 12:34:56", noon],
    ["2024-02-29T12:34:56+00:00", noon],
    ["2024-02-29T12:34:56+02:00", noon - 2 * HOUR],
    ["2024-02-29T12:34:56-0530", noon + 5.5 * HOUR],
    ["2024-02-29T12:34:56+01", noon - HOUR],
    ["2024-02-29T12:34:56+00:53:28", noon - 3_208_000],
    ["2024-02-29T12:34:56+00:53:28.5", noon - 3_208_000],
    ["2024-02-29T12:34:56.678901+00:00", noon + 678],
    ["2024-02-29T12:34:56.6", noon + 600],
    ["2024-02-29T12:34:56,999999", noon + 999],
    ["2024-02-29T12:34:56.123456789Z", noon + 123],
    ["20240229T123456Z", noon],
    ["2024-02-29T12:34", noon - 56_000],
    ["2024-02-29T12", noon - 56_000 - 34 * 60_000],
    ["2024-02-29", Date.UTC(2024, 1, 29)],
    ["0001-01-01T00:00:00", -62_135_596_800_000],
    ["0099-01-01", Date.UTC(100, 0, 1) - 365 * 24 * HOUR],
    ["9999-12-31T23:59:59.999999", 253_402_300_799_999],
    ["1969-12-31T23:59:59.5Z", -500],
  ])("%s", (text, ms) => {
    expect(parseIso(text)).toBe(ms);
  });

  test.each([
    "",
    "garbage",
    "2024",
    "2024-13-01",
    "2024-00-01",
    "2024-02-30",
    "2023-02-29",
    "2024-02-29T24:00:00",
    "2024-02-29T12:60:00",
    "2024-02-29T12:34:60",
    "2024-02-29T12:34:56+24:00",
    "2024-02-29T12:34:56+01:60",
    "2024-02-29T12:34:56+01:00:60",
    "2024-02-29T12:34:56 Europe/Berlin",
    "2024-02-29T12:34:56.1234567890Z",
    "+12024-02-29",
    "12345",
    `2024-02-29T12:34:56.${"0".repeat(100_000)}`,
  ])("%s is refused", (text) => {
    expect(() => parseIso(text)).toThrow(DecodeError);
    expect(() => parseIso(text)).toThrow(/is not an ISO 8601 date$/);
  });
});

describe("toIso", () => {
  test("is what Python's isoformat gives for an aware datetime", () => {
    expect(toIso(1_795_222_497_981)).toBe("2026-11-21T00:54:57.981000+00:00");
    expect(toIso(1_795_222_497_981)).toBe("2026-11-21T00:54:57.981000+00:00");
    expect(toIso(1_795_222_497_000)).toBe("2026-11-21T00:54:57+00:00");
    expect(toIso(1_795_222_497_005)).toBe("2026-11-21T00:54:57.005000+00:00");
    expect(toIso(1_795_222_497_050.9)).toBe("2026-11-21T00:54:57.050000+00:00");
    expect(toIso(-500)).toBe("1969-12-31T23:59:59.500000+00:00");
    expect(toIso(0, "UTC")).toBe("1970-01-01T00:00:00+00:00");
    expect(toIso(0, null)).toBe("1970-01-01T00:00:00+00:00");
  });

  test("carries the offset that a zone has at that instant", () => {
    const summer = Date.UTC(2026, 6, 1, 12, 0, 0, 5);
    expect(toIso(summer, "Europe/Berlin")).toBe("2026-07-01T14:00:00.005000+02:00");
    expect(toIso(Date.UTC(2026, 10, 21), "Europe/Berlin")).toBe("2026-11-21T01:00:00+01:00");
    expect(toIso(summer, "America/St_Johns")).toBe("2026-07-01T09:30:00.005000-02:30");
    expect(toIso(summer, "Asia/Kathmandu")).toBe("2026-07-01T17:45:00.005000+05:45");
    expect(toIso(Date.UTC(1890, 0, 1), "Europe/Berlin")).toBe("1890-01-01T00:53:28+00:53:28");
  });

  test("a date that Python has not, and a zone that nobody knows, are errors", () => {
    expect(() => toIso(-1e15)).toThrow(/outside the years 1 to 9999/);
    expect(() => toIso(Number.NaN)).toThrow(RangeError);
    expect(() => toIso(0, "Mars/Base")).toThrow(RangeError);
  });

  test("parseIso reads what it wrote, in every zone", () => {
    const zones = fc.constantFrom(
      undefined,
      "UTC",
      "Europe/Berlin",
      "America/St_Johns",
      "Pacific/Apia",
      "Africa/Monrovia",
    );
    const instant = fc.integer({ min: -62_135_510_400_000, max: 253_402_210_800_000 });
    fc.assert(
      fc.property(instant, zones, (ms, zone) => {
        expect(parseIso(toIso(ms, zone))).toBe(ms);
      }),
      { seed, numRuns: 500 },
    );
  });
});
