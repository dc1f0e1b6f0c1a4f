/**
 * The one pickle that workers exchange, `celery.utils.collections.LimitedSet`, read without an unpickler.
 *
 * A pickle is a program. This reader knows the opcodes that a LimitedSet is made of (protocols 2 to 5), one class, and
 * one call of it; anything else is an error, and nothing is ever looked up or run.
 */

export interface PickledLimitedSet {
  readonly maxlen: number;
  /** Seconds; null: never. */
  readonly expires: number | null;
  /** Stamps in seconds, of whatever clock the writer had. */
  readonly members: ReadonlyMap<string, number>;
  readonly minlen: number;
}

export class PickleError extends Error {
  override readonly name = "PickleError";
}

export const MODULE = "celery.utils.collections";
export const CLASS = "LimitedSet";
/** An id with its stamp takes 20 bytes at least: what is larger than this holds more ids than any worker keeps. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Stands for the class itself on the stack. */
const LIMITED_SET = Symbol(CLASS);
type Value = string | number | null | typeof LIMITED_SET | PickledLimitedSet | Dict | Tuple;
type Dict = Map<Value, Value>;
type Tuple = readonly Value[];

/** @throws PickleError */
export function readLimitedSet(bytes: Uint8Array): PickledLimitedSet {
  if (bytes.byteLength > MAX_BYTES) throw new PickleError(`a pickle of ${bytes.byteLength} bytes is refused`);
  return new Reader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).read();
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  readonly #stack: Value[] = [];
  /** Heights of the stack at which MARK was seen. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, Value>();

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  read(): PickledLimitedSet {
    for (;;) {
      const opcode = this.#byte();
      if (opcode === 0x2e) break; // STOP
      this.#step(opcode);
    }
    const found = this.#pop();
    if (isLimitedSet(found) && this.#stack.length === 0) return found;
    throw new PickleError(`it holds no ${CLASS}`);
  }

  #step(opcode: number): void {
    const stack = this.#stack;
    switch (opcode) {
      case 0x80: // PROTO
        this.#skip(1);
        return;
      case 0x95: // FRAME
        this.#skip(8);
        return;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(this.#text(this.#byte()));
        return;
      case 0x58: // BINUNICODE
        stack.push(this.#text(this.#uint32()));
        return;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 0x71: // BINPUT
        this.#memo.set(this.#byte(), this.#top());
        return;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#uint32(), this.#top());
        return;
      case 0x68: // BINGET
        stack.push(this.#remembered(this.#byte()));
        return;
      case 0x6a: // LONG_BINGET
        stack.push(this.#remembered(this.#uint32()));
        return;
      case 0x63: // GLOBAL
        stack.push(classOf(this.#line(), this.#line()));
        return;
      case 0x93: {
        // STACK_GLOBAL
        const name = this.#pop();
        stack.push(classOf(this.#pop(), name));
        return;
      }
      case 0x28: // MARK
        this.#marks.push(stack.length);
        return;
      case 0x4e: // NONE
        stack.push(null);
        return;
      case 0x4b: // BININT1
        stack.push(this.#byte());
        return;
      case 0x4d: // BININT2
        stack.push(this.#bytes.readUInt16LE(this.#take(2)));
        return;
      case 0x4a: // BININT
        stack.push(this.#bytes.readInt32LE(this.#take(4)));
        return;
      case 0x8a: // LONG1
        stack.push(this.#long(this.#byte()));
        return;
      case 0x47: // BINFLOAT
        stack.push(this.#bytes.readDoubleBE(this.#take(8)));
        return;
      case 0x7d: // EMPTY_DICT
        stack.push(new Map());
        return;
      case 0x73: {
        // SETITEM
        const value = this.#pop();
        const key = this.#pop();
        dictOf(this.#top()).set(key, value);
        return;
      }
      case 0x75: {
        // SETITEMS
        const items = this.#sinceMark();
        if (items.length % 2 !== 0) throw new PickleError("a dict has a key without a value");
        const dict = dictOf(this.#top());
        for (let i = 0; i < items.length; i += 2) dict.set(items[i] as Value, items[i + 1] as Value);
        return;
      }
      case 0x74: // TUPLE
        stack.push(this.#sinceMark());
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        stack.push(this.#popMany(opcode - 0x84));
        return;
      case 0x52: {
        // REDUCE
        const given = this.#pop();
        if (this.#pop() !== LIMITED_SET) throw new PickleError(`it calls something other than ${CLASS}`);
        stack.push(limitedSetOf(given));
        return;
      }
      default:
        throw new PickleError(`it has the opcode 0x${opcode.toString(16)}, which no ${CLASS} has`);
    }
  }

  /** Moves on, and returns where the bytes begin. */
  #take(count: number): number {
    const from = this.#at;
    if (count > this.#bytes.length - from) throw new PickleError("it ends too early");
    this.#at = from + count;
    return from;
  }

  #skip(count: number): void {
    this.#take(count);
  }

  #byte(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  #uint32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  #text(length: number): string {
    const from = this.#take(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end === -1) throw new PickleError("it ends too early");
    const text = this.#bytes.toString("utf8", this.#at, end);
    this.#at = end + 1;
    return text;
  }

  /** Little-endian, signed. */
  #long(length: number): number {
    if (length > 6) throw new PickleError("it has a number that is too large");
    return length === 0 ? 0 : this.#bytes.readIntLE(this.#take(length), length);
  }

  #top(): Value {
    const top = this.#stack.at(-1);
    if (top === undefined) throw new PickleError("it takes what it never gave");
    return top;
  }

  #pop(): Value {
    const top = this.#top();
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw new PickleError("it takes what it never gave");
    this.#stack.pop();
    return top;
  }

  #popMany(count: number): Tuple {
    return Array.from({ length: count }, () => this.#pop()).toReversed();
  }

  #sinceMark(): Tuple {
    const mark = this.#marks.pop();
    if (mark === undefined) throw new PickleError("it ends a list that it never began");
    return this.#stack.splice(mark);
  }

  #remembered(index: number): Value {
    const found = this.#memo.get(index);
    if (found === undefined) throw new PickleError("it remembers what it never had");
    return found;
  }
}

