/**
 * Reads replies from the bytes that arrive, however they are cut. Each byte is looked at about once: a value that is not
 * complete is gone on with, not begun again.
 */
import type { RespValue } from "./resp.ts";

/** More bytes are needed. */
export const INCOMPLETE: unique symbol = Symbol("incomplete");
/** A list was begun; its members come next. */
const OPENED: unique symbol = Symbol("opened");

/** Nesting of replies; a server has no reason to go deeper. */
const MAX_DEPTH = 32;
/** Room for what is left of a chunk; given back when a bigger one was needed and is empty again. */
const STORE_BYTES = 64 * 1024;

/** As `proto-max-bulk-len` of Redis. Room for a text is made when its length is known. */
const BULK_AT_MOST = 512 * 1024 * 1024;

const CR = 13;
const MINUS = 45;
const EMPTY: Buffer = Buffer.alloc(0);

/** How a reply's strings arrive: as text, as bytes, or only as their number of bytes, for one that nobody reads. */
export type ReplyForm = "text" | "bytes" | "size";

type ListKind = "array" | "push" | "attribute";

interface OpenList {
  readonly kind: ListKind;
  readonly items: RespValue[];
  missing: number;
}

export class RespReader {
  /** Of the value that is read next, unless it is a push: that is nobody's reply, and text. */
  form: ReplyForm = "text";
  /** The chunk, or `#store`; what is not read yet lies between `#at` and `#end`. */
  #buffer: Buffer = EMPTY;
  #at = 0;
  #end = 0;
  /** Keeps what is left when a chunk has been read: the chunk's memory may belong to the socket. */
  #store: Buffer = EMPTY;
  /** Bytes from `#at` without which another look is of no use. */
  #needed = 0;
  /** Lists under construction, the innermost last. */
  readonly #open: OpenList[] = [];

