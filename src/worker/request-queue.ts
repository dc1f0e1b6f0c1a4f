/** First in, first out, without moving what is behind. */
import type { Request } from "./request.ts";

export class RequestQueue {
  #items: (Request | null)[] = [];
  /** Index of the first. */
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(request: Request): void {
    this.#items.push(request);
  }

  shift(): Request | null {
    if (this.#head === this.#items.length) return null;
    const first = this.#items[this.#head] ?? null;
    this.#items[this.#head] = null;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return first;
  }

  /** In order. */
  toArray(): Request[] {
    return this.#items.slice(this.#head).filter((request) => request !== null);
  }

  /** Takes out those that match, and returns them. */
  drop(match: (request: Request) => boolean): Request[] {
    const dropped: Request[] = [];
    this.#items = this.#items.slice(this.#head).filter((request) => {
      if (request === null || !match(request)) return true;
      dropped.push(request);
      return false;
    });
    this.#head = 0;
    return dropped;
  }
}
