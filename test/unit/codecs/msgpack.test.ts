import { encode as pack } from "@msgpack/msgpack";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { loadCodec } from "../../../src/codecs/index.ts";
import { checkMsgpack } from "../../../src/codecs/msgpack-check.ts";
import { DecodeError, EncodeError } from "../../../src/errors.ts";
import { deserialize, serialize } from "../../../src/protocol/serialization.ts";
import { Decimal } from "../../../src/protocol/values.ts";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { cpuMs } from "../../support/best-of.ts";
import { seed } from "../../support/seed.ts";
import { classThrownBy } from "../../support/thrown-by.ts";

const write = (value: unknown, where?: string): Uint8Array =>
  serialize(value, "msgpack", where).body as Uint8Array;
const read = (body: Uint8Array | string, limits = DEFAULT_LIMITS): unknown =>
  deserialize(body, {
    contentType: "application/x-msgpack",
    contentEncoding: "binary",
    accept: ["msgpack"],
    limits,
  });
const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(" ", ""), "hex");

beforeAll(() => loadCodec("msgpack"));

describe("msgpack", () => {
  test("is what kombu writes: texts and bytes apart, integers of 64 bits", () => {
    expect(serialize(1, "msgpack")).toMatchObject({
      contentType: "application/x-msgpack",
      contentEncoding: "binary",
    });
    expect(Buffer.from(write(["a", new Uint8Array([1])])).toString("hex")).toBe("92a161c40101");
    expect(Buffer.from(write(2 ** 40)).toString("hex")).toBe("cf0000010000000000");
    expect(Buffer.from(write(-(2 ** 40))).toString("hex")).toBe("d3ffffff0000000000");
    expect(Buffer.from(write({ a: undefined, b: [2n ** 63n] })).toString("hex")).toBe(
      "81a16291cf8000000000000000",
    );
    expect(Buffer.from(write(undefined)).toString("hex")).toBe("c0");
    expect(Buffer.from(write(1.5)).toString("hex")).toBe("cb3ff8000000000000");
  });

  test("reads what Python's msgpack writes", () => {
    expect(read(hex("cf 0000010000000000"))).toBe(2 ** 40);
    expect(read(hex("cf ffffffffffffffff"))).toBe(2n ** 64n - 1n);
    expect(read(hex("d3 8000000000000000"))).toBe(-(2n ** 63n));
    expect(read(hex("82 01 a161 c0 02"))).toEqual({ 1: "a", null: 2 });
    expect(read(hex("82 c3 01 cf0000010000000000 02"))).toEqual({ true: 1, 1099511627776: 2 });
    expect(read(hex("c4 02 fffe"))).toEqual(new Uint8Array([255, 254]));
    expect(read(hex("d6 ff 00000001"))).toEqual(new Date(1000));
    expect(read(Buffer.from("\x92\x01\x02", "latin1").toString("latin1"))).toEqual([1, 2]);
  });

  test("what has no form there is refused, with its path", () => {
    expect(() => write({ when: new Date() }, "kwargs")).toThrow(EncodeError);
    expect(() => write({ when: new Date() }, "kwargs")).toThrow(
      /^kwargs\.when is a Date, which msgpack has no form for: use the json serializer/,
    );
    expect(() => write([new Decimal("1")])).toThrow(/^the value\[0\] is a Decimal/);
    expect(() => write([2n ** 64n])).toThrow(/needs more than the 64 bits that msgpack has/);
    expect(() => write([-(2n ** 63n) - 1n])).toThrow(/needs more than the 64 bits/);
    expect(() => write([new Map()])).toThrow(/is a Map: send an object/);
  });

  test("signatures travel as their data", () => {
    const data = { task: "t", args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false };
    class Signature {
      toJSON(): unknown {
        return data;
      }
    }
    expect(read(write([new Signature()]))).toEqual([data]);
  });

  test.each([
    ["nothing", ""],
    ["an array that ends too early", "92 01"],
    ["a promise of four thousand million elements", "dd ffffffff"],
    ["a map of as many", "df ffffffff"],
    ["a text that ends too early", "a5 61"],
    ["a length that ends too early", "db 0000"],
    ["bytes that end too early", "c6 00000010 00"],
    ["an extension that ends too early", "c7 05 01 00"],
    ["a type that does not exist", "c1"],
    ["more than one value", "01 02"],
    ["an extension that nobody knows", "d4 05 00"],
    ["a key that is an array", "81 90 01"],
    ["a key __proto__", `81 a9 ${Buffer.from("__proto__").toString("hex")} 81 a1 61 01`],
  ])("%s is refused", (_name, bytes) => {
    expect(() => read(hex(bytes))).toThrow(DecodeError);
    expect(({} as Record<string, unknown>)["a"]).toBeUndefined();
  });

  test("nesting is bounded before anything is built", () => {
    const nested = (depth: number): Uint8Array =>
      new Uint8Array([...Array.from({ length: depth }, () => 0x91), 0xc0]);
    expect(() => read(nested(200))).not.toThrow();
    expect(() => read(nested(201))).toThrow(
      expect.objectContaining({ code: "PET_MESSAGE_TOO_LARGE" }) as Error,
    );
    const costMs = cpuMs(() => {
      expect(() => read(Buffer.concat([Buffer.alloc(16 * 1024 * 1024, 0x91), hex("c0")]))).toThrow(
        "nested deeper than 200 levels",
      );
    });
    expect(costMs).toBeLessThan(1000);
  });

  test("every size of every type is walked over", () => {
    const samples = [
      1,
      -1,
      200,
      70_000,
      -200,
      -70_000,
      1.5,
      true,
      null,
      "x",
      "y".repeat(40),
      "z".repeat(300),
      "w".repeat(70_000),
      new Uint8Array(10),
      new Uint8Array(300),
      new Uint8Array(70_000),
      Array.from({ length: 20 }, () => 1),
      Array.from({ length: 70_000 }, () => 1),
      Object.fromEntries(Array.from({ length: 20 }, (_, n) => [n, n])),
      Object.fromEntries(Array.from({ length: 70_000 }, (_, n) => [n, n])),
      new Date(1),
      new Date(1e12 + 1),
    ];
    for (const sample of samples) expect(() => checkMsgpack(pack([sample]), 5)).not.toThrow();
    for (const text of [
      "d4 01 00",
      "d5 01 0000",
      "d7 01 0000000000000000",
      `d8 01 ${"00".repeat(16)}`,
      "c7 01 01 00",
      "c8 0001 01 00",
      "c9 00000001 01 00",
      "ca 00000000",
    ]) {
      expect(() => checkMsgpack(hex(text), 5)).not.toThrow();
    }
  });
});

test("whatever msgpack can hold arrives equal", () => {
  const leaf = fc.oneof(
    fc.string({ unit: "grapheme" }),
    // Minus zero is a whole number to the package.
    fc.double().map((number) => (number === 0 ? 0 : number)),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
  );
  const { anything } = fc.letrec((tie) => ({
    anything: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("anything")),
      fc.dictionary(
        fc.string().filter((key) => key !== "__proto__"),
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

test("arbitrary bytes are a value or a DecodeError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect([null, DecodeError]).toContain(classThrownBy(() => read(bytes)));
    }),
    { seed, numRuns: 5000 },
  );
});
