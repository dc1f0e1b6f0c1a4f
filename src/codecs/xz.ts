/**
 * xz (kombu's "lzma"), read only: WebAssembly of xz-decompress. The package offers a stream only, and a message is decoded
 * in one go, so its WebAssembly instance is driven here; a tiny stream read at load time brings the instance and proves it.
 */
import { Buffer } from "node:buffer";
import { importPeer } from "../base/import-peer.ts";
import { PetioleError } from "../errors.ts";
import { provideDecompressor } from "../protocol/compression.ts";
import { Sink } from "./sink.ts";

/** `ok`, as xz. */
const SAMPLE = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQABb2sAAAADwESAPz9ngAABGgLcLqV+H7bzfQEAAAAABFla";

/** Fields of a decoding context, in 32 bit words from its start. */
const BUFFER_SIZE = 0;
const IN_BUFFER = 1;
const IN_POSITION = 2;
const IN_SIZE = 3;
const OUT_BUFFER = 4;
const OUT_POSITION = 5;

const OK = 0;
const STREAM_END = 1;

/** Where the package keeps its WebAssembly instance. */
const INSTANCE = "_moduleInstance";

/** What the WebAssembly exports. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  create_context(): number;
  destroy_context(context: number): void;
  supply_input(context: number, size: number): void;
  get_next_output(context: number): number;
}

interface Package {
  readonly XzReadableStream: (new (
    source: ReadableStream<Uint8Array>,
  ) => ReadableStream<Uint8Array>) & { readonly [INSTANCE]?: { readonly exports: Exports } };
}

/** Lets `application/x-lzma` be read. */
export async function loadXz(): Promise<void> {
  const module = await importPeer<Partial<Package> & { default?: Package }>(
    "xz-decompress",
    "reading xz",
    () => import("xz-decompress"),
  );
  const { XzReadableStream } = module.default ?? (module as Package);
  const stream = new XzReadableStream(new Blob([Buffer.from(SAMPLE, "base64")]).stream());
  for await (const chunk of stream) void chunk;
  const exports = XzReadableStream[INSTANCE]?.exports;
  if (typeof exports?.get_next_output !== "function") {
    throw new PetioleError(
      "PET_PEER_MISSING",
      "reading xz needs xz-decompress 0.2.3, another version is installed: npm install xz-decompress@0.2.3",
    );
  }
  provideDecompressor("lzma", (bytes, maxBytes) => new Reader(exports).read(bytes, maxBytes));
}

class Reader {
  readonly #exports: Exports;
  readonly #context: number;

  constructor(exports: Exports) {
    this.#exports = exports;
    this.#context = exports.create_context();
  }

  read(bytes: Uint8Array, maxBytes: number): Uint8Array {
    const sink = new Sink(maxBytes);
    try {
      this.#run(bytes, sink);
    } finally {
      this.#exports.destroy_context(this.#context);
    }
    return sink.bytes();
  }

  #run(bytes: Uint8Array, sink: Sink): void {
    let at = 0;
    for (;;) {
      const atEnd = at === bytes.byteLength;
      if (this.#word(IN_POSITION) === this.#word(IN_SIZE)) {
        const piece = bytes.subarray(at, at + this.#word(BUFFER_SIZE));
        at += piece.byteLength;
        new Uint8Array(this.#exports.memory.buffer, this.#word(IN_BUFFER), piece.byteLength).set(piece);
        this.#exports.supply_input(this.#context, piece.byteLength);
      }
      const status = this.#exports.get_next_output(this.#context);
      if (status !== OK && status !== STREAM_END) throw new Error(`xz error ${status}`);
      const size = this.#word(OUT_POSITION);
      sink.add(new Uint8Array(this.#exports.memory.buffer, this.#word(OUT_BUFFER), size));
      this.#words()[OUT_POSITION] = 0;
      if (status === OK && atEnd && size === 0) throw new Error("it ends too early");
      if (status === STREAM_END) return;
    }
  }

  /** The memory may have moved since the last call. */
  #words(): Uint32Array {
    return new Uint32Array(this.#exports.memory.buffer, this.#context, OUT_POSITION + 1);
  }

  #word(index: number): number {
    return this.#words()[index] ?? 0;
  }
}
