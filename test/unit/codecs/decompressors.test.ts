/** bzip2, xz and zstd: written by Python here, read with the optional packages. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { importPeer } from "../../../src/base/import-peer.ts";
import { codecNeeded, loadCodec } from "../../../src/codecs/index.ts";
import { Sink } from "../../../src/codecs/sink.ts";
import { DecodeError, EncodeError, PetioleError } from "../../../src/errors.ts";
import { decompress, OutputTooLarge } from "../../../src/protocol/compression.ts";
import { serialize } from "../../../src/protocol/serialization.ts";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { seed } from "../../support/seed.ts";
import { classThrownBy, thrownBy } from "../../support/thrown-by.ts";

const base64 = (text: string): Buffer => Buffer.from(text, "base64");
const tooLarge = expect.objectContaining({ code: "PET_MESSAGE_TOO_LARGE" }) as Error;

/** `line 0\n … line 1999\n`, and three million zeros. */
const LINES = Array.from({ length: 2000 }, (_, n) => `line ${n}\n`).join("");
const SAMPLES = {
  bzip2: {
    lines: base64(
      "QlpoOTFBWSZTWV/UzwIAHRXZAEAQQAB/4AIlYBScAAAAAAAAEAAh8AhAIQCEAhAIQCEAhAYNlUqQ//0nqqo0eoUNNMABQ00wAEU9Az9Uqo0BQ00wAKT///VSRp/qfqqqExz99n6deq2fr92kAo0A8NgdDgOA6GwPDQCiQC0ABaJALTgDMzQDw2B0OA4DobA8NAKJALQAFIaAWkAo0A8NgdDgOA6GwPDQCiQC0AB5BsC0gFGgHhsDocBwHQ2B4aAUSAWgAOoHAWkAo0A8NgdDgOA6GwPDQCiQC0ABxAdC0gFGgHhsDocBwHQ2B4aAUSAWgANoB4WkAo0A8NgdDgOA6GwPDQCiQC0ABpAFFpAKNAPDYHQ4DgOhsDw0AokAtAASgBa0gFGgHhsDocBwHQ2B4aAUSAWgAIQALSAUaAeGwOhwHAdDYHhoBRIBaAApDQC0gFGgHhsDocBwHQ2B4aAUSAWgAPINgWkAo0A8NgdDgOA6GwPDQCiQC0AB1A4C0gFGgHhsDocBwHQ2B4aAUSAWgAOIDoWkAo0A8NgdDgOA6GwPDQCiQC0ABtAPC0gFGgHhsDocBwHQ2B4aAUSAWgANIAotIBRoB4bA6HAcB0NgeGgFEgFoACUALWkAo0A8NgdDgOA6GwPDQCiQC0ABCABaQCjQDw2B0OA4DobA8NAKJALQAH5ERH0fffffmRmZmZmfq0wALSAUaAeGwOhwHAdDYHhoBRIBa0gFGgHhsDocBwHQ2B4aAUSAWQAVVVVVVx9CYAKqqqqq4+hMAFVVVVVcfQmACqqqqquPoTABVVVVVXH0JgAqqqqqrj6EwAVVVVVVx9CYAKqqqqq4+hMAFVVVVVcfQmACqqqqqv76EyAWALSgAWkAo0A8NgdDgOA6GwPDQCszMjMzMzC0gFGgHhsDocBwHQ2B4aAUzIzMzM2tttt95CKEUIoRQihFCKEUIsI5+2222tttt7zCKEUIoRQihFCKEUIoTfTfrbbbdbbbfeCKEUIoRQihFCKEUIoTfTb+Nttu62233gihFCKEUIoRQihFCKE302387bbu622+8EUIoRQihFCKEUIoRQm+m239bbd3dbb7wRQihFCKEUIoRQihFCb6bba7bu7utvvBFCKEUIoRQihFCKEUJvpttt23d3d1vvBFCKEUIoRQihFCKEUJvptttvbu7u7r7wRQihFCKEUIoRQihFCb6bbbbbu7u7u94IoRQihFCKEUIoRQihN9vttszKJALQAtJAAtIBRoB4bA6HAcB0NgeEAMzMyMzMzBaQCjQDw2B0OA4DobA8QDve22223egAAXP4qqq222270AAC5KqrW2227gAALkqqtbbbbuAAAuSqq1tttu4AAC5KqrW2227gAALkqqtbbbbuAAAuSqq1tttu4AAC5KqrW2227gAALkqqtbbbbuAAAuV5VmZ4aAUSAWgC0iABaQCjQDw2B0OA4DoSAWgDMzMyMzMwLSAUaAeGwOhwHAdEh3vdbbbbuAAAuSqq1tttu4AAC5KqrW2227gAALlcqq2tttu/gAALlcqq2tttu/gAALlcqq2tttu/gAALlcqq2tttu/gAALlcqq2tttu/gAALlcqq2tttu/gAALlcqq2tttu/gAALlXyszOhsDw0AokAtALSEAC0gFGgHhsDocBoBRIBaAZmZmZGZmAtIBRoB4bA6HA0O97tbbbd/AAAXK5VVtbbbd/AAAXK5VVtbbbd/AAAXK5VVtbbbd/AAAXKvKq21ttu+gAAXKvKq21ttu+gAAXKvKq21ttu+gAAXKvKq21ttu+gAAXKvKq21ttu+gAAXKvKq21ttu+gAAXKr7ZmcBwHQ2B4aAUSAWgLSCABaQCjQDw2BsDw0AokAtAZmZmZkZmAWkAo0A8Ng2d73bW2276AABcq8qrbW2276AABcq8qrbW2276AABcq8qrbW2276AABcq8qrbW2276AABcqvlVttbbd+gAAXKr5VbbW23foAAFyq+VW21tt36AABcqvlVttbbd+gAAXKr5VbbW23foAAFyqvczNgdDgOA6GwPDQCiQC0C0gQALSAUaAcB0NgeGgFEgFoGZmZmZkZgC0gFGgOO97ttbbd+gAAXKr5VbbW23foAAFyq+VW21tt36AABcqvlVttbbd+gAAXKr5VbbW23foAAFyq+VW21tt36AABcqr7Vttrbd+AAAXKq+1bba23fgAAFyqvtW22tt34AABcqr7Vttrbd+AAAXKqqzNAPDYHQ4DgOhsDw0AokAtBaQEAC0gHQ4DgOhsDw0AokAtBmZmZmZkYAWkB3ve7ba23fgAAFyqvtW22tt34AABcqr7Vttrbd+AAAXKq+1bba23fgAAFyqvtW22tt34AABcqr7Vttrbd+AAAXKq+1bba23fgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqrLyQCjQDw2B0OA4DobA8NAKJALQtIBAA8NgdDgOA6GwPDQCiQC0MzMzMzMyAD3vdttrbvgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqr2tttrbvgAAFyqq/W222t3gAAFyqq/W222t3gAAHD+LyszMy0gFGgHhsDocBwHQ2B4aAUSAWgAKNAPDYHQ4DgOhsDw0AokAtAAXd3d3e/d2221u8AAAuVVX62221u8AAAuVVX62221u8AAAuVVX62221u8AAAuVVX62221u8AAAuVVX62221u8AAAuVVX62221u8AAAuVVX62221u8AAAuVVX62221u8AABfl362221ttttyqqqqqv5JIQA/JJCAH/SSEAPySQgB/4u5IpwoSC/qZ4EA",
    ),
    zeros: base64("QlpoOTFBWSZTWaZFgLIAFvpACMAAQAAACCAAMMwJqmmpAi2pIEXi7kinChIUyLAWQA=="),
  },
  lzma: {
    lines: base64(
      "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4EnJAp1dADYaSh8IoCXB3pS6kMw7Kx81OvJf1Z5+c7Le6vfCLQQnMVvKDEf8ldIdW3ykSPjamraGPS5yX8qBD6MEmU+0TErz7LQZF1glZAp03R+qhGXcA+rC+wSWn1D3P0AzkZjOe0yhx9gSiKScdGhYsWbMyqp7fQ9kgTf85xsAy4xoF/jyQEYRZ0gldaR0jaVjdfnz6nz6bcwn6GiFwsk7QkMk5CIIvu9hxTlP/E5PV/iagvYAed/rbsdecLu7FSSRLVQ4Ai4jYX9w3JDCBGntbN1hzPsSkEXuGfkVtg7bk56LJE8l52E+I21hDFn2F8i8m/vsTpjmqXNGz3dOb84GXsS2bdZIo3vWNsEYcu0aJYUaefUs/y9PZPdNGJq9egsUN0ut5wSkXRJufi+WbDVuVY73glZuCoC6hPSE/mmaKJrui7SsZ5R8T/bsZucH/INPjAGCF7TO29WLOiRj3mXN0wrBg4q6myneSm7dMqVSCEs4lGZkiHjV518bJOKLsBq9ewVWNuxD1nO5ub3Zzdd4sOelbddW91+sEOKnty3CnDa7dwJ0rEJwB43jmTcQ3TC68dDmDg8H9c79jsiNgQpiLQrWMVnFt+E7IFlRYTeHyM5VkROKaq6jb2N0PmpWiFxAANBv/MEgE99SW/0hwDLG0U6CyQw0O0J/OvtqJ+Qru2JgkxLIux4zWahJH3x6JNNF4f8zStGDBW1vIqdWfZ8KU/ucxN4ktwm4N31y1vPnPksXhwyJVB/LDpnqeeXZnK8bEMHBaFTy/mqeH9VeAb68i7DrInPQcSsiDjtbAiKwudDZlSg/cAdd7mp8wX7xI25WVVbsbt4qctkApdendVC/CV04skPXeBEsiMJErtZ857iyAFYIlNBQT0dYupyaUaGuWAAAAACsHWEhuURsSAABuQXKkwEAmiDOybHEZ/sCAAAAAARZWg==",
    ),
    zeros: base64(
      "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj//8RAWxdAABv/f//o7f/Rz5IFXI5YVG4kijmo4YH+e7kHoLTL8U6PAFLsX7JiopNL6MN2X+m44wjEVPgWRjFdYrid/i2lH8MasDedElk4ulcU7IE2PdEDKtfDW1G6eXDdoi3llestk3haR1v+0uIEGxCy4g/XACP0E6vJiiUcR89jyThcJ6nI1/sKMuF0ZWYin4qkfIndfcZwAaYTZj92K/VkA/EJVP49ZE2MQWlsO5vwXBNRwzRkRGqrWAdus6xJxhcWYbpZlJYvul2rFnk5VsFCPnH2q38+1IrdM0eWyBC+d1TPfgpZAk7gMsqbN+1O/DEvS5fqg8+S2ZCkBMO/xCT+HF4WfgLzf+VKEYPqfx83vuaMC5WwI+F84OBwGXEJVP49ZE2MQWlsO5vwXBNRwzRkRGqrWAdus6xJxhcWYbpZlJYvul2rFnk5VsFCPnH2q38+1IrdM0eWyBC+d1TPfgpZAk7gMsqbN+1O/DEvEgn5liNx60AhADsc1On/b6ufDEan7eNMW5wnqcjX+woy4XRlZiKfiqR8id19xnABphNmP3Yr9WQD8QlU/j1kTYxBaWw7m/BcE1HDNGREaqtYB26zrEnGFxZhulmUli+6XasWeTlWwUI+cfarfz7Uit0zR5bIEL53VM9+ClkCTuAyyps37U78MS9FHktXQAAAACfA5m5yIb9IgABkgTAjbcBaatYJbHEZ/sCAAAAAARZWg==",
    ),
  },
} as const;

