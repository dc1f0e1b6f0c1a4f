/**
 * A small reader and writer of RESP2 and RESP3, for connections on which the client library is of no use: the beat thread,
 * and the wake-up pushes that the library drops.
 */

/** An error reply. */
export interface RespError {
  readonly error: string;
}

/** A RESP3 push, or a RESP2 reply that came unasked. */
export interface RespPush {
  readonly push: readonly RespValue[];
}

export type RespValue = string | number | boolean | null | RespError | RespPush | RespValue[];

export function isRespError(value: unknown): value is RespError {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "error");
}

export function isRespPush(value: unknown): value is RespPush {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "push");
}

/** One command as bytes. */
export function encodeCommand(args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n"));
  }
  return Buffer.concat(parts);
}

/** Thrown inside while a value is not complete yet. */
const INCOMPLETE: unique symbol = Symbol("incomplete");
/** Nesting of replies; a server has no reason to go deeper. */
const MAX_DEPTH = 32;

export class RespReader {
  #buffer: Buffer = Buffer.alloc(0);
  /** Of `#buffer`: how far values were read. */
  #at = 0;
  /** Bytes that must be there before another look is worth it: a long reply is not read again from its start for each chunk. */
  #needed = 0;

  /**
   * Takes the next bytes and returns the values that are complete now.
   *
   * @throws Error when this is not RESP
   */
  push(chunk: Buffer): RespValue[] {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const values: RespValue[] = [];
    if (this.#buffer.length < this.#needed) return values;
    this.#needed = 0;
    let done = 0;
    while (done < this.#buffer.length) {
      this.#at = done;
      const value = this.#read(0);
      if (value === INCOMPLETE) break;
      values.push(value);
      done = this.#at;
    }
    this.#needed = Math.max(0, this.#needed - done);
    this.#buffer = done === 0 ? this.#buffer : this.#buffer.subarray(done);
    return values;
  }

  #line(): string | typeof INCOMPLETE {
    const end = this.#buffer.indexOf("\r\n", this.#at);
    if (end < 0) return INCOMPLETE;
    const line = this.#buffer.toString("utf8", this.#at, end);
    this.#at = end + 2;
    return line;
  }

  #read(depth: number): RespValue | typeof INCOMPLETE {
    if (depth > MAX_DEPTH) throw new Error("a Redis reply is nested too deep");
    const line = this.#line();
    if (line === INCOMPLETE) return INCOMPLETE;
    const rest = line.slice(1);
    switch (line.charAt(0)) {
      case "+":
      case "(":
        return rest;
      case ":":
      case ",":
        return Number(rest);
      case "-":
        return { error: rest };
      case "_":
        return null;
      case "#":
        return rest === "t";
      case "$":
      case "=":
        return this.#bulk(Number(rest));
      case "!": {
        const text = this.#bulk(Number(rest));
        return text === INCOMPLETE ? INCOMPLETE : { error: String(text) };
      }
      case "*":
      case "~":
        return this.#array(Number(rest), depth);
      case "%":
      case "|":
        return this.#array(2 * Number(rest), depth);
      case ">": {
        const push = this.#array(Number(rest), depth);
        return push === INCOMPLETE || !Array.isArray(push) ? INCOMPLETE : { push };
      }
      default:
        throw new Error(`not a Redis reply: ${JSON.stringify(line.slice(0, 40))}`);
    }
  }

  #bulk(length: number): string | null | typeof INCOMPLETE {
    if (length < 0) return null;
    const end = this.#at + length;
    if (this.#buffer.length < end + 2) {
      this.#needed = end + 2;
      return INCOMPLETE;
    }
    const text = this.#buffer.toString("utf8", this.#at, end);
    this.#at = end + 2;
    return text;
  }

  #array(length: number, depth: number): RespValue[] | null | typeof INCOMPLETE {
    if (length < 0) return null;
    const values: RespValue[] = [];
    for (let i = 0; i < length; i++) {
      const value = this.#read(depth + 1);
      if (value === INCOMPLETE) return INCOMPLETE;
      values.push(value);
    }
    return values;
  }
}
