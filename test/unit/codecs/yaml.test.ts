import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { loadCodec } from "../../../src/codecs/index.ts";
import { DecodeError, EncodeError } from "../../../src/errors.ts";
import { deserialize, serialize } from "../../../src/protocol/serialization.ts";
import { seed } from "../../support/seed.ts";
import { classThrownBy } from "../../support/thrown-by.ts";

const write = (value: unknown, where?: string): string => serialize(value, "yaml", where).body as string;
const read = (body: string | Uint8Array): unknown =>
  deserialize(body, { contentType: "application/x-yaml", contentEncoding: "utf-8", accept: ["yaml"] });

beforeAll(() => loadCodec("yaml"));

describe("reading", () => {
  test("what PyYAML's safe_dump writes", () => {
    const text = [
      "a: 1",
      "b:",
      "- 1.0e+21",
      "- 1.0e-07",
      "- -1.5",
      "- .inf",
      "- -.inf",
      "- .nan",
      "- true",
      "- null",
      "- ~",
      "- ''",
      "- 'yes'",
      '- "a\\nb\\u00e9"',
      "- |-",
      "  two",
      "  lines",
      "- 1180591620717411303424",
      "- +5",
      "- &id001 [x]",
      "- *id001",
      "",
    ].join("\n");
    expect(read(text)).toEqual({
      a: 1,
      b: [
        1e21,
        1e-7,
        -1.5,
        Infinity,
        -Infinity,
        Number.NaN,
        true,
        null,
        null,
        "",
        "yes",
        "a\nbé",
        "two\nlines",
        2n ** 70n,
        5,
        ["x"],
        ["x"],
      ],
    });
    expect(read(Buffer.from("- hå\n"))).toEqual(["hå"]);
  });

  test.each([
    "1e3",
    "0o17",
    "017",
    "0x1F",
    "1_000",
    "12:30:45",
    "2024-01-02",
    "2024-01-02T03:04:05Z",
    "yes",
    "on",
    "1.5e3",
    "NaN",
    "Null1",
    "=",
    "<<",
  ])("%s is a text, as PyYAML would have quoted anything else", (text) => {
    expect(read(`- ${text}\n`)).toEqual([text]);
  });

  test("bytes stand under the tag of YAML's own", () => {
    expect(read("a: !!binary |\n  //4=\n")).toEqual({ a: new Uint8Array([255, 254]) });
    expect(write([new Uint8Array([255, 254])])).toBe('[!!binary "//4="]\n');
  });

  test("merge keys are keys, the last of two equal keys counts, keys are texts", () => {
    expect(read("<<: {a: 1}\nb: 1\nb: 2\n5: x\ntrue: y\n")).toEqual({
      "<<": { a: 1 },
      b: 2,
      "5": "x",
      true: "y",
    });
  });

  test.each([
    ["a tag of Python's", "!!python/object/apply:os.system [echo]"],
    ["a set", "!!set {a: null}"],
    ["a tag of its own", "!thing 5"],
    ["broken text", "{a: [1, 2"],
    ["two documents", "a: 1\n---\nb: 2\n"],
    ["an alias without anchor", "- *nowhere"],
    ["a key that is a list", "? [a]\n: b"],
    ["a nesting without end", "[".repeat(20_000)],
    ["a deep nesting", `${"[".repeat(300)}${"]".repeat(300)}`],
    ["an integer of 5000 digits", "9".repeat(5000)],
    ["bytes that are not UTF-8", new Uint8Array([0xff, 0xfe, 0xfd])],
  ])("%s is refused", (_name, body) => {
    expect(() => read(body)).toThrow(DecodeError);
  });

  test.each(["&a [*a]", "&a {b: *a}"])("%s, which holds itself, is refused", (body) => {
    expect(() => read(body)).toThrow(new DecodeError("yaml: a value holds itself"));
  });

  test("a few lines that stand for gigabytes are refused", () => {
    const lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 12; level++) {
      const name = String.fromCharCode(97 + level);
      const above = String.fromCharCode(96 + level);
      lines.push(`${name}: &${name} [${Array.from({ length: 10 }, () => `*${above}`).join(", ")}]`);
    }
    expect(() => read(lines.join("\n"))).toThrow(/^not YAML for us: Excessive alias count/);
  });

  test("a key __proto__ is dropped", () => {
    const value = read("__proto__: {polluted: 1}\na: {__proto__: {polluted: 1}}\n") as Record<
      string,
      unknown
    >;
    expect(value).toEqual({ a: {} });
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("writing", () => {
  test("is flow style with every text quoted, floats with a point", () => {
    expect(
      write([
        1,
        1.5,
        1e21,
        1e-7,
        -0,
        2 ** 60,
        Number.NaN,
        1 / 0,
        -1 / 0,
        2n ** 70n,
        true,
        null,
        "yes",
        { a: undefined, b: [] },
        {},
      ]),
    ).toBe(
      '[1, 1.5, 1.0e+21, 1.0e-7, -0.0, 1152921504606847000.0, .nan, .inf, -.inf, 1180591620717411303424, true, null, "yes", {"b": []}, {}]\n',
    );
    expect(write(1.5e-10)).toBe("1.5e-10\n");
    expect(write(undefined)).toBe("null\n");
    expect(write('a "b"\\\n\u0085\u2028\ufeff\ud800😀')).toBe(
      '"a \\"b\\"\\\\\\u000a\\u0085\\u2028\\ufeff\\ud800😀"\n',
    );
    expect(write({ ["k".repeat(600)]: 1 })).toBe(`{? "${"k".repeat(600)}" : 1}\n`);
  });

  test("what has no core type is refused, with its path", () => {
    expect(() => write({ when: new Date() }, "kwargs")).toThrow(EncodeError);
    expect(() => write({ when: new Date() }, "kwargs")).toThrow(
      /^kwargs\.when is a Date, which yaml has no form for/,
    );
    expect(() => write([new Set()])).toThrow(/is a Set: send an array/);
  });
});

test("whatever the core types hold arrives equal", () => {
  const leaf = fc.oneof(
    fc.string({ unit: "binary" }).map((text) => text.toWellFormed()),
    fc.double(),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.uint8Array(),
    fc.constant(null),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 90n }),
  );
  const { anything } = fc.letrec((tie) => ({
    anything: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("anything")),
      fc.dictionary(
        fc.string({ unit: "grapheme" }).filter((key) => key !== "__proto__"),
        tie("anything"),
      ),
    ),
  }));
  fc.assert(
    fc.property(anything, (value) => {
      expect(read(write(value))).toEqual(value);
    }),
    { seed, numRuns: 500 },
  );
});

test("arbitrary text is a value or a DecodeError", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...Array.from("[]{}:,-?&*!|>'\"%@` \n\tab01.~")) }),
      (text) => {
        expect([null, DecodeError]).toContain(classThrownBy(() => read(text)));
      },
    ),
    { seed, numRuns: 2000 },
  );
});
