/**
 * RESP as bytes, written into slabs of memory that are used again: an argument costs its bytes once, and leaves no strings
 * or buffers behind.
 */

/** One write of the socket. */
export const SLAB_BYTES: number = 64 * 1024;
/** Slabs that are kept for later, 2 MB. */
const SPARE_AT_MOST = 32;
/** `$` or `*`, digits, CR LF. */
const HEAD_BYTES = 24;
const CR = 13;
const LF = 10;
const ZERO = 48;
const STAR = 42;
const DOLLAR = 36;

const spare: Buffer[] = [];

/** Bytes in their order. `slab`: the memory to give back when they have left; null: it is somebody else's. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly slab: Buffer | null;
}

/** The bytes of a chunk are not needed any more. */
export function giveBack(chunk: Chunk): void {
  if (chunk.slab !== null && spare.length < SPARE_AT_MOST) spare.push(chunk.slab);
}

export class RespBuffer {
  #chunks: Chunk[] = [];
  #slab: Buffer | null = null;
  #used = 0;

  /** Takes out what was written. */
  drain(): readonly Chunk[] {
    this.#closeSlab();
    const chunks = this.#chunks;
    this.#chunks = [];
    return chunks;
  }

  /** Moves what was written into memory of its own size, and gives the slabs back. */
  compact(): void {
    this.#chunks = this.drain().map((chunk) => {
      if (chunk.slab === null) return chunk;
      const bytes = Buffer.from(chunk.bytes);
      giveBack(chunk);
      return { bytes, slab: null };
    });
  }

  /** `*<count>`: that many arguments follow. */
  array(count: number): void {
    this.#room(HEAD_BYTES);
    this.#head(STAR, count);
  }

  text(text: string): void {
    const length = Buffer.byteLength(text);
    const whole = length + HEAD_BYTES + 2;
    if (whole > SLAB_BYTES) {
      this.bytes(Buffer.from(text));
      return;
    }
    const slab = this.#room(whole);
    this.#head(DOLLAR, length);
    // Text of one byte a character can be copied as it is.
    this.#used += slab.write(text, this.#used, length === text.length ? "latin1" : "utf8");
    this.#endLine(slab);
  }

  bytes(bytes: Buffer): void {
    const whole = bytes.length + HEAD_BYTES + 2;
    if (whole <= SLAB_BYTES) {
      const slab = this.#room(whole);
      this.#head(DOLLAR, bytes.length);
      this.#used += bytes.copy(slab, this.#used);
      this.#endLine(slab);
      return;
    }
    this.#room(HEAD_BYTES);
    this.#head(DOLLAR, bytes.length);
    this.#closeSlab();
    this.#chunks.push({ bytes, slab: null });
    this.#endLine(this.#room(2));
  }

  /** What another buffer holds. */
  append(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) {
      const { bytes } = chunk;
      if (this.#slab !== null && this.#used + bytes.length <= SLAB_BYTES) {
        this.#used += bytes.copy(this.#slab, this.#used);
        giveBack(chunk);
        continue;
      }
      this.#closeSlab();
      this.#chunks.push(chunk);
    }
  }

  #closeSlab(): void {
    const slab = this.#slab;
    if (slab === null) return;
    this.#slab = null;
    this.#chunks.push({ bytes: slab.subarray(0, this.#used), slab });
  }

  /** A slab with room for `size` bytes; `size` is at most a slab. */
  #room(size: number): Buffer {
    if (this.#used + size > SLAB_BYTES) this.#closeSlab();
    if (this.#slab === null) {
      this.#slab = spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    return this.#slab;
  }

  /** There is room for it. */
  #head(sign: number, count: number): void {
    const slab = this.#slab as Buffer;
    let at = this.#used;
    slab[at++] = sign;
    let unit = 1;
    while (unit * 10 <= count) unit *= 10;
    for (let rest = count; unit >= 1; unit = Math.floor(unit / 10)) {
      const digit = Math.floor(rest / unit);
      slab[at++] = ZERO + digit;
      rest -= digit * unit;
    }
    this.#used = at;
    this.#endLine(slab);
  }

  #endLine(slab: Buffer): void {
    slab[this.#used++] = CR;
    slab[this.#used++] = LF;
  }
}
