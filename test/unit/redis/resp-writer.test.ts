import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { INCOMPLETE, RespReader } from "../../../src/redis/resp-reader.ts";
import { ArgBlock, RespWriter } from "../../../src/redis/resp-writer.ts";
import { seed } from "../../support/seed.ts";

/** `keeps`: of each write, whether the socket still needs its memory. */
function writer(keeps: () => boolean): { writer: RespWriter; sent: () => Buffer } {
  const written: Buffer[] = [];
  return {
    writer: new RespWriter((bytes) => {
      const held = keeps();
      // What is held is looked at when all is written, as by a slow socket.
      written.push(held ? bytes : Buffer.from(bytes));
      return !held;
    }),
    sent: () => Buffer.concat(written),
  };
}

function commandsIn(bytes: Buffer): unknown[] {
  const reader = new RespReader();
  reader.form = "bytes";
  reader.feed(bytes);
  const values: unknown[] = [];
  for (let value = reader.next(); value !== INCOMPLETE; value = reader.next()) values.push(value);
  return values;
}

/** Told by length and content, not by a list of numbers. */
function same(found: readonly unknown[], args: readonly Buffer[]): boolean {
  return (
    found.length === args.length && args.every((arg, i) => Buffer.isBuffer(found[i]) && arg.equals(found[i]))
  );
}

const bytesOf = (arg: string | number | Buffer): Buffer =>
  Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));

const anyArg = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.integer(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.integer({ min: 65_480, max: 65_560 }).map((length) => "x".repeat(length)),
  fc.integer({ min: 65_480, max: 65_560 }).map((length) => Buffer.alloc(length, 1)),
  fc.constant("ü".repeat(40_000)),
);

describe("the writer of RESP", () => {
  test("a command as the protocol has it", () => {
    const { writer: one, sent } = writer(() => false);
    one.command("set", ["ü", 5, Buffer.from([0, 255]), ""]);
    one.flush();
    expect(sent()).toEqual(
      Buffer.concat([
        Buffer.from("*5\r\n$3\r\nset\r\n$2\r\nü\r\n$1\r\n5\r\n$2\r\n"),
        Buffer.from([0, 255]),
        Buffer.from("\r\n$0\r\n\r\n"),
      ]),
    );
  });

  test.each([0, 8, 9, 10, 98, 99, 999, 1000, 12_345])("a command of %i arguments", (count) => {
    const { writer: one, sent } = writer(() => false);
    one.command("del", Array.from({ length: count }, String));
    one.flush();
    expect(sent().toString()).toMatch(new RegExp(`^\\*${count + 1}\\r\\n\\$3\\r\\ndel\\r\\n`));
    expect(commandsIn(sent())).toHaveLength(1);
  });

  test("any commands, whether the socket keeps what it was given or not", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(anyArg, { maxLength: 6 }), { maxLength: 6 }),
        fc.infiniteStream(fc.boolean()),
        fc.boolean(),
        (commands, held, flushEach) => {
          const { writer: one, sent } = writer(() => held.next().value);
          for (const args of commands) {
            one.command("x", args);
            if (flushEach) one.flush();
          }
          one.flush();
          const found = commandsIn(sent());
          expect(found).toHaveLength(commands.length);
          commands.forEach((args, i) => {
            expect(same(found[i] as unknown[], [Buffer.from("x"), ...args.map(bytesOf)])).toBe(true);
          });
        },
      ),
      { seed, numRuns: 60 },
    );
  });

  test.each([1, 3, 60, 200, 1000])("a block of %i arguments, one after the other", (count) => {
    const { writer: one, sent } = writer(() => false);
    const texts = Array.from({ length: count }, (_, i) => `${i}:${"ü".repeat(i % 7)}${"x".repeat(500)}`);
    for (let round = 0; round < 3; round++) {
      const block = new ArgBlock();
      for (const text of texts) block.add(text);
      if (round === 1) block.compact();
      expect([block.count, block.units]).toEqual([count, texts.join("").length]);
      one.command("lpush", ["key", block]);
      one.command("ping", []);
      one.flush();
    }
    const lpush = ["lpush", "key", ...texts].map((text) => Buffer.from(text));
    const found = commandsIn(sent());
    expect(found).toHaveLength(6);
    for (const at of [0, 2, 4]) expect(same(found[at] as unknown[], lpush)).toBe(true);
    expect(found[5]).toEqual([Buffer.from("ping")]);
  });

  test("a compacted block keeps its bytes and nothing more", () => {
    const block = new ArgBlock();
    block.add("x");
    block.compact();
    expect(block.drain()).toEqual([{ bytes: Buffer.from("$1\r\nx\r\n"), slab: null }]);
  });

  test("nothing is sent before a flush, and nothing by a flush without a command", () => {
    let writes = 0;
    const one = new RespWriter(() => {
      writes += 1;
      return true;
    });
    one.flush();
    one.command("ping", []);
    expect(writes).toBe(0);
    one.flush();
    one.flush();
    expect(writes).toBe(1);
  });
});
