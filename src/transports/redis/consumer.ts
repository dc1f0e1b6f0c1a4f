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
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Limits } from "../../protocol/wire.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import type { ConnectionState } from "../../redis/connection-states.ts";
import type { RedisError } from "../../redis/errors.ts";
import type { RedisSession, SessionOptions } from "../../redis/session.ts";
import {
  type Admission,
  type ConsumeOptions,
  type Consumer,
  type ConsumerState,
  type Delivery,
  type LimitClaim,
  type Settlement,
  type StoreLocation,
  sameStore,
} from "../transport.ts";
import { CallQueue } from "./calls.ts";
import { Holds, RedisDelivery } from "./holds.ts";
import { Intake } from "./intake.ts";
import type { RedisKeys } from "./keys.ts";
import { LeaseKeeper } from "./lease.ts";
import type { RedisLimits } from "./limits.ts";
import type { Answer } from "./moves.ts";
import type { RedisTransportSettings } from "./options.ts";
import { Renewal } from "./renewal.ts";
import { Settler } from "./settle.ts";
import { Sweeper } from "./sweeper.ts";
import { newestFirst, newNode, nodePrefix } from "./tags.ts";
import { Untold } from "./untold.ts";

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

/** `unacked_started` outlives the last start by this, seconds. */
const STARTED_TTL_S = 7 * 86_400;
const DONE: Promise<Answer> = Promise.resolve("done");
const GONE: Promise<Answer> = Promise.resolve("gone");
const ignore = (): void => {};

export class RedisConsumer implements Consumer {
  readonly node: string = newNode();
  readonly sweeper: Sweeper;
  readonly leases: LeaseKeeper;
  readonly intake: Intake;
  readonly #context: ConsumerContext;
  readonly #options: ConsumeOptions;
  readonly #holds = new Holds();
  readonly #calls: CallQueue;
  readonly #settler: Settler;
  readonly #renewal: Renewal;
  /** Settlements look for a slot. null: no task has asked for one, or it is being loaded. */
  #limits: RedisLimits | null = null;
  #loadingLimits: Promise<RedisLimits> | null = null;
  #state: ConsumerState = "connecting";
  #turn: NodeJS.Immediate | null = null;
  #closing: Promise<void> | null = null;
  /** The location of writes that was found to be ours; compared by identity on the path of every task. */
  #checked: StoreLocation | null = null;

