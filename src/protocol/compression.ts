/**
 * The registry of compressions. kombu's "gzip" is a zlib stream. Sizes are bounded while decompressing. zlib and brotli are
 * Node's; zstd is where Node has it; bzip2 and xz are read with a package of `codecs/`. Python: `kombu.compression`.
 */
import { Buffer } from "node:buffer";
import * as zlib from "node:zlib";
import { DecodeError, EncodeError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "./wire.ts";
import { type ZstdFrame, zstdFrames } from "./zstd-frames.ts";

/** One compression. */
export interface Compression {
  /** As in the setting `taskCompression`. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** Value of the header `compression`. */
  readonly contentType: string;
  /** null: cannot be written here. */
  readonly compress: ((bytes: Uint8Array) => Uint8Array) | null;
  /** Throws when more than `maxBytes` would come out. null: cannot be read until its codec is loaded. */
  readonly decompress: ((bytes: Uint8Array, maxBytes: number) => Uint8Array) | null;
}

/** The ratio limit holds above this size only: a megabyte of spaces is no attack. */
const RATIO_FROM_BYTES = 1024 * 1024;

type Zlib = Record<string, ((bytes: Uint8Array, options?: object) => Buffer) | undefined>;
const { zstdCompressSync, zstdDecompressSync } = zlib as unknown as Zlib;

const compressions = new Map<string, Compression>();

/** Adds a compression, or replaces the one of its name. */
export function registerCompression(compression: Compression): void {
  for (const key of [compression.name, compression.contentType, ...compression.aliases]) {
    compressions.set(key, compression);
  }
}

registerCompression({
  name: "gzip",
  aliases: ["zlib"],
  contentType: "application/x-gzip",
  compress: (bytes) => zlib.deflateSync(bytes),
  decompress: (bytes, maxOutputLength) => zlib.unzipSync(bytes, { maxOutputLength }),
});
registerCompression({
  name: "brotli",
  aliases: [],
  contentType: "application/x-brotli",
  compress: (bytes) => zlib.brotliCompressSync(bytes),
  decompress: (bytes, maxOutputLength) => zlib.brotliDecompressSync(bytes, { maxOutputLength }),
});
registerCompression({
  name: "zstd",
  aliases: ["zstandard"],
  contentType: "application/zstd",
  compress: zstdCompressSync === undefined ? null : (bytes) => zstdCompressSync(bytes),
  decompress:
    zstdDecompressSync === undefined
      ? null
      : (bytes, maxBytes) => unzstd(bytes, { maxBytes, one: zstdDecompressSync }),
});
registerCompression({
  name: "bzip2",
  aliases: ["bzip"],
  contentType: "application/x-bz2",
  compress: null,
  decompress: null,
});
registerCompression({
  name: "lzma",
  aliases: ["xz"],
  contentType: "application/x-lzma",
  compress: null,
  decompress: null,
});

function unzstd(
  bytes: Uint8Array,
  { maxBytes, one }: { readonly maxBytes: number; readonly one: NonNullable<Zlib[string]> },
): Uint8Array {
  const parts: Uint8Array[] = [];
  let left = maxBytes;
  for (const frame of checkedFrames(bytes, maxBytes)) {
    const part = one(frame.bytes, { maxOutputLength: Math.max(left, 1) });
    left -= part.byteLength;
    if (left < 0) throw new OutputTooLarge();
    parts.push(part);
  }
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : Buffer.concat(parts);
}

/** Windows up to this size are allocated whatever the output may be: what zstd's ordinary levels use. */
const ORDINARY_WINDOW_BYTES = 8 * 1024 * 1024;

/** The frames of zstd data that is whole. One that asks for a large window is refused before it is allocated. */
export function checkedFrames(bytes: Uint8Array, maxBytes: number): readonly ZstdFrame[] {
  const frames = zstdFrames(bytes);
  const most = Math.max(maxBytes, ORDINARY_WINDOW_BYTES);
  if (frames.some(({ windowBytes }) => windowBytes > most)) throw new OutputTooLarge();
  return frames;
}

/** Gives a compression that is known its reader: what `codecs/` does once a package is loaded. */
export function provideDecompressor(name: string, reader: NonNullable<Compression["decompress"]>): void {
  const known = compressions.get(name);
  if (known?.decompress === null) registerCompression({ ...known, decompress: reader });
}

/** The compression of a name, for writing. @throws EncodeError `PET_CODEC_UNAVAILABLE` */
export function compressorOf(name: string): Compression & { compress(bytes: Uint8Array): Uint8Array } {
  const found = compressions.get(name);
  if (found === undefined) {
    throw new EncodeError(`there is no compression ${JSON.stringify(name)}: use gzip or brotli`, {
      code: "PET_CODEC_UNAVAILABLE",
    });
  }
  const { compress: writer } = found;
  if (writer === null) {
    const reason =
      found.name === "zstd"
        ? "this Node has no zstd (22.15 and later have)"
        : `Node has no ${found.name}, and no package that can only be trusted to read it is used for writing`;
    throw new EncodeError(`${found.name} is only read here, not written: ${reason}. Use gzip or brotli`, {
      code: "PET_CODEC_UNAVAILABLE",
    });
  }
  return { ...found, compress: writer };
}

/**
 * Compresses.
 *
 * @param name - `gzip`, `brotli`, …
 * @returns the bytes, and the value of the header `compression`
 * @throws EncodeError `PET_CODEC_UNAVAILABLE`
 */
export function compress(
  bytes: string | Uint8Array,
  name: string,
): { readonly body: Uint8Array; readonly contentType: string } {
  const compressor = compressorOf(name);
  const input = typeof bytes === "string" ? Buffer.from(bytes, "utf8") : bytes;
  return { body: compressor.compress(input), contentType: compressor.contentType };
}

/**
 * Decompresses what the header `compression` names.
 *
 * @param contentType - the header's value; a name is taken too
 * @throws DecodeError: broken; `PET_MESSAGE_TOO_LARGE`: beyond the limits; `PET_CODEC_UNAVAILABLE`: `codec` says what to load
 */
export function decompress(
  bytes: Uint8Array,
  contentType: string,
  limits: Limits = DEFAULT_LIMITS,
): Uint8Array {
  const found = compressions.get(contentType);
  if (found === undefined) {
    throw new DecodeError(`compression ${JSON.stringify(contentType.slice(0, 64))} is not known`, {
      code: "PET_CODEC_UNAVAILABLE",
    });
  }
  if (found.decompress === null) {
    throw new DecodeError(`${found.name} cannot be read yet: await loadCodec("${found.name}") first`, {
      code: "PET_CODEC_UNAVAILABLE",
      codec: found.name,
    });
  }
  const byRatio = Math.max(bytes.byteLength * limits.maxCompressionRatio, RATIO_FROM_BYTES);
  const maxBytes = Math.min(limits.maxDecompressedBytes, byRatio);
  try {
    return found.decompress(bytes, maxBytes);
  } catch (error) {
    throw isTooLarge(error)
      ? new DecodeError(
          `the body is larger than ${maxBytes} bytes when decompressed (${bytes.byteLength} compressed)`,
          { code: "PET_MESSAGE_TOO_LARGE" },
        )
      : new DecodeError(`the body is not ${found.name} data: ${(error as Error).message}`, { cause: error });
  }
}

/** What a decompressor throws when `maxBytes` is passed. */
export class OutputTooLarge extends Error {}

function isTooLarge(error: unknown): boolean {
  return (
    error instanceof OutputTooLarge || (error as { code?: unknown } | null)?.code === "ERR_BUFFER_TOO_LARGE"
  );
}
