/** What waits for its time: a binary heap, so that hundreds of thousands cost what a few do. */

interface Entry<T> {
  /** Wall clock, ms since the epoch. */
  readonly dueMs: number;
  /** Order of arrival, for equal times. */
  readonly order: number;
  readonly value: T;
}

export class DueHeap<T> {
  readonly #entries: Entry<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** When the next one is due, or null. */
  nextDueMs(): number | null {
    return this.#entries[0]?.dueMs ?? null;
  }

  add(dueMs: number, value: T): void {
    const entry: Entry<T> = { dueMs, order: this.#order, value };
    this.#order += 1;
    const entries = this.#entries;
    let index = entries.length;
    entries.push(entry);
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      const above = entries[parent];
      if (above === undefined || isBefore(above, entry)) break;
      entries[index] = above;
      index = parent;
    }
    entries[index] = entry;
  }

  /** All that are due, earliest first. */
  takeDue(nowMs: number): T[] {
    const due: T[] = [];
    for (;;) {
      const first = this.#entries[0];
      if (first === undefined || first.dueMs > nowMs) return due;
      due.push(first.value);
      this.#removeFirst();
    }
  }

  #removeFirst(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const right = left + 1;
      const leftEntry = entries[left];
      if (leftEntry === undefined) break;
      const rightEntry = entries[right];
      const useRight = rightEntry !== undefined && isBefore(rightEntry, leftEntry);
      const child = useRight ? rightEntry : leftEntry;
      if (isBefore(last, child)) break;
      entries[index] = child;
      index = useRight ? right : left;
    }
    entries[index] = last;
  }
}

function isBefore<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.dueMs === b.dueMs ? a.order < b.order : a.dueMs < b.dueMs;
}
