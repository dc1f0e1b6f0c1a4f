import { deflateSync, inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeRevokedBlob, encodeRevokedBlob } from "../../../src/statedb/blob.ts";
import { PickleError, readLimitedSet } from "../../../src/statedb/pickle-reader.ts";
import { writeLimitedSet } from "../../../src/statedb/pickle-writer.ts";

/** "fine": ids with stamps, or the one error. */
function whatComesOf(bytes: Uint8Array): string {
  try {
    const members = [...readLimitedSet(bytes).members];
    return members.every(([id, stamp]) => typeof id === "string" && typeof stamp === "number")
      ? "fine"
      : "other members";
  } catch (error) {
    return error instanceof PickleError ? "fine" : String(error);
  }
}

/** As Celery 5.6.3 wrote them. */
const TWO_IDS =
  "eJxrYJlawwABPRLJqTmpRZV6pSWZOcV6yfk5OanJJZn5ecVTerh8MnMzS1JTglNLpkyeouEbcNjXQKt2ikaPinGqRZplskWirnmSUYquSZphqq5lonGyrmmKWap5mkWiZZJB8hR3hxMyB8B2sGSm6BqB+LIKIH6pN0PJlKApegC1YSqY";
const EMPTY =
  "eJxrYJnqwAABPRLJqTmpRZV6pSWZOcV6yfk5OanJJZn5ecVTerh8MnMzS1JTglNLpkyeouEbcNjd4agEWFvtFG+GkilBU/QAiOEY6w==";

const set = (members: Iterable<[string, number]>) => ({
  maxlen: 50_000,
  expires: 10_800,
  members: new Map(members),
  minlen: 0,
});

describe("Celery's own blobs", () => {
  test("ids with their stamps", async () => {
    expect(await decodeRevokedBlob(Buffer.from(TWO_IDS, "base64"))).toEqual(
      set([
        ["3e8f9c8a-7b2d-4f1e-9a3c-5d6e7f8a9b0c", 12345.5],
        ["id-2", 12346.25],
      ]),
    );
  });

  test("an empty one, with an expiry that is a float", async () => {
    expect(await decodeRevokedBlob(Buffer.from(EMPTY, "base64"))).toEqual(set([]));
  });
});

test("what is written is read again, in its order, across Python's batches of a thousand", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.tuple(fc.string({ unit: "binary" }), fc.double({ noNaN: true })), {
        selector: ([id]) => id,
      }),
      fc.constantFrom(0, 999, 1000, 2001),
      async (pairs, more) => {
        const all = set([
          ...pairs,
          ...Array.from({ length: more }, (_, i): [string, number] => [`id-${i}-`, i]),
        ]);
        const read = await decodeRevokedBlob(await encodeRevokedBlob(all));
        expect([...read.members]).toEqual([...all.members]);
        expect({ ...read, members: 0 }).toEqual({ ...all, members: 0 });
      },
    ),
    { numRuns: 50 },
  );
});

describe("nothing but a LimitedSet is read", () => {
  const python = (text: string) => Buffer.from(text, "latin1");
  test.each([
    ["another class", python("\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")],
    ["another class by STACK_GLOBAL", python("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.")],
    ["a call of something that is no class", python("\x80\x02K\x01)R.")],
    ["another value", python("\x80\x02K\x01.")],
    ["the class itself", python("\x80\x02ccelery.utils.collections\nLimitedSet\n.")],
    ["an empty text", python("")],
    ["an opcode that builds instances", python("\x80\x02ccelery.utils.collections\nLimitedSet\n}b.")],
    ["persistent ids", python("\x80\x02Pevil\n.")],
    ["a text longer than what is there", python("\x80\x02X\xff\xff\xff\x7fa.")],
  ])("%s", (_name, bytes) => {
    expect(() => readLimitedSet(bytes)).toThrow(PickleError);
  });

  test("members that are no ids", async () => {
    const good = await writeLimitedSet(set([["id", 1.5]]));
    const at = good.indexOf("G", good.indexOf("id"));
    const text = Buffer.concat([good.subarray(0, at), python("X\x01\x00\x00\x00a"), good.subarray(at + 9)]);
    expect(() => readLimitedSet(text)).toThrow(/no id with a stamp/);
  });

  test("bytes that are no zlib stream, and one that grows without end", async () => {
    await expect(decodeRevokedBlob(Buffer.from("shelve"))).rejects.toThrow(PickleError);
    const bomb = deflateSync(Buffer.alloc(129 * 1024 * 1024));
    await expect(decodeRevokedBlob(bomb)).rejects.toThrow(PickleError);
  });

  test("damaged blobs are errors, or other ids: never anything else", () => {
    const good = inflateSync(Buffer.from(TWO_IDS, "base64"));
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(good.length),
        (at, byte, end) => {
          const damaged = Buffer.from(good.subarray(0, Math.max(end, at + 1)));
          damaged[at] = byte;
          const outcome = whatComesOf(damaged);
          expect(outcome).toBe("fine");
        },
      ),
      { numRuns: 3000 },
    );
  });
});
