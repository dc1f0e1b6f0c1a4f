/**
 * A JSON parser for what Python writes and `JSON.parse` refuses or loses: `NaN`, `Infinity`, `-Infinity`, integers beyond
 * 2^53 (as bigint), kombu's types. Slower than the native one; `json.ts` decides which is needed.
 */
import { DecodeError } from "../errors.ts";
import { fromTypedOr } from "./json-types.ts";

/** Python refuses to read longer integers (`sys.set_int_max_str_digits`); reading them takes quadratic time. */
const MAX_INTEGER_DIGITS = 4300;

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
/** A backslash or a control character: left to `JSON.parse`, which refuses the latter. */
const NEEDS_PARSE = /[\\\p{Cc}]/u;
const WORDS: readonly (readonly [string, unknown])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
];

/**
 * @param maxDepth - nesting of arrays and objects
 * @throws DecodeError
 */
export function parseTolerant(text: string, maxDepth: number): unknown {
  return new Parser(text, maxDepth).document();
}

class Parser {
  readonly #text: string;
  readonly #maxDepth: number;
  #at = 0;
  #depth = 0;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  document(): unknown {
    this.#space();
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) throw this.#unexpected();
    return value;
  }

  #value(): unknown {
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x22: // "
        return this.#string();
      case 0x5b: // [
        return this.#array();
      case 0x7b: // {
        return this.#object();
      default:
        return this.#wordOrNumber();
    }
  }

  #wordOrNumber(): unknown {
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text);
    if (found === null) throw this.#unexpected();
    const digits = found[0];
    this.#at += digits.length;
    if (found[1] !== undefined || found[2] !== undefined) return Number(digits);
    const number = Number(digits);
    if (Number.isSafeInteger(number)) return number;
    if (digits.length > MAX_INTEGER_DIGITS) {
      throw new DecodeError(`an integer has more than ${MAX_INTEGER_DIGITS} digits`);
    }
    return BigInt(digits);
  }

  #string(): string {
    const start = this.#at + 1;
    const end = this.#endOfString(start);
    this.#at = end + 1;
    const raw = this.#text.slice(start, end);
    if (!NEEDS_PARSE.test(raw)) return raw;
    try {
      return JSON.parse(`"${raw}"`) as string;
    } catch {
      this.#at = start - 1;
      throw new DecodeError(
        `not JSON: the string at character ${this.#at} has a bad escape or control character`,
      );
    }
  }

  #endOfString(start: number): number {
    let end = this.#text.indexOf('"', start);
    while (end !== -1) {
      let slashes = 0;
      while (this.#text.charCodeAt(end - 1 - slashes) === 0x5c && end - 1 - slashes >= start) slashes++;
      if (slashes % 2 === 0) return end;
      end = this.#text.indexOf('"', end + 1);
    }
    throw new DecodeError("not JSON: a string has no end");
  }

  #array(): unknown[] {
    this.#enter();
    const items: unknown[] = [];
    if (!this.#take(0x5d)) {
      do {
        this.#space();
        items.push(this.#value());
        this.#space();
      } while (this.#take(0x2c));
      this.#expect(0x5d);
    }
    this.#depth--;
    return items;
  }

  #object(): unknown {
    this.#enter();
    const object: Record<string, unknown> = {};
    if (!this.#take(0x7d)) {
      do {
        this.#space();
        this.#member(object);
        this.#space();
      } while (this.#take(0x2c));
      this.#expect(0x7d);
    }
    this.#depth--;
    return fromTypedOr(object);
  }

  #member(object: Record<string, unknown>): void {
    if (this.#text.charCodeAt(this.#at) !== 0x22) throw this.#unexpected();
    const key = this.#string();
    this.#space();
    this.#expect(0x3a);
    this.#space();
    const value = this.#value();
    if (key !== "__proto__") object[key] = value;
  }

  #enter(): void {
    if (++this.#depth > this.#maxDepth) {
      throw new DecodeError(`nested deeper than ${this.#maxDepth} levels`, { code: "PET_MESSAGE_TOO_LARGE" });
    }
    this.#at++;
    this.#space();
  }

  #space(): void {
    if (this.#text.charCodeAt(this.#at) > 0x20) return;
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #take(code: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #expect(code: number): void {
    if (!this.#take(code)) throw this.#unexpected();
  }

  #unexpected(): DecodeError {
    if (this.#at >= this.#text.length) return new DecodeError("not JSON: it ends too early");
    const char = JSON.stringify(this.#text.charAt(this.#at));
    return new DecodeError(`not JSON: unexpected ${char} at character ${this.#at}`);
  }
}
