/**
 * Waiting for results. PostgreSQL tells whose state was stored; elsewhere, and while that connection is away, the rows are
 * looked at: soon after a wait begins, and then ever less often.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import type { SqlDatabase } from "../../sql/index.ts";
import { Notifications } from "../../sql/notifications.ts";
import { Listeners } from "../listeners.ts";
import { columnId, type ReadRow } from "./rows.ts";
import { CHANNEL } from "./statements.ts";

/** Where nobody tells: the first look, and the longest pause between two. Python's `subpolling_interval`. */
const FIRST_MS = 20;
const LAST_MS = 500;
const GROWTH = 1.5;
/** Where PostgreSQL tells: Python's workers do not. */
const TOLD_MS = 1000;
/** Rows of one look, and the ids in a millisecond that make looks rarer. */
const LOOK_COUNT = 5000;
const IDS_PER_MS = 100;

type OnMeta = (meta: ResultMeta) => void;

interface Watched {
  readonly id: string;
  readonly listeners: Listeners;
  readonly ready: Promise<void>;
  readonly end: () => void;
  delayMs: number;
  /** Monotonic ms. */
  dueMs: number;
  /** What was handed on last. */
  last: ReadRow | null;
}

export interface WatchesOptions {
  readonly database: SqlDatabase;
  readonly read: (ids: readonly string[]) => Promise<ReadonlyMap<string, ReadRow>>;
  /** @throws BackendError */
  readonly decode: (row: ReadRow, id: string) => ResultMeta;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Watches {
  readonly #options: WatchesOptions;
  /** By the id that the table has; in the order of the last look, oldest first, so that a look takes the longest unseen. */
  readonly #watched = new Map<string, Watched>();
  readonly #notifications: Notifications | null;
  #listening = false;
  #timer: Timer | null = null;
  #timerAtMs = 0;
  /** To be read: told of in this turn, or while others were read; null: none. */
  #told: Set<Watched> | null = null;
  /** One read at a time: of two, the older state could arrive last. */
  #reading = false;
  #failing = false;
  #warned = false;

  constructor(options: WatchesOptions) {
    this.#options = options;
    const { database, clock } = options;
    this.#notifications =
      database.dialect === "postgresql"
        ? new Notifications({
            database,
            channel: CHANNEL,
            clock,
            onPayload: (id) => this.#hear(id),
            onLive: () => this.#onLive(),
            onDown: (error) => this.#onDown(error),
          })
        : null;
  }

  get size(): number {
    return this.#watched.size;
  }

  watch(id: string, onMeta: OnMeta): { readonly ready: Promise<void>; close(): void } {
    const watched = this.#watched.get(columnId(id)) ?? this.#open(id);
    const close = watched.listeners.add(onMeta, () => this.#close(watched));
    return { ready: watched.ready, close };
  }

  /** Ends all watchers of an id. */
  forget(id: string): void {
    const watched = this.#watched.get(columnId(id));
    if (watched !== undefined) this.#close(watched);
  }

  async stop(): Promise<void> {
    for (const watched of this.#watched.values()) this.#close(watched);
    await this.#notifications?.close();
  }

  #open(id: string): Watched {
    const { clock } = this.#options;
    let end = doNothing;
    const isTold = this.#notifications !== null;
    const ready =
      isTold && !this.#notifications.live
        ? new Promise<void>((resolve) => {
            end = resolve;
          })
        : Promise.resolve();
    const delayMs = this.#firstMs();
    const watched: Watched = {
      id,
      listeners: new Listeners(id, this.#options.logger),
      ready,
      end,
      delayMs,
      dueMs: clock.monotonic() + delayMs,
      last: null,
    };
    this.#watched.set(columnId(id), watched);
    if (isTold && !this.#listening) {
      this.#listening = true;
      this.#notifications.start();
    }
    this.#arm(watched.dueMs);
    return watched;
  }

  #close(watched: Watched): void {
    watched.listeners.clear();
    const id = columnId(watched.id);
    if (this.#watched.get(id) === watched) this.#watched.delete(id);
    watched.end();
    if (this.#watched.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #firstMs(): number {
    return this.#notifications?.live ? TOLD_MS : FIRST_MS;
  }

  // ---- told

  #onLive(): void {
    for (const watched of this.#watched.values()) {
      watched.end();
      this.#hearOf(watched);
    }
  }

  /** Looks serve until it is back; who waits for its first connection does not wait longer. */
  #onDown(error: unknown): void {
    if (!this.#warned)
      this.#options.logger.warn({ err: error }, "results cannot be listened for, they are polled for");
    this.#warned = true;
    const now = this.#options.clock.monotonic();
    for (const watched of this.#watched.values()) {
      watched.end();
      watched.delayMs = FIRST_MS;
      watched.dueMs = Math.min(watched.dueMs, now + FIRST_MS);
    }
    this.#arm(now + FIRST_MS);
  }

  #hear(id: string): void {
    const watched = this.#watched.get(id);
    if (watched !== undefined) this.#hearOf(watched);
  }

  /** Reads it, together with all others that are told of in this turn. */
  #hearOf(watched: Watched): void {
    if (this.#told === null) {
      this.#told = new Set();
      setImmediate(() => void this.#readTold());
    }
    this.#told.add(watched);
  }

  /** While there is one that reads it takes these along. */
  async #readTold(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    while (this.#told !== null) {
      const told = [...this.#told];
      this.#told = null;
      await this.#read(told);
    }
    this.#reading = false;
  }

  // ---- looked for

  #arm(atMs: number): void {
    if (this.#watched.size === 0) return;
    const { clock } = this.#options;
    const earliest = clock.monotonic() + Math.min(LAST_MS, this.#watched.size / IDS_PER_MS);
    const dueMs = Math.max(atMs, earliest);
    if (this.#timer !== null) {
      if (this.#timerAtMs <= dueMs) return;
      this.#timer.cancel();
    }
    this.#timerAtMs = dueMs;
    this.#timer = clock.setTimer(dueMs - clock.monotonic(), () => void this.#look(), { unref: true });
  }

  async #look(): Promise<void> {
    this.#timer = null;
    const now = this.#options.clock.monotonic();
    const longest = this.#notifications?.live ? TOLD_MS : LAST_MS;
    const due: Watched[] = [];
    for (const [id, watched] of this.#watched) {
      if (due.length === LOOK_COUNT) break;
      if (watched.dueMs > now) continue;
      watched.delayMs = Math.min(longest, Math.max(this.#firstMs(), watched.delayMs * GROWTH));
      watched.dueMs = now + watched.delayMs;
      due.push(watched);
      // To the end of the order.
      this.#watched.delete(id);
      this.#watched.set(id, watched);
    }
    if (due.length > 0) {
      this.#told = new Set([...(this.#told ?? []), ...due]);
      await this.#readTold();
    }
    let nextMs = Number.POSITIVE_INFINITY;
    for (const watched of this.#watched.values()) nextMs = Math.min(nextMs, watched.dueMs);
    this.#arm(nextMs);
  }

  /** Never rejects: the next look reads again. */
  async #read(all: readonly Watched[]): Promise<void> {
    const open = all.filter((watched) => this.#watched.get(columnId(watched.id)) === watched);
    if (open.length === 0) return;
    try {
      const rows = await this.#options.read(open.map(({ id }) => columnId(id)));
      for (const watched of open) this.#tell(watched, rows.get(columnId(watched.id)) ?? null);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#options.logger.warn({ err: error }, "results cannot be read, trying again");
      this.#failing = true;
    }
  }

  #tell(watched: Watched, row: ReadRow | null): void {
    if (row === null || watched.listeners.size === 0 || isSame(watched.last, row)) return;
    watched.last = row;
    watched.listeners.tell(() => this.#options.decode(row, watched.id));
  }
}

function doNothing(): void {}

function isSame(last: ReadRow | null, row: ReadRow): boolean {
  return (
    last !== null &&
    last.status === row.status &&
    last.date_done === row.date_done &&
    last.result === row.result &&
    last.traceback === row.traceback &&
    last.meta === row.meta
  );
}
