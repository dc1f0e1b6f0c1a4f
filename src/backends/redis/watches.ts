/**
 * Waiting for results: one pub/sub connection for all ids, a reading of all after each of its gaps, and a slow poll for
 * what no message told. An id may have several watchers; it is subscribed once.
 *
 * A message is only a hint where results are binary: then the result is read.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import { HANDLING, RedisError } from "../../redis/errors.ts";
import type { PubSubSubscription, RedisPubSub } from "../../redis/pubsub.ts";
import { Listeners } from "../listeners.ts";
import type { ResultCodec, StoredText } from "../result-codec.ts";
import type { ResultReader } from "./reader.ts";

/** The slow poll. */
const POLL_MS = 1000;
/** Ids read by one poll at most; with more, each is read every so many polls. */
const POLL_COUNT = 5000;

type OnMeta = (meta: ResultMeta) => void;

interface Watched {
  readonly id: string;
  readonly key: string;
  readonly listeners: Listeners;
  readonly subscription: PubSubSubscription;
  readonly ready: Promise<void>;
  /** Resolves `ready`. */
  readonly end: () => void;
  /** Its SUBSCRIBE failed: it is made with the next connection. */
  isWaiting: boolean;
  /** Monotonic ms of the last reading, or of the start. */
  readAtMs: number;
  /** What was handed on last, so that the poll does not repeat it. */
  last: StoredText | null;
}

export interface WatchesOptions {
  readonly pubsub: RedisPubSub;
  readonly reader: ResultReader;
  readonly codec: ResultCodec;
  readonly clock: Clock;
  readonly logger: Logger;
  key(id: string): string;
}

export class Watches {
  readonly #options: WatchesOptions;
  /** In the order of the last reading, oldest first, so that a poll takes the longest unread. */
  readonly #watched = new Map<string, Watched>();
  #timer: Timer | null = null;
  /** Ids whose connection was lost and is back, gathered over one turn. */
  #gaps: Set<Watched> | null = null;
  /** The last reading failed; said once. */
  #failing = false;
  #warned = false;

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  /** Ids that are watched. */
  get size(): number {
    return this.#watched.size;
  }

  watch(id: string, onMeta: OnMeta): { readonly ready: Promise<void>; close(): void } {
    const watched = this.#watched.get(id) ?? this.#open(id);
    const close = watched.listeners.add(onMeta, () => this.#close(watched));
    return { ready: watched.ready, close };
  }

  /** Ends all watchers of an id. */
  forget(id: string): void {
    const watched = this.#watched.get(id);
    if (watched) this.#close(watched);
  }

  /** A pub/sub connection is live, with all subscriptions that were waiting for it. */
  onConnected(): void {
    for (const watched of this.#watched.values()) {
      if (!watched.isWaiting) continue;
      watched.isWaiting = false;
      watched.end();
      this.#gap(watched);
    }
  }

  stop(): void {
    for (const watched of this.#watched.values()) this.#close(watched);
    this.#options.pubsub.stop();
  }

  #open(id: string): Watched {
    const { pubsub, clock } = this.#options;
    const key = this.#options.key(id);
    const subscription = pubsub.open({
      channel: key,
      listener: (payload) => this.#hear(watched, payload),
      onGap: () => this.#gap(watched),
    });
    let end = doNothing;
    // Never rejects: without a connection it waits for one, and where SUBSCRIBE is refused the poll serves.
    const ready = new Promise<void>((resolve) => {
      end = resolve;
      subscription.ready.then(resolve, (error: unknown) => {
        if (this.#subscribeRefused(error)) resolve();
        else watched.isWaiting = true;
      });
    });
    const watched: Watched = {
      id,
      key,
      listeners: new Listeners(id, this.#options.logger),
      subscription,
      ready,
      end,
      isWaiting: false,
      readAtMs: clock.monotonic(),
      last: null,
    };
    this.#watched.set(id, watched);
    this.#timer ??= this.#armPoll();
    return watched;
  }

  #close(watched: Watched): void {
    watched.listeners.clear();
    if (this.#watched.get(watched.id) === watched) this.#watched.delete(watched.id);
    watched.subscription.close();
    watched.end();
    if (this.#watched.size === 0) {
      this.#timer?.cancel();
      this.#timer = null;
    }
  }

  #subscribeRefused(error: unknown): boolean {
    if (!(error instanceof RedisError) || HANDLING[error.kind] !== "stop") return false;
    if (!this.#warned) {
      this.#warned = true;
      this.#options.logger.warn({ err: error }, "results cannot be subscribed to, they are polled for");
    }
    return true;
  }

  #hear(watched: Watched, payload: string): void {
    if (this.#options.codec.isBinary) this.#gap(watched);
    else this.#tell(watched, payload);
  }

  /** Reads it again, together with all others that ask for it in this turn. */
  #gap(watched: Watched): void {
    if (this.#gaps === null) {
      this.#gaps = new Set();
      setImmediate(() => {
        const gaps = [...(this.#gaps ?? [])];
        this.#gaps = null;
        void this.#read(gaps);
      });
    }
    this.#gaps.add(watched);
  }

  #armPoll(): Timer {
    return this.#options.clock.setTimer(
      POLL_MS,
      () => {
        void this.#poll().then(() => {
          this.#timer = this.#watched.size > 0 ? this.#armPoll() : null;
        });
      },
      { unref: true },
    );
  }

  /** Those that were not read for the whole of the last interval, the longest unread first. */
  #poll(): Promise<void> {
    const dueMs = this.#options.clock.monotonic() - POLL_MS;
    const due: Watched[] = [];
    for (const watched of this.#watched.values()) {
      if (due.length === POLL_COUNT || watched.readAtMs > dueMs) break;
      due.push(watched);
    }
    return this.#read(due);
  }

  /** Never rejects. */
  async #read(all: readonly Watched[]): Promise<void> {
    const open = all.filter((watched) => this.#watched.get(watched.id) === watched);
    if (open.length === 0) return;
    const now = this.#options.clock.monotonic();
    for (const watched of open) {
      watched.readAtMs = now;
      // To the end of the order.
      this.#watched.delete(watched.id);
      this.#watched.set(watched.id, watched);
    }
    try {
      const stored = await this.#options.reader.readStored(open.map((watched) => watched.key));
      for (const [index, watched] of open.entries()) this.#tell(watched, stored[index] ?? null);
      this.#failing = false;
    } catch (error) {
      // The next poll, or the reconnect, reads again.
      if (!this.#failing) this.#options.logger.warn({ err: error }, "results cannot be read, trying again");
      this.#failing = true;
    }
  }

  #tell(watched: Watched, stored: StoredText | Error | null): void {
    if (stored === null || watched.listeners.size === 0 || isSame(watched.last, stored)) return;
    watched.listeners.tell(() => {
      if (stored instanceof Error) throw stored;
      const meta = this.#options.codec.decode(stored, watched.key);
      watched.last = stored;
      return meta;
    });
  }
}

function doNothing(): void {}

function isSame(last: StoredText | null, stored: StoredText | Error): boolean {
  if (last === null) return false;
  if (typeof last === "string") return last === stored;
  return Buffer.isBuffer(stored) && last.equals(stored);
}