function classOf(module: Value, name: Value): typeof LIMITED_SET {
  if (module === MODULE && name === CLASS) return LIMITED_SET;
  throw new PickleError(`it names ${nameOf(module)}.${nameOf(name)}: only ${MODULE}.${CLASS} is read`);
}

function nameOf(value: Value): string {
  return typeof value === "string" ? value.slice(0, 60) : "?";
}

function dictOf(value: Value): Dict {
  if (value instanceof Map) return value;
  throw new PickleError("it fills something other than a dict");
}

function isLimitedSet(value: Value): value is PickledLimitedSet {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
}

/** `LimitedSet(maxlen, expires, {id: stamp}, minlen)`, as its `__reduce__` has it. */
function limitedSetOf(given: Value): PickledLimitedSet {
  const [maxlen, expires, data, minlen] = Array.isArray(given) && given.length === 4 ? (given as Tuple) : [];
  if (typeof maxlen !== "number" || typeof minlen !== "number" || !(data instanceof Map)) {
    throw new PickleError(`its ${CLASS} has other parts than (maxlen, expires, {id: stamp}, minlen)`);
  }
  if (typeof expires !== "number" && expires !== null) throw new PickleError(`its ${CLASS} has no expiry`);
  const members = new Map<string, number>();
  for (const [id, stamp] of data) {
    if (typeof id !== "string" || typeof stamp !== "number") {
      throw new PickleError(`its ${CLASS} has a member that is no id with a stamp`);
    }
    members.set(id, stamp);
  }
  return { maxlen, expires, members, minlen };
}
