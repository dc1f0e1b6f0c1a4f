/** bzip2, read only. */
import type bzip2Package from "seek-bzip";
import { importPeer } from "../base/import-peer.ts";
import { provideDecompressor } from "../protocol/compression.ts";
import { Sink } from "./sink.ts";

type SeekBzip = typeof bzip2Package;

/** Lets `application/x-bz2` be read. */
export async function loadBzip2(): Promise<void> {
  const module = await importPeer<{ default: SeekBzip }>(
    "seek-bzip",
    "reading bzip2",
    () => import("seek-bzip"),
  );
  const bunzip = module.default;
  provideDecompressor("bzip2", (bytes, maxBytes) => {
    const sink = new Sink(maxBytes);
    bunzip.decode(new Source(bytes), { writeByte: (byte) => sink.addByte(byte) });
    return sink.bytes();
  });
}

/** Input that ends with an error: the package takes a cut-off file for a whole one. */
class Source {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  readByte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Error("it ends too early");
    return byte;
  }

  read(target: Uint8Array, offset: number, length: number): number {
    for (let index = 0; index < length; index++) target[offset + index] = this.readByte();
    return length;
  }
}