/** A zstd frame of raw and run-length blocks. */
function zstdFrame(
  blocks: readonly (string | readonly [byte: number, count: number])[],
  header = [0x00, 0x58],
): Buffer {
  const parts: Buffer[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...header])];
  for (const [index, block] of blocks.entries()) {
    const last = index === blocks.length - 1 ? 1 : 0;
    const isRaw = typeof block === "string";
    const size = isRaw ? block.length : block[1];
    const head = last | ((isRaw ? 0 : 1) << 1) | (size << 3);
    parts.push(
      Buffer.from([head & 255, (head >> 8) & 255, head >> 16]),
      isRaw ? Buffer.from(block) : Buffer.from([block[0]]),
    );
  }
  return Buffer.concat(parts);
}
const RUN = 128 * 1024;
const ZSTD_ZEROS = zstdFrame(Array.from({ length: 23 }, () => [0, RUN] as const));

beforeAll(async () => {
  for (const codec of ["bzip2", "lzma", "zstd"]) await loadCodec(codec);
});

describe.each(["bzip2", "lzma"] as const)("%s", (name) => {
  const { lines, zeros } = SAMPLES[name];
  test("is read as Python wrote it, twice over", () => {
    for (let round = 0; round < 2; round++)
      expect(Buffer.from(decompress(lines, name)).toString()).toBe(LINES);
  });

  test("a bomb is refused once it passes the bound", () => {
    expect(() => decompress(zeros, name)).toThrow(tooLarge);
    expect(decompress(zeros, name, { ...DEFAULT_LIMITS, maxCompressionRatio: 100_000 })).toHaveLength(
      3_000_000,
    );
  });

  test("cut off anywhere it is refused, and a flipped bit never gives other data", () => {
    for (let length = 0; length < lines.byteLength; length += 97) {
      expect(() => decompress(lines.subarray(0, length), name)).toThrow(DecodeError);
    }
    expect(() => decompress(lines.subarray(0, 400), name)).toThrow(
      `the body is not ${name} data: it ends too early`,
    );
    fc.assert(
      fc.property(fc.nat(lines.byteLength - 1), fc.nat(7), (at, bit) => {
        const damaged = Buffer.from(lines);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
        const failure = classThrownBy(() => decompress(damaged, name));
        const out = failure === null ? Buffer.from(decompress(damaged, name)).toString() : LINES;
        expect([null, DecodeError]).toContain(failure);
        expect(out).toBe(LINES);
      }),
      { seed, numRuns: 40 },
    );
  });
});

