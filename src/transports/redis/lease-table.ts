/**
 * Which messages are held, in memory that the beat thread shares: so the thread knows without being told, even while user
 * code blocks the event loop, and a message costs the main thread one bit.
 *
 * | word (32 bits) | content | written by |
 * |---|---|---|
 * | 0 | progress: counted up by the main thread | main |
 * | 1 | rows in use (highest + 1) | main |
 * | 4 + 4i, 5 + 4i | call number of row i, low and high; 0 = free row | main |
 * | 6 + 4i, 7 + 4i | bit j-1: message j of the call may be held | main |
 *
 * A row is announced before its FETCH is written: a reply that the blocked main thread has not read is held too.
 */

const HEADER = 4;
const WIDTH = 4;
const ROWS_AT_START = 1024;
/** 65536 rows of 64 messages. */
const ROWS_AT_MOST = 65_536;

export class LeaseTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  #free: number[] = [];
  #rows = 0;

  constructor() {
    this.buffer = new SharedArrayBuffer(bytesOf(ROWS_AT_START), { maxByteLength: bytesOf(ROWS_AT_MOST) });
    this.#words = new Int32Array(this.buffer);
  }

  /** Announces a call of `n` messages; answers its row. */
  announce(call: number, n: number): number {
    const row = this.#free.pop() ?? this.#addRow();
    const at = HEADER + row * WIDTH;
    const words = this.#words;
    Atomics.store(words, at + 2, n >= 32 ? -1 : (1 << n) - 1);
    Atomics.store(words, at + 3, n <= 32 ? 0 : n >= 64 ? -1 : (1 << (n - 32)) - 1);
    Atomics.store(words, at + 1, Math.floor(call / 0x1_0000_0000));
    Atomics.store(words, at, call | 0);
    return row;
  }

  /** Message `index` (from 1) of a row is not held (any more). */
  clear(row: number, index: number): void {
    const bit = index - 1;
    const at = HEADER + row * WIDTH + (bit < 32 ? 2 : 3);
    this.#words[at] = (this.#words[at] ?? 0) & ~(1 << (bit & 31));
  }

  /** Of a row only the first `n` messages exist. */
  truncate(row: number, n: number): void {
    const at = HEADER + row * WIDTH;
    const words = this.#words;
    if (n < 32) words[at + 2] = (words[at + 2] ?? 0) & ((1 << n) - 1);
    if (n < 64) words[at + 3] = n <= 32 ? 0 : (words[at + 3] ?? 0) & ((1 << (n - 32)) - 1);
  }

  free(row: number): void {
    const at = HEADER + row * WIDTH;
    Atomics.store(this.#words, at + 2, 0);
    Atomics.store(this.#words, at + 3, 0);
    Atomics.store(this.#words, at, 0);
    Atomics.store(this.#words, at + 1, 0);
    this.#free.push(row);
  }

  /** The event loop is alive. */
  progress(): void {
    Atomics.add(this.#words, 0, 1);
  }

  #addRow(): number {
    const row = this.#rows;
    if (row >= ROWS_AT_MOST) throw new RangeError("too many fetches are held at once");
    if (bytesOf(row + 1) > this.buffer.byteLength)
      this.buffer.grow(Math.min(bytesOf(2 * row), bytesOf(ROWS_AT_MOST)));
    this.#rows = row + 1;
    Atomics.store(this.#words, 1, this.#rows);
    return row;
  }
}

function bytesOf(rows: number): number {
  return 4 * (HEADER + rows * WIDTH);
}

/** What the table says of one reading, as (call, index) pairs. Reads while the main thread writes: a row may be stale, never wrong. */
export function readLeases(buffer: SharedArrayBuffer): {
  readonly progress: number;
  readonly held: [number, number][];
} {
  const words = new Int32Array(buffer);
  const held: [number, number][] = [];
  const rows = Atomics.load(words, 1);
  for (let row = 0; row < rows; row++) {
    const at = HEADER + row * WIDTH;
    const low = Atomics.load(words, at);
    const high = Atomics.load(words, at + 1);
    if (low === 0 && high === 0) continue;
    const call = high * 0x1_0000_0000 + (low >>> 0);
    for (let half = 0; half < 2; half++) {
      const bits = Atomics.load(words, at + 2 + half);
      if (bits === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        if ((bits >>> bit) & 1) held.push([call, half * 32 + bit + 1]);
      }
    }
  }
  return { progress: Atomics.load(words, 0), held };
}