  constructor(context: ConsumerContext, options: ConsumeOptions) {
    this.#context = context;
    this.#options = options;
    const { session, settings, keys, clock, logger } = context;
    const { node } = this;
    const holds = this.#holds;
    const onRefused = (error: RedisError): void => this.#refused(error);
    const tell = (call: () => void): void => this.#tell(call);
    const untold = new Untold({
      session,
      keys,
      clock,
      logger,
      limits: context.limits,
      leaseMs: settings.leaseMs,
      onDead: (dead) => options.onDead(dead),
    });
    this.#calls = new CallQueue({
      clock,
      connection: () => (session.state === "live" ? session.connection : null),
      onTrouble: (error, name) =>
        logger.warn({ err: error, call: name }, "Redis refuses for now, it is tried again"),
    });
    const calls = this.#calls;
    this.intake = new Intake({
      context,
      consume: options,
      node,
      holds,
      calls,
      tell,
      schedule: () => this.#schedule(),
      turn: () => this.#runTurn(),
      onFirst: () => this.leases.start(),
      onRefused,
      onBroken: (delivery, reason, told) => this.#bury(delivery, reason, told),
    });
    this.#settler = new Settler({
      keys,
      settings,
      holds,
      calls,
      db: () => session.facts?.db ?? 0,
      serverNowMs: () => this.intake.lot.serverNowMs(),
      onRefused,
      onParked: (untilMs) => this.intake.lot.parked(untilMs),
      untold,
    });
    this.#renewal = new Renewal({
      session,
      leaseMs: settings.leaseMs,
      keys,
      holds,
      logger,
      onLost: (deliveries) => {
        tell(() => options.onLost(deliveries));
        this.#schedule();
      },
    });
    this.leases = new LeaseKeeper({
      address: context.connect.address,
      settings,
      clock,
      logger,
      table: holds.table,
      idle: () => holds.held.size + holds.waiting.size + holds.leaving.size === 0,
      keys: [keys.index, keys.lease],
      nodePrefix: nodePrefix(node),
      onGone: (tags) => void this.#renewal.verify(new Set(tags)),
      beatHere: () => void this.#renewal.verify(null),
      onStall: () => void this.#afterStall(),
    });
    this.sweeper = new Sweeper({ ...context, node, untold });
    if (session.state === "live") {
      queueMicrotask(() => {
        if (this.#state === "connecting") this.sessionState("live");
      });
    }
  }

  get state(): ConsumerState {
    return this.#state;
  }

  get fetchedMs(): number | null {
    return this.intake.fetchedMs;
  }

  /** The session's state changed. Called by the transport. */
  sessionState(state: ConnectionState): void {
    if (this.#state === "closed") return;
    if (state === "live") {
      this.#setState("live");
      this.#settler.prepare(this.#context.session.connection);
      this.#calls.connected();
      this.sweeper.connected();
      this.intake.connected();
    } else if (state === "reclaiming") this.#setState("reclaiming");
    else if (this.#state === "live" || this.#state === "reclaiming") {
      this.intake.disconnected();
      this.#setState("waiting");
    }
  }

  /** On every new connection, before others use it: renews what is held, then sends again what has no answer. */
  async reclaim(connection: RedisConnection): Promise<void> {
    if (this.#state === "closed") return;
    await this.#renewal.reclaim(connection);
    this.#calls.resend(connection);
  }

  setPrefetch(limit: number): void {
    this.intake.setPrefetch(limit);
  }

  setQueues(queues: readonly string[]): void {
    this.intake.setQueues(queues);
  }

  settle(delivery: Delivery, as: Settlement): Promise<Answer> {
    if (!(delivery instanceof RedisDelivery) || this.#state === "closed") return GONE;
    if (as.kind === "ack-with-result" && as.write.location !== this.#checked) {
      if (!sameStore(as.write.location, this.#context.location())) return Promise.reject(elsewhere());
      this.#checked = as.write.location;
    }
    const answer = this.#limits === null ? null : this.#limits.settle(delivery, as);
    if (answer !== null) return answer;
    const { state } = delivery;
    if (as.kind === "park" && state === "held" && this.intake.lot.keep(delivery, as.untilMs)) {
      this.#schedule();
      return DONE;
    }
    if (!this.#holds.leave(delivery, "leaving")) {
      // The task did run: its result counts, though the message is somebody else's now.
      if (state !== "lost" || as.kind !== "ack-with-result") return GONE;
    }
    this.#schedule();
    return new Promise((resolve) => {
      if (as.kind === "dead") this.#settler.move(delivery, { ...as, list: null }, resolve);
      else if (as.kind === "requeue" || as.kind === "lost") this.#settler.move(delivery, as, resolve);
      else this.#settler.add(delivery, as.kind === "ack-early" ? { kind: "ack" } : as, resolve);
      if (as.kind === "park") this.intake.lot.parked(as.untilMs);
    });
  }

  flush(): void {
    if (this.#settler.pending) this.#runTurn();
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
        onDropped: resolve,
      });
    });
  }

  async admit(delivery: Delivery, claim: LimitClaim): Promise<Admission> {
    const limits = this.#limits ?? (await this.#loadLimits());
    if (!(delivery instanceof RedisDelivery) || delivery.state !== "held") return { kind: "gone" };
    return limits.admit(delivery, claim);
  }

  release(delivery: Delivery, claim: LimitClaim): void {
    if (delivery instanceof RedisDelivery) this.#limits?.release(delivery, claim);
  }

  watchLimits(): void {
    void this.#loadLimits().then((limits) => limits.watch());
  }

  #loadLimits(): Promise<RedisLimits> {
    const { session, settings, keys, clock, logger, random } = this.#context;
    this.#loadingLimits ??= import("./limits.ts").then((module) => {
      const limits = new module.RedisLimits({
        clock,
        logger,
        keys,
        holds: this.#holds,
        calls: this.#calls,
        leaseMs: settings.leaseMs,
        intervalMs: settings.sweepIntervalMs,
        random,
        db: () => session.facts?.db ?? 0,
        connection: () => (session.state === "live" ? session.connection : null),
        onParked: (untilMs) => this.intake.lot.parked(untilMs),
        onRoom: () => this.#schedule(),
        onRefused: (error) => this.#refused(error),
      });
      if (this.#state === "closed") limits.stop();
      this.#limits = limits;
      return limits;
    });
    return this.#loadingLimits;
  }

  pause(): Promise<void> {
    return this.intake.pause();
  }

  resume(): void {
    if (this.#closing === null) this.intake.resume();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As if the process had died: nothing goes back. */
  async abandon(): Promise<void> {
    this.#closing ??= Promise.resolve();
    this.#end();
    await this.leases.stop();
  }

  async #close(): Promise<void> {
    const { clock, settings } = this.#context;
    await this.pause();
    this.#runTurn();
    this.#limits?.freeAll();
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
    for (const { delivery, untilMs } of this.intake.lot.drain()) {
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
    this.#calls.stop();
    this.#limits?.stop();
    this.intake.stop();
    this.sweeper.stop();
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

  readonly #onSettled = (): void => this.#options.onSettled?.();

  #schedule(): void {
    this.#turn ??= setImmediate(() => this.#runTurn());
  }

  #runTurn(): void {
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
    if (this.#state === "closed") return;
    this.#holds.table.progress();
    const { connection } = this.#context.session;
    if (connection === null) this.#settler.flush();
    else {
      connection.corked(() => {
        this.intake.pump();
        this.#settler.flush();
        if (this.#options.onSettled !== undefined) this.#tell(this.#onSettled);
      });
    }
  }

  /** As after a reconnect: what is held is renewed, or told as lost. Never rejects. */
  async #afterStall(): Promise<void> {
    if (this.#state !== "live") return;
    this.#context.logger.warn({}, "the event loop stood still, leases are looked at");
    this.#setState("reclaiming");
    await this.#renewal.verify(null);
    if ((this.#state as ConsumerState) === "reclaiming" && this.#context.session.state === "live") {
      this.#setState("live");
    }
  }

  /** It goes where FETCH puts its like. */
  #bury(delivery: RedisDelivery, reason: string, told: () => void): void {
    if (!this.#holds.leave(delivery, "leaving")) return;
    this.#settler.move(delivery, { kind: "dead", reason, list: this.#context.defaultQueue }, told);
    this.#schedule();
  }

  #refused(error: RedisError): void {
    this.intake.fail();
    this.#context.logger.error({ err: error }, "Redis refuses to serve this consumer");
    this.#tell(() => this.#options.onFatal?.(error));
  }
}

function elsewhere(): Error {
  return new TypeError("ack-with-result needs a result of the same Redis server: store it first, then ack");
}