describe("zstd", () => {
  test("frames of every kind are read", () => {
    expect(Buffer.from(decompress(zstdFrame(["hello ", [0x78, 3]]), "zstd")).toString()).toBe("hello xxx");
    expect(Buffer.from(decompress(zstdFrame(["abc"], [0x20, 3]), "zstd")).toString()).toBe("abc");
    const wide = [0x60, 0x2c, 0x00];
    expect(decompress(zstdFrame([[1, 300]], wide), "application/zstd")).toHaveLength(300);
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);
    const two = Buffer.concat([zstdFrame(["a"]), skippable, zstdFrame(["b"])]);
    expect(Buffer.from(decompress(two, "zstd")).toString()).toBe("ab");
  });

  test("a bomb is refused once it passes the bound", () => {
    expect(() => decompress(ZSTD_ZEROS, "zstd")).toThrow(tooLarge);
    expect(decompress(ZSTD_ZEROS, "zstd", { ...DEFAULT_LIMITS, maxCompressionRatio: 1e6 })).toHaveLength(
      23 * RUN,
    );
  });

  test("a frame that asks for a large window is refused before it is allocated", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const header of [
      [0x00, 0xa0],
      [0xa0, 0, 0, 0, 0x40],
      [0xe0, 0, 0, 0, 0, 1, 0, 0, 0],
    ]) {
      expect(() => decompress(zstdFrame(["a"], header), "zstd")).toThrow(tooLarge);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
  });

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["another mark", Buffer.from("not zstd data at all")],
    ["cut off in the mark", ZSTD_ZEROS.subarray(0, 3)],
    ["cut off in the header", ZSTD_ZEROS.subarray(0, 5)],
    ["cut off in a block", zstdFrame(["hello"]).subarray(0, 10)],
    ["cut off between blocks", zstdFrame(["a", "b"]).subarray(0, 10)],
    ["cut off at its end", ZSTD_ZEROS.subarray(0, -1)],
    ["cut off in the second frame", Buffer.concat([zstdFrame(["a"]), zstdFrame(["hello"]).subarray(0, 10)])],
  ])("%s is refused", (_name, bytes) => {
    expect(() => decompress(bytes, "zstd")).toThrow(DecodeError);
  });

  test("more frames than anybody writes, and more than the bound in several, are refused", () => {
    const empty = zstdFrame([""]);
    expect(decompress(Buffer.concat(Array.from({ length: 1000 }, () => empty)), "zstd")).toHaveLength(0);
    expect(() => decompress(Buffer.concat(Array.from({ length: 1001 }, () => empty)), "zstd")).toThrow(
      DecodeError,
    );
    const limits = { ...DEFAULT_LIMITS, maxDecompressedBytes: 10 };
    const ten = Buffer.concat([zstdFrame([[1, 9]]), zstdFrame(["b"]), empty]);
    expect(decompress(ten, "zstd", limits)).toHaveLength(10);
    expect(() => decompress(Buffer.concat([ten, zstdFrame(["c"])]), "zstd", limits)).toThrow(tooLarge);
  });

  test("arbitrary bytes after the mark are data or a DecodeError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect([null, DecodeError]).toContain(
          classThrownBy(() =>
            decompress(Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), bytes]), "zstd"),
          ),
        );
      }),
      { seed, numRuns: 1000 },
    );
  });
});

