/** Collects what a decompressor gives, up to a bound. */
import { OutputTooLarge } from "../protocol/compression.ts";

export class Sink {
  readonly #maxBytes: number;
  #buffer = new Uint8Array(4096);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws OutputTooLarge */
  add(chunk: Uint8Array): void {
    this.#reserve(chunk.byteLength);
    this.#buffer.set(chunk, this.#length);
    this.#length += chunk.byteLength;
  }

  /** @throws OutputTooLarge */
  addByte(byte: number): void {
    if (this.#length === this.#buffer.byteLength || this.#length >= this.#maxBytes) this.#reserve(1);
    this.#buffer[this.#length++] = byte;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed > this.#maxBytes) throw new OutputTooLarge();
    if (needed <= this.#buffer.byteLength) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.byteLength * 2));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}
