/**
 * Results that somebody waits for. Every write of a result has a number; after each commit, of whichever process, those after the
 * last number are looked through. Nothing is read while nobody waits.
 */
import type { Logger } from "../../base/logger.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import type { Database } from "../../sqlite/index.ts";
import type { ResultTable, StoredText } from "../../transports/sqlite/index.ts";
import { Listeners } from "../listeners.ts";

export interface WatchesOptions {
  readonly db: Database;
  readonly results: ResultTable;
  /** @throws BackendError */
  readonly decode: (stored: StoredText, key: string) => ResultMeta;
  readonly logger: Logger;
}

export class Watches {
  readonly #options: WatchesOptions;
  readonly #listeners = new Map<string, Listeners>();
  readonly #ends: readonly (() => void)[];
  #seq = 0;

  constructor(options: WatchesOptions) {
    this.#options = options;
    const { db } = options;
    this.#ends = [db.onChange(() => this.#look()), db.onPoll(() => this.#look())];
  }

  /** Gives what ends it. */
  add(key: string, onMeta: (meta: ResultMeta) => void): () => void {
    const { db, results } = this.#options;
    if (this.#listeners.size === 0) this.#seq = db.read(() => results.lastSeq());
    const listeners = this.#listeners.get(key) ?? new Listeners(key, this.#options.logger);
    this.#listeners.set(key, listeners);
    return listeners.add(onMeta, () => {
      if (this.#listeners.get(key) === listeners) this.#listeners.delete(key);
    });
  }

  end(key: string): void {
    this.#listeners.delete(key);
  }

  close(): void {
    for (const end of this.#ends) end();
    this.#listeners.clear();
  }

  #look(): void {
    const { results, logger } = this.#options;
    if (this.#listeners.size === 0) return;
    try {
      const last = results.lastSeq();
      if (last === this.#seq) return;
      const written = results.after(this.#seq);
      this.#seq = last;
      for (const { seq, key } of written) this.#tell(seq, key);
    } catch (error) {
      logger.warn({ err: error }, "results could not be looked for; it is tried again");
    }
  }

  #tell(seq: number, key: string): void {
    const { results, decode } = this.#options;
    this.#listeners.get(key)?.tell(() => {
      const stored = results.readSeq(seq);
      return stored === null ? null : decode(stored, key);
    });
  }
}
