/**
 * Results that somebody waits for. Every write of a result has a number; after each commit, of whichever process, those after the
 * last number are looked through. Nothing is read while nobody waits.
 */
import type { Logger } from "../../base/logger.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import type { Database } from "../../sqlite/index.ts";
import type { ResultTable, StoredText } from "../../transports/sqlite/index.ts";

export interface WatchesOptions {
  readonly db: Database;
  readonly results: ResultTable;
  /** @throws BackendError */
  readonly decode: (stored: StoredText, key: string) => ResultMeta;
  readonly logger: Logger;
}

type Listener = (meta: ResultMeta) => void;

export class Watches {
  readonly #options: WatchesOptions;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #ends: readonly (() => void)[];
  #seq = 0;

  constructor(options: WatchesOptions) {
    this.#options = options;
    const { db } = options;
    this.#ends = [db.onChange(() => this.#look()), db.onPoll(() => this.#look())];
  }

  /** Gives what ends it. */
  add(key: string, onMeta: Listener): () => void {
    const { db, results } = this.#options;
    if (this.#listeners.size === 0) this.#seq = db.read(() => results.lastSeq());
    const set = this.#listeners.get(key) ?? new Set();
    // A function of its own: the same listener may be given twice.
    const listener: Listener = (meta) => onMeta(meta);
    this.#listeners.set(key, set.add(listener));
    return () => {
      if (set.delete(listener) && set.size === 0 && this.#listeners.get(key) === set) {
        this.#listeners.delete(key);
      }
    };
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
      for (const { seq, key } of written) if (this.#listeners.has(key)) this.#tell(seq, key);
    } catch (error) {
      logger.warn({ err: error }, "results could not be looked for; it is tried again");
    }
  }

  #tell(seq: number, key: string): void {
    const { results, decode, logger } = this.#options;
    try {
      const stored = results.readSeq(seq);
      if (stored === null) return;
      const meta = decode(stored, key);
      for (const listener of this.#listeners.get(key) ?? []) this.#call(key, () => listener(meta));
    } catch (err) {
      logger.warn({ key, err }, "a stored result could not be read");
    }
  }

  #call(key: string, call: () => void): void {
    try {
      call();
    } catch (err) {
      this.#options.logger.warn({ key, err }, "a stored result could not be handed on");
    }
  }
}
