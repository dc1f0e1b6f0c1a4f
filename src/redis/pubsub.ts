/**
 * Pub/sub over one connection of its own, dialled with the first subscription. Subscriptions of one event-loop turn share a
 * command. After a reconnect everything is subscribed again and `onGap` says that messages may have been missed.
 */
import type { Timer } from "../base/clock.ts";
import type { RedisConnection } from "./connection.ts";
import { RedisSession, type SessionOptions } from "./session.ts";

export type PubSubListener = (payload: string, channel: string) => void;

export interface PubSubSubscription {
  /** Idempotent; no call of the listener afterwards. */
  close(): void;
}

export interface SubscribeOptions {
  /** A channel, or with `pattern` a glob-style pattern. */
  readonly channel: string;
  readonly pattern?: boolean;
  readonly listener: PubSubListener;
  /** The connection was lost and is back: messages may have been missed. */
  readonly onGap?: () => void;
}

/** An idle connection is asked for a sign of life this often. */
const PING_MS = 10_000;

interface Entry {
  readonly channel: string;
  readonly pattern: boolean;
  readonly listeners: Set<SubscribeOptions>;
  /** Resolves once the server confirmed; made anew by every SUBSCRIBE. */
  ready: Promise<void>;
  /** Was wanted while there was no connection yet: the first one comes with a gap for it. */
  missed: boolean;
}

export class RedisPubSub {
  readonly #session: RedisSession;
  readonly #options: SessionOptions;
  /** Wanted subscriptions by kind and channel. The server's set follows. */
  readonly #channels = new Map<string, Entry>();
  readonly #patterns = new Map<string, Entry>();
  /** New entries of this turn, sent together. */
  #joining: Entry[] = [];
  /** Entries without listeners that the server still has, dropped together. */
  #leaving: Entry[] = [];
  #flush: Promise<void> | null = null;
  #ping: Timer | null = null;
  #wasLive = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#session = new RedisSession({
      ...options,
      scripts: [],
      keepTrying: true,
      reclaim: (connection) => this.#resubscribe(connection),
      onState: (state, from) => {
        options.onState?.(state, from);
        if (state === "live") this.#onLive();
        if (from === "live") this.#ping?.cancel();
      },
    });
  }

  /** Resolves once the server confirmed: what is published from now on is heard. Rejects when it cannot be reached. */
  async subscribe(options: SubscribeOptions): Promise<PubSubSubscription> {
    const subscription = this.open(options);
    try {
      await subscription.ready;
    } catch (error) {
      subscription.close();
      throw error;
    }
    return subscription;
  }

  /**
   * As `subscribe`, at once. `ready` tells when the server confirmed; when it rejects the subscription still stands and is
   * made with the next connection (then `onGap` is called).
   */
  open(options: SubscribeOptions): PubSubSubscription & { readonly ready: Promise<void> } {
    const map = options.pattern ? this.#patterns : this.#channels;
    let entry = map.get(options.channel);
    if (entry === undefined) {
      entry = {
        channel: options.channel,
        pattern: options.pattern ?? false,
        listeners: new Set(),
        ready: Promise.resolve(),
        missed: false,
      };
      map.set(options.channel, entry);
      this.#joining.push(entry);
      const made = entry;
      entry.ready = this.#scheduleFlush();
      entry.ready.catch(() => {
        made.missed = true;
      });
    }
    const kept = entry;
    kept.listeners.add(options);
    return {
      ready: kept.ready,
      close: () => {
        if (!kept.listeners.delete(options) || kept.listeners.size > 0) return;
        if (map.get(kept.channel) !== kept) return;
        map.delete(kept.channel);
        this.#leaving.push(kept);
        void this.#scheduleFlush().catch(() => {});
      },
    };
  }

  /** Number of channels and patterns that are wanted. */
  get size(): number {
    return this.#channels.size + this.#patterns.size;
  }

  stop(): void {
    this.#ping?.cancel();
    this.#channels.clear();
    this.#patterns.clear();
    this.#session.stop();
  }

  #scheduleFlush(): Promise<void> {
    this.#flush ??= Promise.resolve().then(() => {
      this.#flush = null;
      return this.#send();
    });
    return this.#flush;
  }

  async #send(): Promise<void> {
    if (this.#session.state !== "live") {
      // Nothing to leave on a connection that is not there; what is wanted is subscribed by `#resubscribe`.
      if (this.#joining.length === 0 && this.#session.state !== "reclaiming") {
        this.#leaving = [];
        return;
      }
      await this.#session.live(null);
      if (this.#joining.length === 0 && this.#leaving.length === 0) return;
    }
    const joining = this.#joining.filter((entry) => this.#wanted(entry));
    const leaving = this.#leaving.filter((entry) => !this.#mapOf(entry).has(entry.channel));
    this.#joining = [];
    this.#leaving = [];
    const calls: Promise<unknown>[] = [];
    const call = (name: string, entries: readonly Entry[]): void => {
      if (entries.length === 0) return;
      calls.push(
        this.#session.command(
          name,
          entries.map((entry) => entry.channel),
        ),
      );
    };
    call(
      "unsubscribe",
      leaving.filter((entry) => !entry.pattern),
    );
    call(
      "punsubscribe",
      leaving.filter((entry) => entry.pattern),
    );
    call(
      "subscribe",
      joining.filter((entry) => !entry.pattern),
    );
    call(
      "psubscribe",
      joining.filter((entry) => entry.pattern),
    );
    await Promise.all(calls);
  }

  #mapOf(entry: Entry): Map<string, Entry> {
    return entry.pattern ? this.#patterns : this.#channels;
  }

  #wanted(entry: Entry): boolean {
    return this.#mapOf(entry).get(entry.channel) === entry;
  }

  async #resubscribe(connection: RedisConnection): Promise<void> {
    connection.onMessage = (channel, payload, pattern) => this.#deliver(channel, payload, pattern);
    this.#joining = [];
    this.#leaving = [];
    const calls: Promise<unknown>[] = [];
    if (this.#channels.size > 0) calls.push(connection.command("subscribe", [...this.#channels.keys()]));
    if (this.#patterns.size > 0) calls.push(connection.command("psubscribe", [...this.#patterns.keys()]));
    await Promise.all(calls);
  }

  #deliver(channel: string, payload: string, pattern: string | null): void {
    const entry = pattern === null ? this.#channels.get(channel) : this.#patterns.get(pattern);
    if (entry === undefined) return;
    for (const one of entry.listeners) one.listener(payload, channel);
  }

  #onLive(): void {
    this.#armPing();
    const again = this.#wasLive;
    this.#wasLive = true;
    for (const map of [this.#channels, this.#patterns]) {
      for (const entry of map.values()) {
        if (!again && !entry.missed) continue;
        entry.missed = false;
        for (const one of entry.listeners) one.onGap?.();
      }
    }
  }

  #armPing(): void {
    this.#ping?.cancel();
    this.#ping = this.#options.clock.setTimer(
      PING_MS,
      () => {
        // The deadline of the command is what finds a dead peer.
        this.#session.command("ping", []).then(
          () => this.#armPing(),
          () => {},
        );
      },
      { unref: true },
    );
  }
}
