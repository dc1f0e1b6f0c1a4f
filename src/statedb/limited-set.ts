/**
 * A set of texts with a bound and a time to live: revoked ids. Python: `celery.utils.collections.LimitedSet`.
 *
 * Each member has a stamp, as it travels between workers: seconds of its host's monotonic clock, which are the same for
 * all processes of one host and mean nothing on another. So a member's life is counted here, on our own clock; only a stamp
 * that may be of this host shortens it.
 */
import type { Aged } from "./state-db.ts";

export interface LimitedSetOptions {
  /** Members at most; the oldest leave first. */
  readonly max: number;
  readonly expiresMs: number;
  /** Monotonic, ms. */
  readonly now: () => number;
  /** Monotonic seconds since the host's start: what stamps are made of. */
  readonly stamp: () => number;
}

interface Member {
  readonly stamp: number;
  readonly expiresMs: number;
  /** When its life began, on our clock. */
  readonly sinceMs: number;
}

/** Members that are kept longer than Celery keeps them look no older than this to other workers, who would drop them. s. */
const OLDEST_STAMP = 5_400;

/** A whole number loses its `.0` in JSON, is an int to Python, and is refused there. */
const FRACTION = 2 ** -20;

export class LimitedSet {
  readonly #options: LimitedSetOptions;
  /** Oldest first, by when they came here. */
  readonly #members = new Map<string, Member>();
  #expiresMs: number;
  #kept = false;
  /** The oldest had to leave for a new one. */
  onDrop: (() => void) | null = null;

  constructor(options: LimitedSetOptions) {
    this.#options = options;
    this.#expiresMs = options.expiresMs;
  }

  /** Members last so long, from now on; `Infinity`: they do not expire. For those that a store keeps. */
  keepFor(expiresMs: number): void {
    this.#expiresMs = expiresMs;
    this.#kept = true;
  }

  /** Members that may have expired are counted. */
  get size(): number {
    return this.#members.size;
  }

  has(member: string): boolean {
    const found = this.#members.get(member);
    return found !== undefined && found.expiresMs > this.#options.now();
  }

  /** Adds it, or starts its life anew. `stamp`: as another worker gave it. */
  add(member: string, stamp: number | null = null): void {
    const { stamp: own } = this.#options;
    const expiresMs = this.#expiresMs;
    const hostNow = own();
    const ageMs = stamp === null ? 0 : (hostNow - stamp) * 1000;
    // Not of this host, or of an earlier start of it: all that is known is that it is here now.
    const lived = ageMs > 0 && ageMs < expiresMs ? ageMs : 0;
    this.#put(member, { stamp: fraction(stamp ?? hostNow), lived });
  }

  /** Holds these in place of all it held; each was revoked so long ago. */
  replace(aged: Aged): void {
    const members = this.#members;
    const nowMs = this.#options.now();
    const hostNow = this.#options.stamp();
    members.clear();
    for (const [member, ageSeconds] of aged) {
      const lived = ageSeconds * 1000;
      if (lived >= this.#expiresMs) continue;
      const stamp = fraction(hostNow - Math.min(ageSeconds, OLDEST_STAMP));
      members.set(member, { stamp, expiresMs: nowMs + this.#expiresMs - lived, sinceMs: nowMs - lived });
      if (members.size > this.#options.max) this.#dropOldest();
    }
  }

  #put(member: string, { stamp, lived }: { readonly stamp: number; readonly lived: number }): void {
    const nowMs = this.#options.now();
    this.#members.delete(member);
    this.#members.set(member, { stamp, expiresMs: nowMs + this.#expiresMs - lived, sinceMs: nowMs - lived });
    if (this.#members.size > this.#options.max) this.#dropOldest();
  }

  /** Seconds since each was added. May be read bit by bit: what comes meanwhile is given, what goes is not. */
  ages(): Iterable<readonly [member: string, ageSeconds: number]> {
    return { [Symbol.iterator]: () => this.#ages() };
  }

  *#ages(): Generator<readonly [string, number]> {
    const nowMs = this.#options.now();
    for (const [member, { sinceMs, expiresMs }] of this.#members)
      if (expiresMs > nowMs) yield [member, Math.max(0, nowMs - sinceMs) / 1000];
  }

  delete(member: string): boolean {
    return this.#members.delete(member);
  }

  clear(): void {
    this.#members.clear();
  }

  /** Forgets what has expired. */
  purge(): void {
    const nowMs = this.#options.now();
    for (const [member, { expiresMs }] of this.#members) if (expiresMs <= nowMs) this.#members.delete(member);
  }

  /** Living members, by their stamps. */
  entries(): readonly (readonly [member: string, stamp: number])[] {
    this.purge();
    const least = this.#kept ? this.#options.stamp() - OLDEST_STAMP : Number.NEGATIVE_INFINITY;
    const entries = [...this.#members].map(
      ([member, { stamp }]) => [member, stamp < least ? fraction(least) : stamp] as const,
    );
    return entries.sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
  }

  #dropOldest(): void {
    const oldest = this.#members.keys().next();
    if (oldest.done) return;
    this.#members.delete(oldest.value);
    this.onDrop?.();
  }
}

function fraction(stamp: number): number {
  return Number.isInteger(stamp) ? stamp + FRACTION : stamp;
}