describe("a sink", () => {
  test("takes chunks and bytes up to its bound", () => {
    const sink = new Sink(5000);
    sink.add(new Uint8Array(4096).fill(1));
    for (let n = 0; n < 904; n++) sink.addByte(2);
    expect(sink.bytes()).toHaveLength(5000);
    expect(sink.bytes()[4999]).toBe(2);
    expect(() => sink.addByte(3)).toThrow(OutputTooLarge);
    expect(() => sink.add(new Uint8Array(1))).toThrow(OutputTooLarge);
  });
});

describe("loadCodec", () => {
  test("is idempotent, takes names and content types, and lets what is built in pass", async () => {
    const names = [
      "bzip2",
      "bzip",
      "application/x-bz2",
      "json",
      "application/json",
      "gzip",
      "zlib",
      "brotli",
    ];
    await expect(Promise.all(names.map(loadCodec))).resolves.toHaveLength(names.length);
  });

  test("a codec that does not exist is an error", async () => {
    await expect(loadCodec("rar")).rejects.toThrow(PetioleError);
    await expect(loadCodec("rar")).rejects.toThrow('there is no codec "rar" to load');
  });

  test("a package that is not installed is named, with the command; another failure is let through", async () => {
    const missing = (): Promise<unknown> =>
      Promise.reject(Object.assign(new Error("x"), { code: "ERR_MODULE_NOT_FOUND" }));
    await expect(importPeer("fzstd", "zstd", missing)).rejects.toThrow(
      "zstd needs the package fzstd: npm install fzstd",
    );
    await expect(importPeer("fzstd", "zstd", () => Promise.reject(new Error("broken")))).rejects.toThrow(
      "broken",
    );
    await expect(importPeer("no-such-package-here", "nothing")).rejects.toThrow(
      expect.objectContaining({ code: "PET_PEER_MISSING" }),
    );
  });

  test("an error says which codec it needs, and with it the call succeeds", async () => {
    const needed = codecNeeded(thrownBy(() => serialize([1], "msgpack")));
    expect(needed).toBe("msgpack");
    await loadCodec(String(needed));
    expect(serialize([1], "msgpack").body).toEqual(new Uint8Array([0x91, 1]));
    expect(codecNeeded(new DecodeError("x"))).toBeNull();
    expect(codecNeeded(new EncodeError("x", { codec: "yaml" }))).toBe("yaml");
    expect(codecNeeded(new Error("x"))).toBeNull();
  });
});
