/**
 * Decides when to fetch and how much, and hands over what came. One small call when nothing is on its way, further ones only
 * when they are worth it; idle when the lists were found empty, until wake-up, a timer or a parked message says otherwise.
 */
import type { Timer } from "../../base/clock.ts";
import { decodeEnvelope } from "../../protocol/envelope.ts";
import type { WireMessage } from "../../protocol/wire.ts";
import type { RedisError } from "../../redis/errors.ts";
import type { ConsumeOptions } from "../transport.ts";
import type { CallQueue } from "./calls.ts";
import type { ConsumerContext } from "./consumer.ts";
import { type FetchCall, type Fetched, Fetcher } from "./fetcher.ts";
import type { Holds, RedisDelivery } from "./holds.ts";
import { ParkingLot } from "./park.ts";
import { Wake } from "./wake.ts";

export interface IntakeOptions {
  readonly context: ConsumerContext;
  readonly consume: ConsumeOptions;
  readonly node: string;
  readonly holds: Holds;
  readonly calls: CallQueue;
  /** Calls a handler of the worker. */
  readonly tell: (call: () => void) => void;
  /** A turn of the consumer is wanted. */
  readonly schedule: () => void;
  /** Asks for more and sends what was settled, now. */
  readonly turn: () => void;
  readonly onFirst: () => void;
  readonly onRefused: (error: RedisError) => void;
  /** Only we could see that it is no message: puts it on the dead list, and then calls `told`. */
  readonly onBroken: (delivery: RedisDelivery, reason: string, told: () => void) => void;
}

/** Calls in flight at most. */
const FETCHES_AT_MOST = 3;
/** The worker gets messages one by one for so long; the rest of a batch then comes at once. */
const HAND_MS = 10;
/** A full FETCH this often, whatever wake-up says: it also releases parked messages. */
const FULL_FETCH_MS = 5000;

