import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isRespError, isRespPush, type RespValue } from "../../../src/redis/resp.ts";
import { INCOMPLETE, RespReader } from "../../../src/redis/resp-reader.ts";
import { seed } from "../../support/seed.ts";

/** Texts are as long as what travels: some are longer than what is kept of a chunk. */
const text = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: "grapheme" }) },
  { weight: 1, arbitrary: fc.nat(200_000).map((length) => "ü\r\n".repeat(length / 4)) },
);

const { value: anyValue } = fc.letrec<{ value: RespValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)),
    text,
    fc.record({ error: fc.string({ unit: fc.constantFrom("a", "B", " ", "é") }) }),
    fc.array(tie("value"), { maxLength: 4 }),
  ),
}));

/** As a server writes it in RESP3. */
function encode(value: RespValue): string {
  if (value === null) return "_\r\n";
  if (typeof value === "boolean") return value ? "#t\r\n" : "#f\r\n";
  if (typeof value === "number")
    return Number.isSafeInteger(value) ? `:${value}\r\n` : `,${doubleOf(value)}\r\n`;
  if (typeof value === "string") return `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map(encode).join("")}`;
  if (isRespError(value)) return `-${value.error}\r\n`;
  if (isRespPush(value)) return `>${value.push.length}\r\n${value.push.map(encode).join("")}`;
  throw new Error("bytes are not written here");
}

function doubleOf(value: number): string {
  return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf";
}

/** Feeds the pieces as a socket does: into one piece of memory that is used again. */
function readAll(pieces: readonly Buffer[], reader = new RespReader()): RespValue[] {
  const memory = Buffer.alloc(Math.max(0, ...pieces.map((piece) => piece.length)));
  const values: RespValue[] = [];
  for (const piece of pieces) {
    piece.copy(memory);
    reader.feed(memory.subarray(0, piece.length));
    for (let value = reader.next(); value !== INCOMPLETE; value = reader.next()) values.push(value);
    memory.fill("\r\n*9");
  }
  return values;
}

function read(wire: string): RespValue[] {
  return readAll([Buffer.from(wire)]);
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const length of cuts) {
    pieces.push(bytes.subarray(from, from + length));
    from = Math.min(bytes.length, from + length);
  }
  return [...pieces, bytes.subarray(from)];
}

describe("the reader of RESP", () => {
  test("whatever a server writes is read, however it is cut into pieces", () => {
    fc.assert(
      fc.property(
        fc.array(anyValue, { maxLength: 5 }),
        fc.array(fc.oneof(fc.nat(8), fc.nat(100_000)), { maxLength: 30 }),
        (values, cuts) => {
          const bytes = Buffer.from(values.map(encode).join(""));
          expect(readAll(cut(bytes, cuts))).toEqual(values);
        },
      ),
      { seed },
    );
  });

  test("byte by byte", () => {
    const values: RespValue[] = [["a", [1, null, ["é"]], { push: ["invalidate", ["k"]] }], "end", -12];
    const bytes = Buffer.from(values.map(encode).join(""));
    expect(readAll([...bytes].map((byte) => Buffer.from([byte])))).toEqual(values);
  });

  test("bytes where they are asked for, in memory of their own", () => {
    const reader = new RespReader();
    reader.form = "bytes";
    const wire = Buffer.concat([
      Buffer.from("*2\r\n$2\r\n"),
      Buffer.from([0xff, 0]),
      Buffer.from("\r\n:7\r\n"),
    ]);
    expect(readAll([wire], reader)).toEqual([[Buffer.from([0xff, 0]), 7]]);
  });

  test("only the size of what nobody reads", () => {
    const reader = new RespReader();
    reader.form = "size";
    expect(
      readAll([Buffer.from("$5\r\nhel"), Buffer.from("lo\r\n*2\r\n$2\r\né\r\n$-1\r\n")], reader),
    ).toEqual([5, [2, null]]);
  });

  test("a push that comes before a reply is text, whatever the reply is to be", () => {
    for (const form of ["bytes", "size"] as const) {
      const reader = new RespReader();
      reader.form = form;
      const wire = Buffer.from(">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\ncelery\r\n$1\r\nx\r\n");
      expect(readAll([wire], reader)).toEqual([
        { push: ["invalidate", ["celery"]] },
        form === "size" ? 1 : Buffer.from("x"),
      ]);
    }
  });

  test("RESP2's nulls, verbatim texts, big numbers, maps, sets, and attributes, which are left out", () => {
    expect(
      read(
        "$-1\r\n*-1\r\n=7\r\ntxt:abc\r\n(123456789012345678901\r\n%1\r\n+a\r\n:1\r\n~1\r\n+b\r\n!3\r\nERR\r\n" +
          "|1\r\n+ttl\r\n:5\r\n+described\r\n*1\r\n|1\r\n+ttl\r\n:5\r\n:-3\r\n*0\r\n%0\r\n>0\r\n$0\r\n\r\n",
      ),
    ).toEqual([
      null,
      null,
      "txt:abc",
      "123456789012345678901",
      ["a", 1],
      ["b"],
      { error: "ERR" },
      "described",
      [-3],
      [],
      [],
      { push: [] },
      "",
    ]);
  });

  test("a push is told from a reply that is an array", () => {
    const [push, array, error] = read(">2\r\n+invalidate\r\n*1\r\n+k\r\n*1\r\n+push\r\n-ERR x\r\n");
    expect([isRespPush(push), isRespPush(array), isRespPush(error)]).toEqual([true, false, false]);
    expect([isRespError(push), isRespError(array), isRespError(error)]).toEqual([false, false, true]);
  });

  test.each([
    ["another protocol", "HTTP/1.1 400\r\n", "not a Redis reply"],
    ["a length that is no number", "$1x\r\n", "not a Redis reply"],
    ["a text that no server may send", "$99999999999\r\nx", "99999999999 bytes"],
    ["nested too deep", "*1\r\n".repeat(100), "too deep"],
  ])("refused: %s", (_name, wire, message) => {
    expect(() => read(wire)).toThrow(message);
  });
});
