/** What Python shows is in the vectors (`messages.vectors.test.ts`); here is what they do not hold. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_REPR, repr, reprArgs, reprKwargs } from "../../../src/protocol/python-repr.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "../../../src/protocol/values.ts";
import { seed } from "../../support/seed.ts";

describe("repr", () => {
  const cycle: unknown[] = [1];
  cycle.push(cycle);
  const ring: Record<string, unknown> = { a: 1 };
  ring["b"] = [ring];

  test.each<readonly [string, unknown]>(
    (
      [
        ["it's", "'it's'"],
        [5, "5"],
        [-2.5, "-2.5"],
        [1e16, "1e+16"],
        [2 ** 53, "9007199254740992"],
        [1e15 + 0.5, "1000000000000000.5"],
        [1e21, "1e+21"],
        [0.0001, "0.0001"],
        [0.00001, "1e-05"],
        [1.5e-10, "1.5e-10"],
        [1e300, "1e+300"],
        [Number.NaN, "nan"],
        [Number.POSITIVE_INFINITY, "inf"],
        [Number.NEGATIVE_INFINITY, "-inf"],
        [2n ** 70n, "1180591620717411303424"],
        [true, "True"],
        [false, "False"],
        [null, "None"],
        [undefined, "None"],
        [[1, [2, ["x"]]], "[1, [2, ['x']]]"],
        [[1, [2, [3, [4]]]], "[1, [2, [3, [...]]]]"],
        [{}, "{}"],
        [[], "[]"],
        [{ a: { b: { c: { d: 1 } } } }, "{'a': {'b': {'c': {...}}}}"],
        [cycle, "[1, [...]]"],
        [ring, "{'a': 1, 'b': [{...}]}"],
        [
          new Date("2024-01-02T03:04:00Z"),
          "datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)",
        ],
        [
          new Date("2024-01-02T03:04:05Z"),
          "datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)",
        ],
        [
          new Date("2024-01-02T03:04:00.5Z"),
          "datetime.datetime(2024, 1, 2, 3, 4, 0, 500000, tzinfo=datetime.timezone.utc)",
        ],
        [new Date(Number.NaN), "<invalid date>"],
        [new PlainDate("2024-01-02"), "datetime.date(2024, 1, 2)"],
        [new PlainTime("03:04"), "datetime.time(3, 4)"],
        [new PlainTime("03:04:05"), "datetime.time(3, 4, 5)"],
        [new PlainTime("03:04:05.5"), "datetime.time(3, 4, 5, 500000)"],
        [new PlainTime("03:04:05+02:00"), "datetime.time('03:04:05+02:00')"],
        [new Uuid("12345678123456781234567812345678"), "UUID('12345678-1234-5678-1234-567812345678')"],
        [new Decimal("1.50"), "Decimal('1.50')"],
        [Buffer.from("abc"), "b'abc'"],
        [new Uint8Array([255, 254]), "b'fffe'"],
        [new RangeError("secret"), "<RangeError>"],
        [() => 1, "<function>"],
        [Symbol("x"), "<symbol>"],
        [[Symbol("x")], "[<symbol>]"],
        [
          new (class Point {
            x = 1;
          })(),
          "{'x': 1}",
        ],
      ] as readonly (readonly [unknown, string])[]
    ).map(([value, text]) => [text, value] as const),
  )("%s", (text, value) => {
    expect(repr(value)).toBe(text);
    expect(repr([value]).length).toBeLessThanOrEqual(text.length + 2);
  });

  test("is cut, with a mark, at the length that is asked for", () => {
    expect(repr("x".repeat(50), { maxLength: 10 })).toBe("'xxxxxxxxxx...'");
    expect(repr([1, 2, 3, 4, 5, 6], { maxLength: 8 })).toBe("[1, 2, 3, ...");
    expect(repr({ key: "value", other: 1 }, { maxLength: 12 })).toBe("{'key': 'valu...', ...");
    expect(repr(Buffer.from("y".repeat(50)), { maxLength: 10 })).toBe("b'yyyyyyyyyy...'");
    expect(repr([Buffer.alloc(50, 255)], { maxLength: 11 })).toBe("[b'ffffffffff...', ...");
    expect(repr(1234567890123, { maxLength: 4 })).toBe("1234567890123");
    expect(repr([10n ** 200n], { maxLength: 10 })).toBe("[100000000..., ...");
    expect(repr([[[1]]], { maxLevels: 1 })).toBe("[[...]]");
  });
});

describe("reprArgs and reprKwargs", () => {
  test("are a tuple and a dict", () => {
    expect(reprArgs([])).toBe("()");
    expect(reprArgs([1])).toBe("(1,)");
    expect(reprArgs([[1]])).toBe("([1],)");
    expect(reprArgs(["a", { b: [true] }])).toBe("('a', {'b': [True]})");
    expect(reprKwargs({})).toBe("{}");
    expect(reprKwargs({ a: 1, b: "x" })).toBe("{'a': 1, 'b': 'x'}");
    expect(reprKwargs({ a: [1] })).toBe("{'a': [1]}");
  });

  test("long ones are cut: many short arguments, many keywords, one long text", () => {
    const many = Array.from({ length: 600 }, (_, n) => n);
    expect(reprArgs(many)).toMatch(/^\(0, 1, 2, .*, \.\.\.$/);
    expect(reprKwargs(Object.fromEntries(many.map((n) => [`k${n}`, n])))).toMatch(/^\{'k0': 0, .*\.\.\.$/);
    expect(reprArgs(["x".repeat(5000)])).toBe(`('${"x".repeat(1023)}...', ...`);
  });

  test("never take more than Celery's room and a mark, and never throw", () => {
    fc.assert(
      fc.property(
        fc.array(fc.anything({ withBigInt: true, withDate: true, withTypedArray: true })),
        (args) => {
          expect(reprArgs(args).length).toBeLessThan(MAX_REPR + 100);
        },
      ),
      { seed, numRuns: 500 },
    );
  });
});
