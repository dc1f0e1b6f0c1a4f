import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EncodeError } from "../../../src/errors.ts";
import { parseJson, stringifyJson } from "../../../src/protocol/json.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "../../../src/protocol/values.ts";
import { seed } from "../../support/seed.ts";

const SIGNATURE = {
  task: "shop.add",
  args: [1],
  kwargs: {},
  options: {},
  subtask_type: null,
  immutable: false,
};
class Point {
  readonly x = 1;
}
class Signature {
  readonly task = "shop.add";
  toJSON(): unknown {
    return SIGNATURE;
  }
}

const HOLE: unknown[] = [];
HOLE[1] = 1;
const NAMELESS = (() =>
  class {
    readonly x = 1;
  })();

describe("what travels", () => {
  test.each<[string, unknown, string]>([
    ["text", 'a "b" \\ \n\u0001', '"a \\"b\\" \\\\ \\n\\u0001"'],
    ["text beyond ASCII", "håæ中😀", '"håæ中😀"'],
    ["a lone surrogate", "a\ud800", '"a\\ud800"'],
    ["numbers", [1, -2.5, 1e21, 1e-7], "[1,-2.5,1e+21,1e-7]"],
    ["NaN and infinities as Python writes them", [Number.NaN, 1 / 0, -1 / 0], "[NaN,Infinity,-Infinity]"],
    ["minus zero, a float", [-0, 0], "[-0.0,0]"],
    ["whole numbers beyond 2^53, floats", 2 ** 60, "1152921504606847000.0"],
    ["bigints, integers", [2n ** 70n, 5n], "[1180591620717411303424,5]"],
    ["booleans and null", [true, false, null, [true]], "[true,false,null,[true]]"],
    ["nothing at the top", undefined, "null"],
    ["undefined properties, left out", { a: undefined, b: 1, c: { d: undefined } }, '{"b":1,"c":{}}'],
    [
      "undefined properties beside a Date",
      [{ a: undefined, b: new Date(0) }],
      '[{"b":{"__type__":"datetime","__value__":"1970-01-01T00:00:00+00:00"}}]',
    ],
    ["empty ones", [[], {}], "[[],{}]"],
    ["more than a few", [1, 2, 3, 4, 5, "x"], '[1,2,3,4,5,"x"]'],
    ["an object without prototype", Object.assign(Object.create(null), { a: 1n }), '{"a":1}'],
    ["an object of another realm", runInNewContext("({ a: [1] })"), '{"a":[1]}'],
    [
      "a Date",
      new Date(1704164645678),
      '{"__type__":"datetime","__value__":"2024-01-02T03:04:05.678000+00:00"}',
    ],
    ["bytes that are text", Buffer.from("hå"), '{"__type__":"bytes","__value__":"hå"}'],
    ["bytes", new Uint8Array([255, 254]), '{"__type__":"base64","__value__":"//4="}'],
    [
      "a part of a buffer",
      new Uint8Array([1, 255, 254, 1]).subarray(1, 3),
      '{"__type__":"base64","__value__":"//4="}',
    ],
    [
      "a UUID",
      new Uuid("12345678-1234-5678-1234-567812345678"),
      '{"__type__":"uuid","__value__":{"hex":"12345678123456781234567812345678"}}',
    ],
    ["a date", new PlainDate("2024-01-02"), '{"__type__":"date","__value__":"2024-01-02"}'],
    ["a time", new PlainTime("03:04"), '{"__type__":"time","__value__":"03:04"}'],
    ["a decimal", new Decimal("1.50"), '{"__type__":"decimal","__value__":"1.50"}'],
    ["a signature", [new Signature()], `[${JSON.stringify(SIGNATURE)}]`],
    [
      "kombu's form, written by hand",
      { __type__: "decimal", __value__: "1" },
      '{"__type__":"decimal","__value__":"1"}',
    ],
    ["an object with __type__ among others", { __type__: "x", a: 1, b: 2 }, '{"__type__":"x","a":1,"b":2}'],
  ])("%s", (_name, value, text) => {
    expect(stringifyJson(value)).toBe(text);
  });
});

