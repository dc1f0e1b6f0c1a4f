import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  count,
  expiry,
  InvalidValue,
  instant,
  isOn,
  jsonList,
  jsonObject,
  list,
  oneOf,
  range,
  seconds,
  size,
  text,
} from "../../../src/cli/values.ts";

describe("values of options", () => {
  test.each([
    ["count", count, "12", 12],
    ["size", size, "0", 0],
    ["seconds", seconds, "0.5", 0.5],
    ["expiry in seconds", expiry, "90", 90],
    ["expiry as a time", expiry, "2030-01-31T12:00:00Z", "2030-01-31T12:00:00Z"],
    ["instant", instant, "2030-01-31T12:00:00+02:00", "2030-01-31T12:00:00+02:00"],
    ["jsonList", jsonList, '[1, "two"]', [1, "two"]],
    ["jsonObject", jsonObject, '{"a": [1]}', { a: [1] }],
    ["text", text, "x", "x"],
    ["oneOf, in any case", oneOf(["DEBUG", "INFO"]), "debug", "DEBUG"],
  ])("%s reads what it accepts", (_name, read, given, wanted) => {
    expect(read(given)).toEqual(wanted);
  });

  test.each([
    ["count", count, ["0", "-1", "1.5", "", "1e3", "0x10", "many", "99999999999999999999"]],
    ["size", size, ["-1", "1.5", ""]],
    ["seconds", seconds, ["", "-1", "soon", "Infinity", "NaN"]],
    ["expiry", expiry, ["", "tomorrow", "-5"]],
    ["instant", instant, ["", "12:00", "2030-13-01", "5"]],
    ["jsonList", jsonList, ["", "{}", "1", "[1", "[1]]"]],
    ["jsonObject", jsonObject, ["", "[]", "null", "{", '"a"']],
    ["text", text, [""]],
    ["oneOf", oneOf(["DEBUG"]), ["", "LOUD"]],
    ["isOn", isOn, ["", "maybe"]],
  ])("%s refuses the rest and shows it", (_name, read, refused) => {
    for (const given of refused) {
      expect(() => read(given)).toThrow(InvalidValue);
      expect(() => read(given)).toThrow(JSON.stringify(given));
    }
  });

  test("an integer beyond 2^53 arrives as it was typed", () => {
    expect(jsonList("[9007199254740993]")).toEqual([9007199254740993n]);
  });

  test("a key called __proto__ changes no object", () => {
    const read = jsonObject('{"__proto__": {"polluted": true}}');
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect((read as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("names of several uses add up, spaces and empty ones do not count", () => {
    const first = list(" a, b,,c ", undefined);
    expect(first).toEqual(["a", "b", "c"]);
    expect(list("d", first)).toEqual(["a", "b", "c", "d"]);
    expect(() => list(" , ", undefined)).toThrow(InvalidValue);
  });

  test("any whole number that is written out is read as itself", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (number) => {
        expect(count(String(number))).toBe(number);
        expect(() => count(String(-number))).toThrow(InvalidValue);
        expect(() => count(`${number}.5`)).toThrow(InvalidValue);
      }),
    );
  });

  test.each([
    ["1", true],
    ["True", true],
    ["yes", true],
    ["on", true],
    ["0", false],
    ["NO", false],
    ["off", false],
    ["f", false],
  ])("a switch in the environment: %s is %s", (given, wanted) => {
    expect(isOn(given)).toBe(wanted);
  });
});

test.each([
  ["10,3", { max: 10, min: 3 }],
  ["3, 10", { max: 10, min: 3 }],
  ["5", { max: 5, min: 0 }],
])("autoscale %s is in either order", (words, bounds) => {
  expect(range(words)).toEqual(bounds);
});

test.each(["", "0", "a,b", "1,2,3", "-1,2", "1.5"])("autoscale %j is refused", (words) => {
  expect(() => range(words)).toThrow(/two whole numbers/);
});
