/**
 * A consumer: fetches ahead of the worker, settles, keeps leases, reclaims after a reconnect.
 *
 * | state      | enter                          | leaves to |
 * |------------|--------------------------------|-----------|
 * | connecting | made before the first connection | reclaiming, closed |
 * | reclaiming | new connection: leases are renewed, calls without an answer sent again | live, waiting, closed |
 * | live       | fetching, settling             | waiting, closed |
 * | waiting    | connection lost                | reclaiming, closed |
 * | closed     | `close`                        | – |
 *
 * All that one event-loop turn asks for leaves in one write: FETCH first, so that Redis works on the next messages while the
 * results of the last ones are on their way.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { decodeEnvelope } from "../../protocol/envelope.ts";
import type { Limits, WireMessage } from "../../protocol/wire.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import type { ConnectionState } from "../../redis/connection-states.ts";
import type { RedisError } from "../../redis/errors.ts";
import type { RedisSession, SessionOptions } from "../../redis/session.ts";
import {
  type ConsumeOptions,
  type Consumer,
  type ConsumerState,
  type Delivery,
  type Settlement,
  type StoreLocation,
  sameStore,
} from "../transport.ts";
import { CallQueue } from "./calls.ts";
import { type Fetched, Fetcher } from "./fetcher.ts";
import { Holds, RedisDelivery } from "./holds.ts";
import type { RedisKeys } from "./keys.ts";
import { LeaseKeeper } from "./lease.ts";
import type { RedisTransportSettings } from "./options.ts";
import { ParkingLot } from "./park.ts";
import { BEAT } from "./scripts/lease.lua.ts";
import { type Answer, Settler } from "./settle.ts";
import { Sweeper } from "./sweeper.ts";
import { newestFirst, newNode, nodePrefix } from "./tags.ts";
import { Wake } from "./wake.ts";

/** What a consumer needs of its transport. */
export interface ConsumerContext {
  readonly session: RedisSession;
  /** For further connections of the same server. */
  readonly connect: SessionOptions;
  readonly settings: RedisTransportSettings;
  readonly keys: RedisKeys;
  readonly location: () => StoreLocation;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly defaultQueue: string;
  readonly random: () => number;
  readonly onClosed: (consumer: RedisConsumer) => void;
}

/** Calls in flight at most. */
const FETCHES_AT_MOST = 3;
/** A full FETCH this often, whatever wake-up says: it also releases parked messages. */
const FULL_FETCH_MS = 5000;
/** Tags of one BEAT. */
const TAGS_PER_BEAT = 1000;
/** `unacked_started` outlives the last start by this, seconds. */
const STARTED_TTL_S = 7 * 86_400;

export class RedisConsumer implements Consumer {
  readonly node: string = newNode();
  readonly sweeper: Sweeper;
  readonly wake: Wake;
  readonly leases: LeaseKeeper;
  readonly #context: ConsumerContext;
  readonly #options: ConsumeOptions;
  readonly #holds = new Holds();
  readonly #calls: CallQueue;
  readonly #fetcher: Fetcher;
  readonly #settler: Settler;
  readonly #lot: ParkingLot;
  #state: ConsumerState = "connecting";
  #prefetch: number;
  #paused = false;
  /** Every list was found empty by the last reply, and nobody has said otherwise since. */
  #drained = false;
  /** Lists that wake-up named; null: any. */
  #named: readonly string[] | null = null;
  #turn: NodeJS.Immediate | null = null;
  #full: Timer | null = null;
  /** Loser's delay: grows while others are faster. */
  #spreadMs = 0;
  #spread: Timer | null = null;
  #closing: Promise<void> | null = null;
  /** Of `pause`. */
  #quiet: (() => void)[] = [];
  /** Brought by calls that were answered after `pause` had resolved; handed over by `resume`. */
  #late: RedisDelivery[] = [];
  /** The location of writes that was found to be ours; compared by identity on the path of every task. */
  #checked: StoreLocation | null = null;
  /** Redis refuses for good; nothing is fetched until `resume`. */
  #failed = false;