  /** Takes the next bytes. They may change once `next` has answered `INCOMPLETE`. */
  feed(chunk: Buffer): void {
    if (this.#at === this.#end) {
      this.#buffer = chunk;
      this.#at = 0;
      this.#end = chunk.length;
      return;
    }
    this.#reserve(chunk.length);
    chunk.copy(this.#store, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next value that is complete.
   *
   * @throws Error when this is not RESP
   */
  next(): RespValue | typeof INCOMPLETE {
    for (;;) {
      const value = this.#end - this.#at < this.#needed ? INCOMPLETE : this.#element();
      if (value === INCOMPLETE) {
        this.#keep();
        return INCOMPLETE;
      }
      this.#needed = 0;
      if (value === OPENED) continue;
      const whole = this.#close(value);
      if (whole !== OPENED) return whole;
    }
  }

  /** Puts a value where it belongs: into the list that waits for it, or out. */
  #close(value: RespValue): RespValue | typeof OPENED {
    let whole = value;
    for (;;) {
      const list = this.#open.at(-1);
      if (list === undefined) return whole;
      list.items.push(whole);
      list.missing -= 1;
      if (list.missing > 0) return OPENED;
      this.#open.pop();
      // An attribute stands before the value that it describes.
      if (list.kind === "attribute") return OPENED;
      whole = list.kind === "push" ? { push: list.items } : list.items;
    }
  }

  /** Moves what is left into memory of our own. */
  #keep(): void {
    if (this.#at === this.#end) {
      this.#buffer = EMPTY;
      this.#at = 0;
      this.#end = 0;
      if (this.#store.length > STORE_BYTES) this.#store = EMPTY;
    } else if (this.#buffer !== this.#store) this.#reserve(0);
  }

  /** Afterwards what is left is in the store, and there is room for `more` bytes behind it. */
  #reserve(more: number): void {
    const left = this.#end - this.#at;
    const wanted = Math.max(left + more, this.#needed);
    if (this.#buffer === this.#store && this.#at + wanted <= this.#store.length) return;
    const from = this.#buffer;
    // Doubled, so that a long value in many chunks is not copied for each.
    if (wanted > this.#store.length) {
      this.#store = Buffer.allocUnsafeSlow(Math.max(STORE_BYTES, wanted, 2 * left));
    }
    from.copy(this.#store, 0, this.#at, this.#end);
    this.#buffer = this.#store;
    this.#at = 0;
    this.#end = left;
  }

  /** A value without members, or the head of a list. Where it is not complete nothing was taken. */
  #element(): RespValue | typeof INCOMPLETE | typeof OPENED {
    const start = this.#at;
    const type = this.#buffer[start] ?? 0;
    const eol = this.#buffer.indexOf(CR, start);
    // The line's end is CR LF; lines hold no CR of their own.
    if (eol < 0 || eol + 1 >= this.#end) return INCOMPLETE;
    switch (type) {
      case 36: // $
      case 61: // =
        return this.#bulk(eol, this.#open[0]?.kind === "push" ? "text" : this.form);
      case 58: // :
        this.#at = eol + 2;
        return this.#integer(start + 1, eol);
      case 42: // *
      case 126: // ~
        return this.#list(eol, "array", 1);
      case 62: // >
        return this.#list(eol, "push", 1);
      case 37: // %
        return this.#list(eol, "array", 2);
      case 124: // |
        return this.#list(eol, "attribute", 2);
      case 33: {
        // !
        const text = this.#bulk(eol, "text");
        return text === INCOMPLETE ? INCOMPLETE : { error: typeof text === "string" ? text : "" };
      }
      default:
        return this.#line(type, eol);
    }
  }

  #line(type: number, eol: number): RespValue {
    const text = this.#buffer.toString("utf8", this.#at + 1, eol);
    switch (type) {
      case 43: // +
      case 40: // (
        break;
      case 45: // -
        this.#at = eol + 2;
        return { error: text };
      case 44: // ,
        this.#at = eol + 2;
        return numberOf(text);
      case 95: // _
        this.#at = eol + 2;
        return null;
      case 35: // #
        this.#at = eol + 2;
        return text === "t";
      default:
        throw new Error(
          `not a Redis reply: ${JSON.stringify(this.#buffer.toString("utf8", this.#at, Math.min(eol, this.#at + 40)))}`,
        );
    }
    this.#at = eol + 2;
    return text;
  }

  #integer(from: number, eol: number): number {
    const buffer = this.#buffer;
    const negative = buffer[from] === MINUS;
    let value = 0;
    for (let at = negative ? from + 1 : from; at < eol; at++) {
      const digit = (buffer[at] ?? 0) - 48;
      if (digit < 0 || digit > 9) throw new Error("not a Redis reply: a length or number has no digits");
      value = value * 10 + digit;
    }
    return negative ? -value : value;
  }

  #bulk(eol: number, form: ReplyForm): string | Buffer | number | null | typeof INCOMPLETE {
    const length = this.#integer(this.#at + 1, eol);
    if (length < 0) {
      this.#at = eol + 2;
      return null;
    }
    if (length > BULK_AT_MOST) throw new Error(`a Redis reply has a text of ${length} bytes`);
    const from = eol + 2;
    const to = from + length;
    if (to + 2 > this.#end) {
      this.#needed = to + 2 - this.#at;
      return INCOMPLETE;
    }
    this.#at = to + 2;
    if (form === "text") return this.#buffer.toString("utf8", from, to);
    return form === "size" ? length : Buffer.from(this.#buffer.subarray(from, to));
  }

  #list(eol: number, kind: ListKind, width: number): RespValue | typeof OPENED {
    const length = this.#integer(this.#at + 1, eol) * width;
    this.#at = eol + 2;
    if (length < 0) return null;
    if (length === 0) return kind === "push" ? { push: [] } : kind === "attribute" ? OPENED : [];
    if (this.#open.length >= MAX_DEPTH) throw new Error("a Redis reply is nested too deep");
    this.#open.push({ kind, items: [], missing: length });
    return OPENED;
  }
}

function numberOf(text: string): number {
  if (text === "inf") return Number.POSITIVE_INFINITY;
  return text === "-inf" ? Number.NEGATIVE_INFINITY : Number(text);
}