export class Intake {
  readonly lot: ParkingLot;
  readonly wake: Wake;
  /** When a call was last answered, monotonic ms. */
  fetchedMs: number | null = null;
  readonly #options: IntakeOptions;
  readonly #fetcher: Fetcher;
  #prefetch: number;
  #live = false;
  #paused = false;
  /** Redis refuses for good; nothing is fetched until `resume`. */
  #failed = false;
  /** Every list was found empty by the last reply, and nobody has said otherwise since. */
  #drained = false;
  /** A message was said to be there since the last reply: finding none means that others were faster. */
  #woke = false;
  /** Lists that wake-up named; null: any. */
  #named: readonly string[] | null = null;
  #full: Timer | null = null;
  /** Loser's delay: grows while others are faster. */
  #spreadMs = 0;
  #spread: Timer | null = null;
  /** Of `pause`. */
  #quiet: (() => void)[] = [];
  /** Brought by calls that were answered after `pause` had resolved; handed over by `resume`. */
  #late: RedisDelivery[] = [];

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#prefetch = options.consume.prefetch;
    const { context, node, holds, calls } = options;
    const { settings, keys, clock, logger, random, session, connect } = context;
    this.lot = new ParkingLot({
      settings,
      clock,
      holds,
      node,
      random,
      onDue: (deliveries) => this.#hand(deliveries),
      onRelease: () => this.#fetchAll(),
    });
    this.#fetcher = new Fetcher({
      settings,
      keys,
      node,
      holds,
      calls,
      limits: context.limits,
      defaultQueue: context.defaultQueue,
      mayTake: () => !this.#paused,
      onFetched: (fetched) => this.#fetched(fetched),
      onRefused: (error) => this.#refused(error),
    });
    this.#fetcher.setQueues(options.consume.queues);
    this.wake = new Wake({
      settings,
      clock,
      logger,
      session: connect,
      data: session,
      probeKey: keys.probe(node),
      random,
      onWake: (lists) => this.#woken(lists),
      prepare: () => this.#prepare(),
      learn: (call) => this.#fetcher.learn(call),
    });
  }

  /** The connection stands. */
  connected(): void {
    this.#live = true;
    this.#armFull();
    this.#look();
  }

  disconnected(): void {
    this.#live = false;
    this.wake.disarm();
    this.wake.cancel();
  }

  setPrefetch(limit: number): void {
    if (limit < this.#prefetch) this.wake.hurry();
    this.#prefetch = limit;
    this.#options.schedule();
  }

  setQueues(queues: readonly string[]): void {
    this.#fetcher.setQueues(queues);
    this.#named = null;
    this.wake.hurry();
    this.#look();
  }

  /** Resolves when no call is in flight. */
  pause(): Promise<void> {
    const { clock, settings } = this.#options.context;
    this.#paused = true;
    this.lot.setPaused(true);
    this.wake.disarm();
    this.wake.hurry();
    if (this.#fetcher.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      // Without a connection there may never be an answer; what the calls took is then put back when its lease ends.
      const timer = clock.setTimer(settings.commandDeadlineMs, resolve);
      this.#quiet.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  resume(): void {
    this.#paused = false;
    this.#failed = false;
    this.lot.setPaused(false);
    const late = this.#late.filter((one) => one.state === "held");
    this.#late = [];
    if (late.length > 0) this.#hand(late);
    this.#look();
  }

  stop(): void {
    this.#live = false;
    this.#full?.cancel();
    this.#spread?.cancel();
    this.lot.stop();
    this.wake.stop();
  }

  /** Redis refuses for good. */
  fail(): void {
    this.#failed = true;
    if (this.#fetcher.inFlight === 0) this.#tellQuiet();
  }

  /** Asks for as much as fits. */
  pump(): void {
    if (!this.#mayFetch()) return;
    if (this.wake.fetches) {
      if (!this.#drained) this.wake.hurry();
      return;
    }
    const batch = this.#batch;
    while (!this.#drained) {
      const free = this.#prefetch - this.#options.holds.held.size - this.#fetcher.requested;
      const { inFlight } = this.#fetcher;
      if (free <= 0 || inFlight >= FETCHES_AT_MOST) return;
      const n = Math.min(free, batch);
      if (inFlight > 0 && n < Math.min(batch, Math.max(1, this.#prefetch >> 2))) return;
      const named = this.#named;
      this.#named = null;
      this.#fetcher.fetch(n, named);
      // Of named lists one call tells enough.
      if (named !== null) return;
    }
  }

  /** Two calls share a small prefetch: while the messages of one run, the other is on its way. */
  get #batch(): number {
    return Math.max(1, Math.min(this.#options.context.settings.fetchBatch, (this.#prefetch + 1) >> 1));
  }

  /** The call that waits in the server while there is nothing; not for one that others were faster than. */
  #prepare(): FetchCall | null {
    if (!this.#mayFetch() || this.#fetcher.inFlight > 0 || this.#spreadMs > 0) return null;
    const free = this.#prefetch - this.#options.holds.held.size;
    return free <= 0 ? null : this.#fetcher.prepare(Math.min(free, this.#batch));
  }

  #mayFetch(): boolean {
    return (
      this.#live &&
      !this.#paused &&
      !this.#failed &&
      !this.#options.calls.refused &&
      this.#fetcher.queues.length > 0
    );
  }

  #look(): void {
    this.#drained = false;
    this.#options.schedule();
  }

  #refused(error: RedisError): void {
    this.fail();
    this.#options.onRefused(error);
  }

  #fetched(fetched: Fetched): void {
    const { tell, consume, context } = this.#options;
    this.fetchedMs = context.clock.monotonic();
    this.lot.setServerTime(fetched.serverTimeMs);
    this.lot.learn(fetched.parked);
    const got = fetched.deliveries.length + fetched.dead.length;
    if (got > 0) this.#spreadMs = 0;
    else if (this.#woke || fetched.tooLate) {
      this.#spreadMs = Math.min(context.settings.wakeSpreadMs, Math.max(1, 2 * this.#spreadMs));
    }
    this.#woke = false;
    this.#drained = fetched.drained;
    for (const dead of fetched.dead) {
      tell(() => consume.onDead({ ...dead, message: this.#decode(dead.raw) }));
    }
    if (fetched.deliveries.length > 0) {
      if (this.#paused && this.#quiet.length === 0) this.#late.push(...fetched.deliveries);
      else {
        // The next call is on its way while these run, and what they settled leaves before the next batch runs: replies that
        // come together would otherwise keep Redis and this process waiting for each other in turn.
        this.pump();
        this.#hand(fetched.deliveries);
        this.#options.turn();
      }
    }
    if (this.#fetcher.inFlight === 0) {
      if (this.#paused) this.#tellQuiet();
      else if (this.#drained && this.#mayFetch()) this.wake.arm(this.#fetcher.lists);
    }
    if (!this.#drained) this.#options.schedule();
  }

  /**
   * One by one: what a message is made into is garbage before the next is read, while a batch that is read as a whole is
   * copied by the garbage collector again and again. When the worker took its time with them the rest goes as one batch, so
   * that it can let others in.
   */
  #hand(deliveries: readonly RedisDelivery[]): void {
    const { context, consume, tell, onFirst } = this.#options;
    onFirst();
    const untilMs = context.clock.monotonic() + HAND_MS;
    for (let at = 0; at < deliveries.length; at++) {
      const delivery = deliveries[at];
      if (delivery === undefined || !this.#read(delivery)) continue;
      if (context.clock.monotonic() < untilMs) {
        tell(() => consume.onBatch([delivery]));
        continue;
      }
      const rest = [delivery, ...deliveries.slice(at + 1).filter((one) => this.#read(one))];
      tell(() => consume.onBatch(rest));
      return;
    }
  }

  /** False: nothing that can be handed over; it goes to the dead list. */
  #read(delivery: RedisDelivery): boolean {
    const { context, consume, tell, onBroken } = this.#options;
    const { queue, raw } = delivery;
    try {
      delivery.read(context.limits);
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      onBroken(delivery, reason, () =>
        tell(() => consume.onDead({ queue, reason, raw: raw ?? "", message: null })),
      );
      return false;
    }
  }

  /** What can be read of a bad message, so that a failure can be stored under its id. */
  #decode(raw: string): WireMessage | null {
    try {
      return decodeEnvelope(raw, this.#options.context.limits);
    } catch {
      return null;
    }
  }

  #tellQuiet(): void {
    const quiet = this.#quiet;
    this.#quiet = [];
    for (const resolve of quiet) resolve();
  }

  #woken(lists: readonly string[] | null): void {
    if (!this.#live || this.#paused || this.#spread !== null) return;
    const goOn = (): void => {
      this.#named = lists;
      this.#woke = true;
      this.#look();
    };
    if (this.#spreadMs === 0) {
      goOn();
      return;
    }
    // Others were faster the last times: let them.
    const { clock, random } = this.#options.context;
    this.#spread = clock.setTimer(this.#spreadMs * random(), () => {
      this.#spread = null;
      goOn();
    });
  }

  #armFull(): void {
    this.#full?.cancel();
    this.#full = this.#options.context.clock.setTimer(
      FULL_FETCH_MS,
      () => {
        this.#armFull();
        // One that waits in the server ends more often than this.
        if (!this.wake.fetches) this.#fetchAll();
      },
      { unref: true },
    );
  }

  /** Looks at every list, and releases what is due even when nothing fits. */
  #fetchAll(): void {
    this.wake.hurry();
    if (!this.#mayFetch() || this.#fetcher.inFlight > 0) return;
    const free = this.#prefetch - this.#options.holds.held.size;
    this.#fetcher.fetch(Math.max(0, Math.min(free, this.#options.context.settings.fetchBatch)));
  }
}