  constructor(context: ConsumerContext, options: ConsumeOptions) {
    this.#context = context;
    this.#options = options;
    this.#prefetch = options.prefetch;
    const { session, settings, keys, clock, logger, limits, defaultQueue, random } = context;
    const { node } = this;
    const holds = this.#holds;
    const usable = (): RedisConnection | null => (session.state === "live" ? session.connection : null);
    this.#calls = new CallQueue({
      clock,
      connection: usable,
      onTrouble: (error, name) =>
        logger.warn({ err: error, call: name }, "Redis refuses for now, it is tried again"),
    });
    const calls = this.#calls;
    const onRefused = (error: RedisError): void => this.#refused(error);
    this.#lot = new ParkingLot({
      settings,
      clock,
      holds,
      node,
      random,
      onDue: (deliveries) => this.#hand(deliveries),
      onRelease: () => this.#fetchAll(),
    });
    this.#settler = new Settler({
      keys,
      settings,
      holds,
      calls,
      db: () => session.facts?.db ?? 0,
      serverNowMs: () => this.#lot.serverNowMs(),
      onRefused,
    });
    this.#fetcher = new Fetcher({
      settings,
      keys,
      node,
      holds,
      calls,
      limits,
      logger,
      defaultQueue,
      mayTake: () => !this.#paused,
      onFetched: (fetched) => this.#fetched(fetched),
      onRefused,
    });
    this.#fetcher.setQueues(options.queues);
    this.leases = new LeaseKeeper({
      address: context.connect.address,
      settings,
      clock,
      logger,
      table: holds.table,
      keys: [keys.index, keys.lease],
      nodePrefix: nodePrefix(node),
      onGone: (tags) => this.#verify(new Set(tags)),
      beatHere: () => this.#verify(null),
    });
    this.sweeper = new Sweeper({
      session,
      settings,
      keys,
      clock,
      logger,
      limits,
      defaultQueue,
      random,
      node,
      onDead: (dead) => this.#tell(() => this.#options.onDead(dead)),
    });
    this.wake = new Wake({
      settings,
      clock,
      logger,
      session: context.connect,
      data: session,
      probeKey: keys.probe(node),
      random,
      onWake: (lists) => this.#woken(lists),
    });
    if (session.state === "live") {
      queueMicrotask(() => {
        if (this.#state === "connecting") this.sessionState("live");
      });
    }
  }

  get state(): ConsumerState {
    return this.#state;
  }

  /** The session's state changed. Called by the transport. */
  sessionState(state: ConnectionState): void {
    if (this.#state === "closed") return;
    if (state === "live") {
      this.#setState("live");
      this.sweeper.connected();
      this.#armFull();
      this.#drained = false;
      this.#schedule();
    } else if (state === "reclaiming") this.#setState("reclaiming");
    else if (this.#state === "live" || this.#state === "reclaiming") {
      this.wake.disarm();
      this.#setState("waiting");
    }
  }

  /** On every new connection, before others use it: renews what is held, then sends again what has no answer. */
  async reclaim(connection: RedisConnection): Promise<void> {
    if (this.#state === "closed") return;
    const held = [...this.#holds.held, ...this.#holds.waiting];
    if (held.length > 0) this.#lost(await this.#beat(connection, held));
    this.#calls.resend(connection);
  }

  setPrefetch(limit: number): void {
    this.#prefetch = limit;
    this.#schedule();
  }

  setQueues(queues: readonly string[]): void {
    this.#fetcher.setQueues(queues);
    this.#drained = false;
    this.#named = null;
    this.#schedule();
  }

  settle(delivery: Delivery, as: Settlement): Promise<Answer> {
    if (!(delivery instanceof RedisDelivery) || this.#state === "closed") return GONE;
    if (as.kind === "ack-with-result" && as.write.location !== this.#checked) {
      if (!sameStore(as.write.location, this.#context.location())) return Promise.reject(elsewhere());
      this.#checked = as.write.location;
    }
    const { state } = delivery;
    if (as.kind === "park" && state === "held" && this.#lot.keep(delivery, as.untilMs)) {
      this.#schedule();
      return DONE;
    }
    if (!this.#holds.leave(delivery, "leaving")) {
      // The task did run: its result counts, though the message is somebody else's now.
      if (state !== "lost" || as.kind !== "ack-with-result") return GONE;
    }
    this.#schedule();
    return new Promise((resolve) => {
      if (as.kind === "requeue") this.#settler.move(delivery, as, resolve);
      else if (as.kind === "dead") this.#settler.move(delivery, { ...as, list: null }, resolve);
      else this.#settler.add(delivery, as, resolve);
      if (as.kind === "park") this.#lot.parked(as.untilMs);
    });
  }

  markStarted(delivery: Delivery): Promise<void> {
    if (!(delivery instanceof RedisDelivery) || delivery.state !== "held") return Promise.resolve();
    delivery.started = true;
    const { started } = this.#context.keys;
    return new Promise((resolve) => {
      this.#calls.issue({
        name: "mark started",
        send: (connection) =>
          connection.pipeline([
            ["sadd", started, delivery.brokerTag],
            ["expire", started, STARTED_TTL_S],
          ]),
        onReply: () => resolve(),
        onError: (error) => {
          this.#refused(error);
          resolve();
        },
      });
    });
  }

  pause(): Promise<void> {
    this.#paused = true;
    this.#lot.setPaused(true);
    this.wake.disarm();
    if (this.#fetcher.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      // Without a connection there may never be an answer; what the calls took is then put back by the leases' end.
      const timer = this.#context.clock.setTimer(this.#context.settings.commandDeadlineMs, resolve);
      this.#quiet.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  resume(): void {
    if (this.#closing !== null) return;
    this.#paused = false;
    this.#failed = false;
    this.#lot.setPaused(false);
    this.#drained = false;
    const late = this.#late.filter((one) => one.state === "held");
    this.#late = [];
    if (late.length > 0) this.#hand(late);
    this.#schedule();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { clock, settings } = this.#context;
    await this.pause();
    this.#runTurn();
    this.#returnAll();
    this.#settler.flush();
    if (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(settings.commandDeadlineMs, resolve);
        void this.#calls.settled().then(() => {
          timer.cancel();
          resolve();
        });
      });
    }
    this.#end();
    await this.leases.stop();
  }

  /** Everything unsettled goes back: what waits for its time into the broker's park, the rest to the front of its queue. */
  #returnAll(): void {
    for (const { delivery, untilMs } of this.#lot.drain()) {
      if (this.#holds.leave(delivery, "leaving"))
        this.#settler.add(delivery, { kind: "park", untilMs }, ignore);
    }
    const held = [...this.#holds.held].map((delivery) => ({ delivery, tag: delivery.brokerTag, score: 0 }));
    for (const { delivery } of newestFirst(held)) {
      if (this.#holds.leave(delivery, "leaving")) this.#settler.move(delivery, { kind: "return" }, ignore);
    }
  }

  #end(): void {
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
    this.#full?.cancel();
    this.#spread?.cancel();
    this.#calls.stop();
    this.#lot.stop();
    this.sweeper.stop();
    this.wake.stop();
    this.#setState("closed");
    this.#context.onClosed(this);
  }

  #setState(state: ConsumerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#tell(() => this.#options.onState(state));
  }

  /** Calls a handler of the worker: its errors are its own. */
  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#context.logger.error({ err: error }, "a handler of the consumer failed");
    }
  }

  #schedule(): void {
    this.#turn ??= setImmediate(() => this.#runTurn());
  }

  #runTurn(): void {
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
    if (this.#state === "closed") return;
    this.#holds.table.progress();
    const { connection } = this.#context.session;
    connection?.cork();
    this.#pump();
    this.#settler.flush();
    connection?.uncork();
  }

  /** Asks for as much as fits: one small call when nothing is on its way, further ones only when they are worth it. */
  #pump(): void {
    if (!this.#mayFetch()) return;
    const batch = this.#context.settings.fetchBatch;
    while (!this.#drained) {
      const free = this.#prefetch - this.#holds.held.size - this.#fetcher.requested;
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

  #mayFetch(): boolean {
    return (
      this.#state === "live" &&
      !this.#paused &&
      !this.#failed &&
      !this.#calls.refused &&
      this.#fetcher.queues.length > 0
    );
  }

  #fetched(fetched: Fetched): void {
    if (this.#state === "closed") return;
    this.#lot.setServerTime(fetched.serverTimeMs);
    this.#lot.learn(fetched.parked);
    const got = fetched.deliveries.length + fetched.dead.length + fetched.broken.length;
    this.#spreadMs =
      got > 0 ? 0 : Math.min(this.#context.settings.wakeSpreadMs, Math.max(1, 2 * this.#spreadMs));
    this.#drained = fetched.drained;
    for (const { delivery, reason, raw } of fetched.broken) this.#bury(delivery, reason, raw);
    for (const dead of fetched.dead) {
      this.#tell(() => this.#options.onDead({ ...dead, message: this.#decode(dead.raw) }));
    }
    if (fetched.deliveries.length > 0) {
      if (this.#paused && this.#quiet.length === 0) this.#late.push(...fetched.deliveries);
      else this.#hand(fetched.deliveries);
    }
    if (this.#fetcher.inFlight === 0) {
      if (this.#paused) this.#tellQuiet();
      else if (this.#drained && this.#mayFetch()) this.wake.arm(this.#fetcher.lists);
    }
    if (!this.#drained || this.#settler.pending) this.#schedule();
  }

  #hand(deliveries: readonly RedisDelivery[]): void {
    this.leases.start();
    this.#tell(() => this.#options.onBatch(deliveries));
  }

  /** Only we could see that it is no message: it goes where FETCH puts its like. */
  #bury(delivery: RedisDelivery, reason: string, raw: string): void {
    if (!this.#holds.leave(delivery, "leaving")) return;
    this.#settler.move(delivery, { kind: "dead", reason, list: this.#context.defaultQueue }, ignore);
    this.#schedule();
    this.#tell(() => this.#options.onDead({ queue: delivery.queue, reason, raw, message: null }));
  }

  /** What can be read of a bad message, so that a failure can be stored under its id. */
  #decode(raw: string): WireMessage | null {
    try {
      return decodeEnvelope(raw, this.#context.limits);
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
    if (this.#state !== "live" || this.#paused) return;
    if (this.#spreadMs > 0 && this.#spread === null) {
      // Others were faster the last times: let them.
      this.#spread = this.#context.clock.setTimer(this.#spreadMs * this.#context.random(), () => {
        this.#spread = null;
        this.#goOn(lists);
      });
    } else if (this.#spread === null) this.#goOn(lists);
  }

  #goOn(lists: readonly string[] | null): void {
    this.#drained = false;
    this.#named = lists;
    this.#schedule();
  }

  #armFull(): void {
    this.#full?.cancel();
    this.#full = this.#context.clock.setTimer(
      FULL_FETCH_MS,
      () => {
        this.#armFull();
        this.#fetchAll();
      },
      { unref: true },
    );
  }

  /** Looks at every list, and releases what is due even when nothing fits. */
  #fetchAll(): void {
    if (!this.#mayFetch() || this.#fetcher.inFlight > 0) return;
    const free = this.#prefetch - this.#holds.held.size;
    this.#fetcher.fetch(Math.max(0, Math.min(free, this.#context.settings.fetchBatch)));
  }

  /** Asks on the data connection whether holds are gone; `tags` null: renews all. */
  #verify(tags: ReadonlySet<string> | null): void {
    const { connection, state } = this.#context.session;
    if (connection === null || state !== "live") return;
    const all = [...this.#holds.held, ...this.#holds.waiting, ...this.#holds.leaving];
    const asked = tags === null ? all : all.filter((one) => tags.has(one.brokerTag));
    if (asked.length === 0) return;
    this.#beat(connection, asked).then(
      (gone) => this.#lost(gone),
      (error: unknown) => this.#context.logger.debug({ err: error }, "leases could not be renewed"),
    );
  }

  /** Renews; answers those that are gone. */
  async #beat(connection: RedisConnection, deliveries: readonly RedisDelivery[]): Promise<RedisDelivery[]> {
    const { keys, settings } = this.#context;
    const gone: RedisDelivery[] = [];
    for (let from = 0; from < deliveries.length; from += TAGS_PER_BEAT) {
      const part = deliveries.slice(from, from + TAGS_PER_BEAT);
      const reply = await connection.script(BEAT, {
        keys: [keys.index, keys.lease],
        args: [settings.leaseMs / 1000, ...part.map((one) => one.brokerTag)],
      });
      for (const position of reply as number[]) {
        const delivery = part[position];
        if (delivery !== undefined) gone.push(delivery);
      }
    }
    return gone;
  }

  #lost(gone: readonly RedisDelivery[]): void {
    // What was settled meanwhile is gone for a good reason.
    const lost = gone.filter((one) => one.state === "held");
    for (const delivery of gone) this.#holds.lose(delivery);
    if (lost.length === 0) return;
    this.#context.logger.warn({ count: lost.length }, "leases lost: others may run these messages");
    this.#tell(() => this.#options.onLost(lost));
    this.#schedule();
  }

  #refused(error: RedisError): void {
    this.#failed = true;
    if (this.#paused && this.#fetcher.inFlight === 0) this.#tellQuiet();
    this.#context.logger.error({ err: error }, "Redis refuses to serve this consumer");
    this.#tell(() => this.#options.onFatal?.(error));
  }
}

const DONE: Promise<Answer> = Promise.resolve("done");
const GONE: Promise<Answer> = Promise.resolve("gone");
const ignore = (): void => {};

function elsewhere(): Error {
  return new TypeError("ack-with-result needs a result of the same Redis server: store it first, then ack");
}
