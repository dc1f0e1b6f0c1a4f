import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EncodeError } from "../../../src/errors.ts";
import { kw, splitArguments, withKwargs } from "../../../src/task/kw.ts";
import { seed } from "../../support/seed.ts";

describe("splitArguments", () => {
  test("positional arguments pass through without a copy", () => {
    const given = [1, "a", null];
    expect(splitArguments("t", given, false).args).toBe(given);
    expect(splitArguments("t", given, false).kwargs).toEqual({});
  });

  test("kw(…) at the end becomes keyword arguments", () => {
    expect(splitArguments("t", [1, kw({ width: 80 })], false)).toEqual({ args: [1], kwargs: { width: 80 } });
  });

  test("undefined keyword arguments are left out", () => {
    expect(splitArguments("t", [kw({ a: undefined, b: 1 })], false).kwargs).toEqual({ b: 1 });
  });

  test("a plain object at the end stays an argument", () => {
    expect(splitArguments("t", [{ width: 80 }], false)).toEqual({ args: [{ width: 80 }], kwargs: {} });
  });

  test("trailing undefined is cut", () => {
    expect(splitArguments("t", [1, undefined, undefined], false).args).toEqual([1]);
    expect(splitArguments("t", [1, undefined, kw({ a: 1 })], false)).toEqual({ args: [1], kwargs: { a: 1 } });
    expect(splitArguments("t", [undefined], false).args).toEqual([]);
  });

  test("undefined in the middle is an EncodeError that names the position and the task", () => {
    expect(() => splitArguments("shop.add", [1, undefined, 2], false)).toThrow(EncodeError);
    expect(() => splitArguments("shop.add", [1, undefined, 2], false)).toThrow(/argument 2 of shop\.add/u);
  });

  test("kw(…) before the end is an error", () => {
    expect(() => splitArguments("t", [kw({ a: 1 }), 2], false)).toThrow(/put kw\(…\) last/u);
  });

  test("the object of a task with an input schema travels as keyword arguments", () => {
    expect(splitArguments("t", [{ id: "1", n: undefined }], true)).toEqual({ args: [], kwargs: { id: "1" } });
    expect(splitArguments("t", [], true)).toEqual({ args: [], kwargs: {} });
    expect(splitArguments("t", [kw({ id: "1" })], true)).toEqual({ args: [], kwargs: { id: "1" } });
    expect(splitArguments("t", [["not an object"]], true).args).toEqual([["not an object"]]);
  });

  test("data cannot forge keyword arguments", () => {
    const forged = JSON.parse('[{"Symbol(petiole.kwargs)":[{"a":1}]}]') as unknown[];
    expect(splitArguments("t", forged, false).kwargs).toEqual({});
  });

  test("what was given is never changed, and no argument is lost", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer(), fc.string(), fc.constant(null))),
        fc.nat(3),
        (args, holes) => {
          const given = [...args, ...Array.from({ length: holes }, () => undefined)];
          const copy = [...given];
          const split = splitArguments("t", given, false);
          expect(given).toEqual(copy);
          expect(split.args).toEqual(args);
        },
      ),
      { seed },
    );
  });
});

describe("withKwargs", () => {
  test("the option kwargs adds keyword arguments", () => {
    expect(withKwargs("t", splitArguments("t", [1], false), { a: 1 })).toEqual({
      args: [1],
      kwargs: { a: 1 },
    });
  });

  test("kw(…) and kwargs at once is a TypeError", () => {
    const call = splitArguments("t", [kw({ a: 1 })], false);
    expect(() => withKwargs("t", call, { b: 1 })).toThrow(TypeError);
  });
});

test("kw(…) is frozen", () => {
  expect(Object.isFrozen(kw({ a: 1 }))).toBe(true);
});
