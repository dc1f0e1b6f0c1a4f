/**
 * Walks msgpack without building anything, so that the package never sees a nesting or a length that would fill memory:
 * one byte can open an array, and five can promise four thousand million elements.
 */
import { DecodeError } from "../errors.ts";

/** Bytes after the type byte that a value of one piece has; for lengths see below. */
const FIXED: ReadonlyMap<number, number> = new Map([
  [0xc0, 0],
  [0xc2, 0],
  [0xc3, 0],
  [0xca, 4],
  [0xcb, 8],
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
  [0xd4, 2],
  [0xd5, 3],
  [0xd6, 5],
  [0xd7, 9],
  [0xd8, 17],
]);

/** Type byte -> bytes of its length field, and bytes that follow beside the content. */
const SIZED: ReadonlyMap<number, readonly [lengthBytes: number, extra: number]> = new Map([
  [0xc4, [1, 0]],
  [0xc5, [2, 0]],
  [0xc6, [4, 0]],
  [0xc7, [1, 1]],
  [0xc8, [2, 1]],
  [0xc9, [4, 1]],
  [0xd9, [1, 0]],
  [0xda, [2, 0]],
  [0xdb, [4, 0]],
]);

/** Type byte -> bytes of its count field, and values for each of the count. */
const CONTAINERS: ReadonlyMap<number, readonly [countBytes: number, values: number]> = new Map([
  [0xdc, [2, 1]],
  [0xdd, [4, 1]],
  [0xde, [2, 2]],
  [0xdf, [4, 2]],
]);

/** @throws DecodeError: it ends too early, has an unknown type, or is nested too deep */
export function checkMsgpack(bytes: Uint8Array, maxDepth: number): void {
  const walk = new Walk(bytes);
  /** Values still to come at each level. */
  const open: number[] = [1];
  while (open.length > 0) {
    const level = open.length - 1;
    const left = open[level] ?? 0;
    if (left === 0) {
      open.pop();
      continue;
    }
    open[level] = left - 1;
    const children = walk.value();
    if (children === 0) continue;
    open.push(children);
    if (open.length > maxDepth + 1) {
      throw new DecodeError(`msgpack: nested deeper than ${maxDepth} levels`, {
        code: "PET_MESSAGE_TOO_LARGE",
      });
    }
  }
}

class Walk {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Passes one value's head and content; gives the number of values inside it. */
  value(): number {
    const type = this.#unsigned(1);
    if (type <= 0x7f || type >= 0xe0) return 0;
    if (type <= 0x8f) return this.#counted((type & 0x0f) * 2);
    if (type <= 0x9f) return this.#counted(type & 0x0f);
    if (type <= 0xbf) return this.#skip(type & 0x1f);
    const fixed = FIXED.get(type);
    if (fixed !== undefined) return this.#skip(fixed);
    const sized = SIZED.get(type);
    if (sized !== undefined) return this.#skip(this.#unsigned(sized[0]) + sized[1]);
    const container = CONTAINERS.get(type);
    if (container !== undefined) return this.#counted(this.#unsigned(container[0]) * container[1]);
    throw new DecodeError("not msgpack: a type byte that does not exist");
  }

  /** Every value has a byte at least. */
  #counted(count: number): number {
    if (count > this.#bytes.byteLength - this.#at) throw tooShort();
    return count;
  }

  #skip(count: number): number {
    this.#at += count;
    if (this.#at > this.#bytes.byteLength) throw tooShort();
    return 0;
  }

  #unsigned(count: number): number {
    const start = this.#at;
    this.#skip(count);
    let number = 0;
    for (let at = start; at < this.#at; at++) number = number * 256 + (this.#bytes[at] ?? 0);
    return number;
  }
}

function tooShort(): DecodeError {
  return new DecodeError("not msgpack: it ends too early");
}
