/** Results kept in this process, by the name of a `memory://` URL; the backend of the same name reads and writes here. */
import type { StoredWrite } from "../transport.ts";

/** A write whose maker knew the state; from others it is read from the text when needed. */
export interface MemoryWrite extends StoredWrite {
  readonly success: boolean;
}

export type StoredText = StoredWrite["value"];

interface StoredValue {
  readonly value: StoredText;
  /** null: look into the text. */
  readonly success: boolean | null;
  /** Wall clock, ms since the epoch; Infinity: for ever. */
  readonly expiresMs: number;
}

export type ResultListener = (value: StoredText) => void;

/** Entries looked at per write: each write adds one, so the expired ones cannot pile up. */
const EXPIRY_CHECKS = 2;

export class MemoryResults {
  /** In the order of writing, so that with one time to live the oldest expires first. */
  readonly #values = new Map<string, StoredValue>();
  readonly #listeners = new Map<string, Set<ResultListener>>();

  /** Number of values kept, expired ones that nothing has met yet too. */
  get size(): number {
    return this.#values.size;
  }

  /** Number of listeners, over all keys. */
  get listening(): number {
    let count = 0;
    for (const set of this.#listeners.values()) count += set.size;
    return count;
  }

  /** Writes, unless what is there is to be kept, and tells the listeners in a microtask. */
  write(write: StoredWrite, nowMs: number): void {
    this.#expire(nowMs);
    const { key, value } = write;
    const old = this.#live(key, nowMs);
    if (old !== undefined) {
      if (write.keepAny) return;
      if (write.keepSuccess && (old.success ?? isSuccessText(old.value))) return;
      this.#values.delete(key);
    }
    const success = "success" in write ? (write as MemoryWrite).success : null;
    const expiresMs = write.ttlSeconds > 0 ? nowMs + write.ttlSeconds * 1000 : Number.POSITIVE_INFINITY;
    this.#values.set(key, { value, success, expiresMs });
    if (this.#listeners.has(key)) queueMicrotask(() => this.#tell(key, value));
  }

  read(key: string, nowMs: number): StoredText | null {
    return this.#live(key, nowMs)?.value ?? null;
  }

  /** Seconds left, -1 for ever, -2 when nothing is stored: as Redis' `TTL`. */
  ttl(key: string, nowMs: number): number {
    const stored = this.#live(key, nowMs);
    if (stored === undefined) return -2;
    return stored.expiresMs === Number.POSITIVE_INFINITY ? -1 : Math.round((stored.expiresMs - nowMs) / 1000);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }

  /** Returns the function that ends it. */
  listen(key: string, listener: ResultListener): () => void {
    const set = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, set.add(listener));
    return () => {
      if (set.delete(listener) && set.size === 0 && this.#listeners.get(key) === set) {
        this.#listeners.delete(key);
      }
    };
  }

  #tell(key: string, value: StoredText): void {
    for (const listener of this.#listeners.get(key) ?? []) listener(value);
  }

  #live(key: string, nowMs: number): StoredValue | undefined {
    const stored = this.#values.get(key);
    if (stored === undefined || stored.expiresMs > nowMs) return stored;
    this.#values.delete(key);
    return undefined;
  }

  #expire(nowMs: number): void {
    let checks = 0;
    for (const [key, stored] of this.#values) {
      if (stored.expiresMs > nowMs) return;
      this.#values.delete(key);
      checks += 1;
      if (checks === EXPIRY_CHECKS) return;
    }
  }
}

function isSuccessText(value: StoredText): boolean {
  try {
    return (JSON.parse(value.toString()) as { status?: unknown } | null)?.status === "SUCCESS";
  } catch {
    return false;
  }
}
