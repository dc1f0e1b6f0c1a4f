import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  encodeCommand,
  isRespError,
  isRespPush,
  RespReader,
  type RespValue,
} from "../../../src/redis/resp.ts";
import { seed } from "../../support/seed.ts";

/** As a server writes it in RESP3. */
function encode(value: RespValue): string {
  if (value === null) return "_\r\n";
  if (typeof value === "boolean") return value ? "#t\r\n" : "#f\r\n";
  if (typeof value === "number") return Number.isInteger(value) ? `:${value}\r\n` : `,${value}\r\n`;
  if (typeof value === "string") return `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map(encode).join("")}`;
  if ("error" in value) return `-${value.error}\r\n`;
  return `>${value.push.length}\r\n${value.push.map(encode).join("")}`;
}

const { value: anyValue } = fc.letrec<{ value: RespValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.string({ unit: "grapheme" }),
    fc.record({ error: fc.string({ unit: fc.constantFrom("a", "B", " ", "é") }) }),
    fc.array(tie("value"), { maxLength: 4 }),
  ),
}));

describe("RESP", () => {
  test("whatever a server writes is read, however it is cut into pieces", () => {
    fc.assert(
      fc.property(
        fc.array(anyValue, { maxLength: 5 }),
        fc.array(fc.nat(40), { maxLength: 30 }),
        (values, cuts) => {
          const bytes = Buffer.from(values.map(encode).join(""));
          const reader = new RespReader();
          const read: RespValue[] = [];
          let from = 0;
          for (const cut of cuts) {
            read.push(...reader.push(bytes.subarray(from, from + cut)));
            from = Math.min(bytes.length, from + cut);
          }
          read.push(...reader.push(bytes.subarray(from)));
          expect(read).toEqual(values);
        },
      ),
      { seed },
    );
  });

  test("RESP2's nulls, verbatim texts, big numbers, maps and sets", () => {
    const text =
      "$-1\r\n*-1\r\n=7\r\ntxt:abc\r\n(123456789012345678901\r\n%1\r\n+a\r\n:1\r\n~1\r\n+b\r\n!3\r\nERR\r\n";
    expect(new RespReader().push(Buffer.from(text))).toEqual([
      null,
      null,
      "txt:abc",
      "123456789012345678901",
      ["a", 1],
      ["b"],
      { error: "ERR" },
    ]);
  });

  test("a push is told from a reply that is an array", () => {
    const [push, array, error] = new RespReader().push(
      Buffer.from(">2\r\n+invalidate\r\n*1\r\n+k\r\n*1\r\n+push\r\n-ERR x\r\n"),
    );
    expect([isRespPush(push), isRespPush(array), isRespPush(error)]).toEqual([true, false, false]);
    expect([isRespError(push), isRespError(array), isRespError(error)]).toEqual([false, false, true]);
  });

  test("what is no RESP, and what is nested too deep, is refused", () => {
    expect(() => new RespReader().push(Buffer.from("HTTP/1.1 400\r\n"))).toThrow("not a Redis reply");
    expect(() => new RespReader().push(Buffer.from("*1\r\n".repeat(100)))).toThrow("too deep");
  });

  test("commands carry text, numbers and bytes", () => {
    expect(encodeCommand(["SET", "ü", 5, Buffer.from([0, 255])])).toEqual(
      Buffer.concat([
        Buffer.from("*4\r\n$3\r\nSET\r\n$2\r\nü\r\n$1\r\n5\r\n$2\r\n"),
        Buffer.from([0, 255, 13, 10]),
      ]),
    );
  });
});
