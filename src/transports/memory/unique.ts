/** Unique tasks of a memory broker. */
import type { Clock } from "../../base/clock.ts";
import {
  type Claim,
  REPLACED_MS,
  type UniqueEnd,
  type UniqueKey,
  type UniqueLocks,
  type UniqueMessage,
} from "../unique-locks.ts";

/** What a broker knows of unique tasks. */
export interface MemoryLocks {
  readonly locks: Map<string, MemoryLock>;
  /** Id of a message that was replaced -> when that may be forgotten, ms. */
  readonly replaced: Map<string, number>;
  /** Entries after the last look for those whose time is over. */
  kept: number;
}

export interface MemoryLock {
  readonly id: string;
  readonly started: boolean;
  /** The first publish of those that were postponed. */
  readonly firstMs: number;
  readonly dueMs: number;
  readonly endsMs: number;
}

export function memoryLocks(): MemoryLocks {
  return { locks: new Map(), replaced: new Map(), kept: 0 };
}

/** Unless another holds it. */
export function freeKey({ locks, replaced }: MemoryLocks, { key, id }: UniqueEnd): void {
  replaced.delete(id);
  if (locks.get(key)?.id === id) locks.delete(key);
}

/** Entries that are kept without a look at their times. */
const KEPT_AT_LEAST = 1000;

export class MemoryUniqueLocks implements UniqueLocks {
  readonly #state: MemoryLocks;
  readonly #clock: Clock;
  readonly #send: (message: UniqueMessage) => () => void;

  /** `send`: encodes a message, and gives what puts it into its queues. */
  constructor(state: MemoryLocks, clock: Clock, send: (message: UniqueMessage) => () => void) {
    this.#state = state;
    this.#clock = clock;
    this.#send = send;
  }

  async publish(messages: readonly UniqueMessage[], signal: AbortSignal | null): Promise<readonly string[]> {
    signal?.throwIfAborted();
    const puts = messages.map((message) => this.#send(message));
    return messages.map((message, index) => this.#publish(message, puts[index] as () => void));
  }

  #publish(message: UniqueMessage, put: () => void): string {
    const { locks, replaced } = this.#state;
    const { id, unique, replace, debounceMs, maxWaitMs } = message;
    const nowMs = this.#clock.now();
    this.#sweep(nowMs);
    const lock = this.#lockOf(unique.key, nowMs);
    if (lock?.id === id || (replaced.get(id) ?? 0) > nowMs) return id;
    if (lock !== null) {
      if (!replace || lock.started) return lock.id;
      replaced.set(lock.id, nowMs + Math.max(REPLACED_MS, unique.ttlMs));
    }
    const firstMs = lock !== null && lock.dueMs > 0 ? lock.firstMs : nowMs;
    let dueMs = 0;
    if (debounceMs > 0)
      dueMs = Math.max(nowMs, Math.min(nowMs + debounceMs, firstMs + (maxWaitMs ?? Infinity)));
    const endsMs = Math.max(nowMs, dueMs) + unique.ttlMs;
    locks.set(unique.key, { id, started: false, firstMs, dueMs, endsMs });
    put();
    return id;
  }

  async claim({ key, ttlMs, until }: UniqueKey, id: string): Promise<Claim> {
    const { locks, replaced } = this.#state;
    const nowMs = this.#clock.now();
    if ((replaced.get(id) ?? 0) > nowMs) return { kind: "replaced" };
    const lock = this.#lockOf(key, nowMs);
    if (lock !== null && lock.id !== id) return { kind: "run" };
    if (lock !== null && lock.dueMs > nowMs) return { kind: "later", untilMs: lock.dueMs };
    if (until === "start") locks.delete(key);
    else {
      const { firstMs = nowMs, dueMs = 0 } = lock ?? {};
      locks.set(key, { id, started: true, firstMs, dueMs, endsMs: nowMs + ttlMs });
    }
    return { kind: "run" };
  }

  async release({ key }: UniqueKey, id: string): Promise<void> {
    freeKey(this.#state, { key, id });
  }

  #lockOf(key: string, nowMs: number): MemoryLock | null {
    const lock = this.#state.locks.get(key);
    return lock === undefined || lock.endsMs <= nowMs ? null : lock;
  }

  /** Looks at all when there are twice as many as the last look has left. */
  #sweep(nowMs: number): void {
    const { locks, replaced } = this.#state;
    if (locks.size + replaced.size < Math.max(KEPT_AT_LEAST, 2 * this.#state.kept)) return;
    for (const [key, { endsMs }] of locks) if (endsMs <= nowMs) locks.delete(key);
    for (const [id, endsMs] of replaced) if (endsMs <= nowMs) replaced.delete(id);
    this.#state.kept = locks.size + replaced.size;
  }
}