describe("what does not travel", () => {
  const cycle: Record<string, unknown> = { a: {} };
  (cycle["a"] as Record<string, unknown>)["back"] = cycle;
  let deep: unknown = 1;
  for (let level = 0; level < 201; level++) deep = [deep];

  test.each<[string, unknown, string]>([
    [
      "undefined in an array",
      [1, undefined],
      "args[1] is undefined: it would arrive as null; send null, or leave it out",
    ],
    ["a hole", [HOLE], "args[0][0] is undefined: it would arrive as null; send null, or leave it out"],
    ["a function", { f: () => 1 }, "args.f is a function: only data can be sent"],
    ["a toJSON of its own", [{ toJSON: () => 1 }], "args[0].toJSON is a function: only data can be sent"],
    ["a symbol", [Symbol("x")], "args[0] is a symbol: only data can be sent"],
    [
      "a Map",
      { "odd key": new Map() },
      'args["odd key"] is a Map: send an object (Object.fromEntries) or an array of pairs',
    ],
    ["a Set", [new Set()], "args[0] is a Set: send an array ([...set])"],
    ["an Error", [new TypeError("x")], "args[0] is an Error: throw it instead, or send its message"],
    ["a Promise", [Promise.resolve()], "args[0] is a Promise: await it first"],
    ["a RegExp", [/x/], "args[0] is a RegExp: send its source"],
    ["an ArrayBuffer", [new ArrayBuffer(1)], "args[0] is an ArrayBuffer: send a Uint8Array of it"],
    [
      "another typed array",
      [new Float64Array(1)],
      "args[0] is a Float64Array: send an array (Array.from), or a Uint8Array",
    ],
    ["a WeakMap", [new WeakMap()], "args[0] is a WeakMap: only data can be sent"],
    // oxlint-disable-next-line unicorn/new-for-builtins, no-new-wrappers
    ["a boxed value", [new Number(1)], "args[0] is a boxed Number: send the plain value"],
    [
      "an instance",
      [{ at: new Point() }],
      "args[0].at is an instance of Point: send a plain object ({ ...it }) of the fields that matter",
    ],
    [
      "an instance without a name",
      [new NAMELESS()],
      "args[0] is an instance of a class without a name: send a plain object ({ ...it }) of the fields that matter",
    ],
    [
      "a URL",
      [new URL("http://h/")],
      "args[0] is an instance of URL: send its text (toString, toJSON) or a plain object",
    ],
    ["an invalid Date", [new Date(Number.NaN)], "args[0] is an invalid Date: send a valid one, or null"],
    [
      "a Date Python has not",
      [new Date(-1e15)],
      "args[0] is a Date outside the years 1 to 9999, which Python cannot hold: send a number or a text",
    ],
    ["a cycle", cycle, "args.a.back refers back to an object that holds it: send a tree, or ids"],
    ["a deep nesting", deep, `args${"[0]".repeat(200)} is nested deeper than 200 levels: send it flat`],
    [
      "a form that no receiver knows",
      [{ __type__: "set", __value__: [1], x: undefined }],
      "args[0] has just the keys __type__ and __value__ with a type that no receiver knows: rename one",
    ],
    [
      "a key that receivers drop",
      [{ a: JSON.parse('{"__proto__":1}') as unknown }],
      "args[0].a has a key __proto__, which receivers drop: rename it",
    ],
    [
      "a key that receivers drop, beside a Date",
      { d: new Date(0), a: JSON.parse('{"__proto__":1}') as unknown },
      "args.a has a key __proto__, which receivers drop: rename it",
    ],
    [
      "something inside a signature",
      [{ ...SIGNATURE, args: [new Set()] }],
      "args[0].args[0] is a Set: send an array ([...set])",
    ],
  ])("%s is refused with its path", (_name, value, message) => {
    expect(() => stringifyJson(value, "args")).toThrow(new EncodeError(message));
  });

  test("an object whose toJSON gives no signature is refused, and null is taken for none", () => {
    class Odd {
      toJSON(): unknown {
        return null;
      }
    }
    expect(() => stringifyJson(new Odd())).toThrow(/^the value is an instance of Odd/);
  });

  test("one value in two places is no cycle", () => {
    const shared = { when: new Date(0) };
    expect(parseJson(stringifyJson([shared, shared]))).toEqual([shared, shared]);
  });
});

const leaf: fc.Arbitrary<unknown> = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 90n }),
  fc.bigInt({ min: -(2n ** 90n), max: -(2n ** 53n) }),
  fc.date({
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  }),
  fc.uint8Array(),
  fc.uuid().map((text) => new Uuid(text)),
  fc.integer({ min: 0, max: 99_999 }).map((n) => new Decimal(`${n}.50`)),
);
const { anything } = fc.letrec((tie) => ({
  anything: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(tie("anything")),
    fc.dictionary(
      fc.string({ unit: "binary" }).filter((key) => !key.startsWith("__")),
      tie("anything"),
    ),
  ),
}));

test("whatever travels arrives equal", () => {
  fc.assert(
    fc.property(anything, (value) => {
      expect(parseJson(stringifyJson(value))).toEqual(value);
    }),
    { seed, numRuns: 1000 },
  );
});

test("plain data is written as JSON.stringify writes it", () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ stringUnit: "binary" }).filter((value) => !JSON.stringify(value).includes("__proto__")),
      (value) => {
        // JSON.stringify makes minus zero a zero; here it stays a float.
        expect(JSON.stringify(JSON.parse(stringifyJson(value)))).toBe(JSON.stringify(value));
      },
    ),
    { seed, numRuns: 500 },
  );
});
