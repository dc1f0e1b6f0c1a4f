import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError } from "../../../src/errors.ts";
import { parseJson } from "../../../src/protocol/json.ts";
import { parseTolerant } from "../../../src/protocol/json-tolerant.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "../../../src/protocol/values.ts";
import { seed } from "../../support/seed.ts";
import { classThrownBy } from "../../support/thrown-by.ts";

const typed = (type: unknown, value: unknown): string => JSON.stringify({ __type__: type, __value__: value });
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

describe("numbers", () => {
  test.each([
    ["NaN", Number.NaN],
    ["[Infinity, -Infinity]", [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
    ['{"a": NaN}', { a: Number.NaN }],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992n],
    ["-9007199254740993", -9007199254740993n],
    ["[1180591620717411303424]", [2n ** 70n]],
    ['{"id":9223372036854775807}', { id: 9223372036854775807n }],
    ["0.30000000000000004", 0.30000000000000004],
    ["1234567890.12345678901234567", 1234567890.1234567],
    ["1e400", Number.POSITIVE_INFINITY],
    ["1e+21", 1e21],
    ["-0.0", -0],
    ["[1, 1.5, -2, 1E5, 0]", [1, 1.5, -2, 1e5, 0]],
    ["12345678901234567.5", Number("12345678901234567.5")],
    ["12345678901234567e1", Number("12345678901234567e1")],
  ])("%s", (text, value) => {
    expect(parseJson(text)).toEqual(value);
    expect(parseTolerant(text, 10)).toEqual(value);
  });

  test("an integer of 4300 digits is read, a longer one is refused as in Python", () => {
    expect(parseJson(`[${"9".repeat(4300)}]`)).toEqual([BigInt("9".repeat(4300))]);
    expect(() => parseJson(`[${"9".repeat(4301)}]`)).toThrow("an integer has more than 4300 digits");
  });

  test("a long row of digits in a text costs nothing and changes nothing", () => {
    const digits = "1234567890".repeat(10);
    expect(parseJson(`["${digits}", 0.${digits}, 7]`)).toEqual([digits, Number(`0.${digits}`), 7]);
    expect(parseJson(`[0.${"1".repeat(1_000_000)}]`)).toEqual([0.1111111111111111]);
  });

  test("every integer is exact, wherever it stands", () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n })),
        fc.string(),
        (numbers, padding) => {
          const read = parseJson(
            JSON.stringify([padding]).slice(0, -1) + numbers.map((n) => `,${n}`).join("") + "]",
          );
          expect((read as unknown[]).slice(1).map(String)).toEqual(numbers.map(String));
        },
      ),
      { seed },
    );
  });
});

describe("kombu's types", () => {
  test.each<[string, unknown, unknown]>([
    ["datetime", "2024-01-02T03:04:05.678900", new Date("2024-01-02T03:04:05.678Z")],
    ["datetime", "2024-01-02T03:04:05+02:00", new Date("2024-01-02T01:04:05Z")],
    ["date", "2024-01-02", new PlainDate("2024-01-02")],
    ["time", "03:04:05.000006", new PlainTime("03:04:05.000006")],
    ["uuid", { hex: "12345678123456781234567812345678" }, new Uuid("12345678-1234-5678-1234-567812345678")],
    ["uuid", "12345678-1234-5678-1234-567812345678", new Uuid("12345678-1234-5678-1234-567812345678")],
    ["decimal", "1.50", new Decimal("1.50")],
    ["bytes", "håæ", new TextEncoder().encode("håæ")],
    ["base64", "//4=", new Uint8Array([255, 254])],
  ])("%s %j", (type, value, expected) => {
    expect(parseJson(typed(type, value))).toEqual(expected);
    expect(parseJson(`{"deep":[${typed(type, value)}]}`)).toEqual({ deep: [expected] });
    expect(parseTolerant(typed(type, value), 10)).toEqual(expected);
  });

  test("are read among what needs the tolerant parser", () => {
    expect(parseJson(`[${typed("decimal", "1")}, NaN, ${typed("bytes", "a")}]`)).toEqual([
      new Decimal("1"),
      Number.NaN,
      new Uint8Array([97]),
    ]);
  });

  test("are read when their name is written with escapes", () => {
    expect(parseJson('{"\\u005f_type__":"decimal","__val\\u0075e__":"1"}')).toEqual(new Decimal("1"));
  });

  test.each([
    ["a third key", '{"__type__":"decimal","__value__":"1","x":1}'],
    ["no value", '{"__type__":"decimal","value":"1"}'],
    ["no type", '{"__type":"decimal","__value__":"1"}'],
  ])("an object with %s is an object", (_name, text) => {
    expect(parseJson(text)).toEqual(JSON.parse(text));
    expect(parseTolerant(text, 9)).toEqual(JSON.parse(text));
  });

  test.each<[unknown, unknown, RegExp]>([
    ["set", [1], /^__type__ "set" is not known/],
    [5, [1], /^__type__ of a number is not known/],
    ["constructor", 1, /^__type__ "constructor" is not known/],
    ["datetime", "yesterday", /^a datetime cannot be read: "yesterday" is not an ISO 8601 date/],
    ["datetime", 5, /^a datetime cannot be read: its value is not a text/],
    ["date", "2024-13-02", /^a date cannot be read/],
    ["time", "25:00", /^a time cannot be read/],
    ["uuid", "xyz", /^a uuid cannot be read/],
    ["uuid", { hex: 5 }, /^a uuid cannot be read: its value is not a text/],
    ["decimal", "one", /^a decimal cannot be read/],
    ["base64", "%%%", /^a base64 cannot be read: its value is not base64/],
  ])("%j with %j is refused", (type, value, reason) => {
    expect(() => parseJson(typed(type, value))).toThrow(DecodeError);
    expect(() => parseJson(typed(type, value))).toThrow(reason);
  });
});

