import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError, EncodeError } from "../../../src/errors.ts";
import {
  compress,
  decompress,
  provideDecompressor,
  registerCompression,
} from "../../../src/protocol/compression.ts";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { seed } from "../../support/seed.ts";

const MiB = 1024 * 1024;
const code = (expected: string): Error => expect.objectContaining({ code: expected }) as Error;

describe("gzip and brotli", () => {
  test("what is written is read back", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 2000 }),
        fc.constantFrom("gzip", "zlib", "brotli"),
        (bytes, name) => {
          const { body, contentType } = compress(bytes, name);
          expect(contentType).toBe(name === "brotli" ? "application/x-brotli" : "application/x-gzip");
          expect(Buffer.from(decompress(body, contentType))).toEqual(Buffer.from(bytes));
          expect(Buffer.from(decompress(body, name))).toEqual(Buffer.from(bytes));
        },
      ),
      { seed },
    );
    expect(Buffer.from(decompress(compress("hå", "gzip").body, "gzip")).toString()).toBe("hå");
  });

  test("kombu's gzip is a zlib stream; a real gzip is read too", () => {
    expect([...compress("x", "gzip").body.subarray(0, 1)]).toEqual([0x78]);
    expect(Buffer.from(decompress(gzipSync("x"), "application/x-gzip")).toString()).toBe("x");
  });

  test.each([
    ["cut off", deflateSync("x".repeat(1000)).subarray(0, 10)],
    ["raw", deflateRawSync("x".repeat(1000))],
    ["empty", new Uint8Array()],
    ["something else", Buffer.from("not compressed")],
  ])("%s data is refused", (_name, bytes) => {
    for (const name of ["gzip", "brotli"]) {
      expect(() => decompress(bytes, name)).toThrow(DecodeError);
      expect(() => decompress(bytes, name)).toThrow(`the body is not ${name} data: `);
    }
  });
});

describe("bombs", () => {
  test.each(["gzip", "brotli"])("%s beyond the ratio is refused, without being unpacked", (name) => {
    const bomb = compress(Buffer.alloc(8 * MiB), name).body;
    expect(() => decompress(bomb, name)).toThrow(code("PET_MESSAGE_TOO_LARGE"));
    expect(() => decompress(bomb, name)).toThrow(/larger than \d+ bytes when decompressed/);
  });

  test("up to one MiB no ratio is too high, beyond the size limit no ratio is low enough", () => {
    const zeros = compress(Buffer.alloc(MiB), "gzip").body;
    expect(decompress(zeros, "gzip")).toHaveLength(MiB);
    const limits = { ...DEFAULT_LIMITS, maxDecompressedBytes: 1000 };
    expect(() => decompress(zeros, "gzip", limits)).toThrow(code("PET_MESSAGE_TOO_LARGE"));
    expect(decompress(compress(Buffer.alloc(1000), "gzip").body, "gzip", limits)).toHaveLength(1000);
    const text = Buffer.from(Array.from({ length: 300_000 }, (_, n) => `${n}`).join());
    expect(decompress(compress(text, "gzip").body, "gzip")).toHaveLength(text.length);
  });
});

describe("the registry", () => {
  test("a name that is not known is refused both ways", () => {
    expect(() => compress("x", "rar")).toThrow(EncodeError);
    expect(() => compress("x", "rar")).toThrow('there is no compression "rar": use gzip or brotli');
    expect(() => decompress(Buffer.from("x"), "rar")).toThrow(DecodeError);
    expect(() => decompress(Buffer.from("x"), "rar")).toThrow('compression "rar" is not known');
  });

  test("bzip2 and xz are not written; reading says what to load", () => {
    for (const name of ["bzip2", "lzma"]) {
      expect(() => compress("x", name)).toThrow(code("PET_CODEC_UNAVAILABLE"));
      expect(() => compress("x", name)).toThrow(/is only read here, not written: .*Use gzip or brotli$/);
    }
    for (const [header, codec] of [
      ["application/x-bz2", "bzip2"],
      ["bzip", "bzip2"],
      ["application/x-lzma", "lzma"],
      ["xz", "lzma"],
    ]) {
      expect(() => decompress(Buffer.from("x"), String(header))).toThrow(
        expect.objectContaining({ code: "PET_CODEC_UNAVAILABLE", codec }) as Error,
      );
    }
  });

  test("one of the user's own is used both ways; a reader is only given to what has none", () => {
    registerCompression({
      name: "reverse",
      aliases: ["rev"],
      contentType: "application/x-reverse",
      compress: (bytes) => Uint8Array.from(bytes).toReversed(),
      decompress: (bytes) => Uint8Array.from(bytes).toReversed(),
    });
    expect(compress("abc", "rev")).toEqual({
      body: new Uint8Array([99, 98, 97]),
      contentType: "application/x-reverse",
    });
    provideDecompressor("reverse", () => new Uint8Array());
    provideDecompressor("unknown", () => new Uint8Array());
    expect(decompress(new Uint8Array([1, 2]), "application/x-reverse")).toEqual(new Uint8Array([2, 1]));
  });
});
