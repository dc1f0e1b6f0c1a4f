/** Length is a power of two, so that a mask wraps an index. */
function empty(): undefined[] {
  return Array.from({ length: 16 });
}

/** A queue with two ends on a ring: constant time at both, no shifting of a long array. */
export class Deque<T> {
  #ring: (T | undefined)[] = empty();
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  pushBack(value: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = value;
    this.#size += 1;
  }

  pushFront(value: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = value;
    this.#size += 1;
  }

  popFront(): T | undefined {
    if (this.#size === 0) return undefined;
    const value = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size -= 1;
    return value;
  }

  /** Takes out the value nearest to the back that `is` accepts; false: there is none. */
  remove(is: (value: T) => boolean): boolean {
    const values = this.toArray();
    const at = values.findLastIndex(is);
    if (at < 0) return false;
    values.splice(at, 1);
    this.clear();
    for (const value of values) this.pushBack(value);
    return true;
  }

  /** Empties it and gives the memory back. */
  clear(): void {
    this.#ring = empty();
    this.#head = 0;
    this.#size = 0;
  }

  /** Front first. */
  toArray(): T[] {
    const values: T[] = [];
    for (let i = 0; i < this.#size; i++) {
      values.push(this.#ring[(this.#head + i) & (this.#ring.length - 1)] as T);
    }
    return values;
  }

  #grow(): void {
    const old = this.toArray() as (T | undefined)[];
    old.length = this.#ring.length * 2;
    this.#ring = old;
    this.#head = 0;
  }
}