describe("hostile text", () => {
  test.each([
    '{"__proto__":{"polluted":1}}',
    '{"a":{"__proto__":{"polluted":1}},"b":[{"__proto__":{"polluted":1}}]}',
    '{"\\u005f_proto__":{"polluted":1}}',
    '{"__proto__":{"polluted":1},"n":NaN}',
    '{"constructor":{"prototype":{"polluted":1}}}',
  ])("%s pollutes nothing", (text) => {
    const value = parseJson(text) as Record<string, Record<string, unknown>>;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.hasOwn(value, "__proto__")).toBe(false);
    expect(Object.hasOwn(value["a"] ?? {}, "__proto__")).toBe(false);
    expect((Object.assign({}, value) as { polluted?: unknown }).polluted).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("the last of two equal keys counts", () => {
    expect(parseJson('{"a":1,"a":2}')).toEqual({ a: 2 });
    expect(parseJson('{"a":NaN,"a":2}')).toEqual({ a: 2 });
  });

  test("nesting is bounded, and brackets in texts are not nesting", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    expect(() => parseJson(nested(200))).not.toThrow();
    expect(() => parseJson(nested(201))).toThrow(code("PET_MESSAGE_TOO_LARGE"));
    expect(() => parseJson(nested(100_000))).toThrow("nested deeper than 200 levels");
    expect(() => parseJson('{"a":'.repeat(201) + "1" + "}".repeat(201))).toThrow(
      code("PET_MESSAGE_TOO_LARGE"),
    );
    expect(() => parseJson(nested(6), { maxDepth: 5 })).toThrow("nested deeper than 5 levels");
    expect(parseJson(JSON.stringify(["[{".repeat(500)]))).toEqual(["[{".repeat(500)]);
    expect(parseJson(`[${"[],".repeat(500)}[]]`)).toHaveLength(501);
    expect(parseJson(`[${"{},".repeat(500)}1]`)).toHaveLength(501);
  });

  test.each([
    ["", "not JSON: it ends too early"],
    ["  ", "not JSON: it ends too early"],
    ["{", "not JSON: it ends too early"],
    ["[1", "not JSON: it ends too early"],
    ['{"a"', "not JSON: it ends too early"],
    ["[1,]", 'not JSON: unexpected "]" at character 3'],
    ["{,}", 'not JSON: unexpected "," at character 1'],
    ["[1 2]", 'not JSON: unexpected "2" at character 3'],
    ["{a:1}", 'not JSON: unexpected "a" at character 1'],
    ["[01]", 'not JSON: unexpected "1" at character 2'],
    ["1 2", 'not JSON: unexpected "2" at character 2'],
    ["nul", 'not JSON: unexpected "n" at character 0'],
    ["+1", 'not JSON: unexpected "+" at character 0'],
    ['["abc', "not JSON: a string has no end"],
    ['["abc\\"]', "not JSON: a string has no end"],
    ['["a\\x"]', "not JSON: the string at character 1 has a bad escape or control character"],
    ['["a\nb"]', "not JSON: the string at character 1 has a bad escape or control character"],
    ["\ufeff1", 'not JSON: unexpected "\ufeff" at character 0'],
  ])("%j is refused", (text, reason) => {
    expect(() => parseJson(text)).toThrow(DecodeError);
    expect(() => parseJson(text)).toThrow(reason);
  });
});

describe("the tolerant parser", () => {
  test("agrees with JSON.parse on every JSON text", () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: "binary" }), fc.constantFrom(undefined, 1, "\t"), (text, indent) => {
        const value: unknown = JSON.parse(text);
        fc.pre(!text.includes("__proto__") && !hasBigInteger(value));
        const written = JSON.stringify(value, null, indent);
        expect(JSON.stringify(parseTolerant(written, 1000))).toBe(JSON.stringify(value));
        expect(JSON.stringify(parseJson(written))).toBe(JSON.stringify(value));
      }),
      { seed, numRuns: 500 },
    );
  });

  test("refuses what JSON.parse refuses, Python's words aside", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from('[]{},:"\\ue1-.0tfn \n')) }), (text) => {
        const native = classThrownBy(() => JSON.parse(text)) === null;
        expect(classThrownBy(() => parseTolerant(text, 1000))).toBe(native ? null : DecodeError);
      }),
      { seed, numRuns: 3000 },
    );
  });
});

function hasBigInteger(value: unknown): boolean {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  return typeof value === "object" && value !== null && Object.values(value).some(hasBigInteger);
}
