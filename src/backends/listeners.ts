/** Who waits for one result. What a function of theirs throws is logged, and keeps it from nobody else. */
import type { Logger } from "../base/logger.ts";
import type { ResultMeta } from "../protocol/wire.ts";

type OnMeta = (meta: ResultMeta) => void;

export class Listeners {
  /** The result's, for the log. */
  readonly #id: string;
  readonly #logger: Logger;
  readonly #all = new Set<OnMeta>();

  constructor(id: string, logger: Logger) {
    this.#id = id;
    this.#logger = logger;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Gives what takes it out again; `onEmpty` when nobody is left then. */
  add(onMeta: OnMeta, onEmpty: () => void): () => void {
    // Two may bring the same function.
    const listener: OnMeta = (meta) => onMeta(meta);
    this.#all.add(listener);
    return () => {
      if (this.#all.delete(listener) && this.#all.size === 0) onEmpty();
    };
  }

  clear(): void {
    this.#all.clear();
  }

  /**
   * What cannot be read is logged: a reading by `get` tells the caller what is wrong with it.
   *
   * @param read - null: there is nothing to tell
   */
  tell(read: () => ResultMeta | null): void {
    let meta: ResultMeta | null;
    try {
      meta = read();
    } catch (err) {
      this.#logger.warn({ id: this.#id, err }, "a stored result cannot be read");
      return;
    }
    if (meta === null) return;
    for (const listener of this.#all) {
      try {
        listener(meta);
      } catch (err) {
        this.#logger.error({ id: this.#id, err }, "a handler of results failed");
      }
    }
  }
}
