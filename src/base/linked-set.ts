/**
 * A set for members that come and go all the time, of which each is in one such set at most.
 *
 * A `Set` that is filled and emptied without end makes the garbage collector work: its tables are replaced again and again,
 * and a replaced table that has grown old keeps the next one alive, with all members it ever had, until the next full
 * collection. A quarter of what a worker allocates survived by that.
 */

/** What a member extends. Written by {@link LinkedSet} only. */
export class Linked {
  /** The set that it is in. */
  declare within: object | null;
  declare before: Linked | null;
  declare after: Linked | null;

  constructor() {
    // Not as initial values of fields: with more than four classes that extend this one, V8 defines each field by a slow call.
    this.within = null;
    this.before = null;
    this.after = null;
  }
}

export class LinkedSet<T extends Linked> {
  #first: Linked | null = null;
  #last: Linked | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(member: T): boolean {
    return member.within === this;
  }

  /** Adds at the end. @throws Error when it is in another set */
  add(member: T): void {
    if (member.within === this) return;
    if (member.within !== null) throw new Error("it is in another set");
    member.within = this;
    member.before = this.#last;
    if (this.#last === null) this.#first = member;
    else this.#last.after = member;
    this.#last = member;
    this.#size += 1;
  }

  /** False: it was not in. */
  delete(member: T): boolean {
    if (member.within !== this) return false;
    const { before, after } = member;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    member.within = null;
    member.before = null;
    member.after = null;
    this.#size -= 1;
    return true;
  }

  clear(): void {
    while (this.#first !== null) this.delete(this.#first as T);
  }

  /** In the order of adding, as it is now. */
  [Symbol.iterator](): IterableIterator<T> {
    const members: T[] = [];
    for (let one = this.#first; one !== null; one = one.after) members.push(one as T);
    return members.values();
  }
}
