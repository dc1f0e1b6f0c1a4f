/**
 * Revokes on their way to the state DB. What cannot be written waits, and is written when the store is there.
 *
 * | state   | add               | written       | refused                       | flush                |
 * |---------|-------------------|---------------|-------------------------------|----------------------|
 * | empty   | -> writing        |               |                               |                      |
 * | writing | goes with the next write | -> empty, or writing | -> waiting          |                      |
 * | waiting | joins             |               |                               | -> writing           |
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Revocations, StateDb } from "../statedb/state-db.ts";

export interface RevokeQueueOptions {
  readonly db: StateDb;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ids, and stamps, that wait at most. */
  readonly max: number;
}

/** A reply to remote control does not wait longer for the store. */
const REPLY_MS = 500;
const AGAIN_MS = 1_000;

type Written = "written" | "queued";

export class RevokeQueue {
  readonly #options: RevokeQueueOptions;
  readonly #ids = new Set<string>();
  readonly #stamps = new Set<string>();
  #writing: Promise<Written> | null = null;
  /** The write after the one that is under way. */
  #next: Promise<Written> | null = null;
  #retry: Timer | null = null;
  #dropped = 0;
  #closed = false;

  constructor(options: RevokeQueueOptions) {
    this.#options = options;
  }

  /** Those that the store does not have, for all that is known. */
  get size(): number {
    return this.#ids.size + this.#stamps.size;
  }

  waiting(): Revocations {
    return { ids: [...this.#ids], stamps: [...this.#stamps] };
  }

  /** Resolves when it is written, or after a moment. Never rejects. */
  add({ ids, stamps }: Revocations): Promise<Written> {
    for (const id of ids) this.#put(this.#ids, id);
    for (const stamp of stamps) this.#put(this.#stamps, stamp);
    return Promise.race([this.flush(), this.#moment()]);
  }

  /** Writes all that waits. */
  flush(): Promise<Written> {
    if (this.#writing === null) {
      this.#writing = this.#write().finally(() => {
        this.#writing = null;
      });
      return this.#writing;
    }
    this.#next ??= this.#writing.then(() => {
      this.#next = null;
      return this.flush();
    });
    return this.#next;
  }

  /** Tries until `signal` aborts; says what could not be written. */
  async close(signal: AbortSignal): Promise<void> {
    this.#retry?.cancel();
    while (this.size > 0 && !signal.aborted) {
      const how = await Promise.race([this.flush(), aborted(signal)]);
      if (how === "queued" && !signal.aborted) await this.#moment();
    }
    this.#closed = true;
    this.#retry?.cancel();
    if (this.size === 0) return;
    this.#options.logger.error(
      { ids: [...this.#ids].slice(0, 20), count: this.size, statedb: this.#options.db.location },
      "revokes could not be written to the state DB before the worker stopped: they are lost",
    );
  }

  #put(set: Set<string>, member: string): void {
    // It may be on its way: what is sent is taken out when it was written, and this is a new one.
    set.delete(member);
    set.add(member);
    if (set.size <= this.#options.max) return;
    const oldest = set.values().next();
    if (!oldest.done) set.delete(oldest.value);
    this.#dropped += 1;
    if (this.#dropped > 1) return;
    this.#options.logger.error(
      { max: this.#options.max },
      "more revokes wait for the state DB than are kept: the oldest are dropped",
    );
  }

  async #write(): Promise<Written> {
    const { db, clock, logger } = this.#options;
    const sent = this.waiting();
    if (sent.ids.length + sent.stamps.length === 0) return "written";
    try {
      await db.revoke(sent);
    } catch (err) {
      logger.debug({ err, waiting: this.size }, "revokes could not be written to the state DB: trying again");
      if (!this.#closed) {
        this.#retry?.cancel();
        this.#retry = clock.setTimer(AGAIN_MS, () => void this.flush(), { unref: true });
      }
      return "queued";
    }
    for (const id of sent.ids) this.#ids.delete(id);
    for (const stamp of sent.stamps) this.#stamps.delete(stamp);
    return "written";
  }

  #moment(): Promise<Written> {
    return new Promise((resolve) => {
      this.#options.clock.setTimer(REPLY_MS, () => resolve("queued"), { unref: true });
    });
  }
}

function aborted(signal: AbortSignal): Promise<"queued"> {
  if (signal.aborted) return Promise.resolve("queued");
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve("queued"), { once: true });
  });
}
