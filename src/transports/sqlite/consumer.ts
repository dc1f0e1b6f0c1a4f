/**
 * A consumer of the embedded database.
 *
 * | state  | enter   | leaves by                              |
 * |--------|---------|----------------------------------------|
 * | live   | consume | close, stop of the transport -> closed |
 * | closed | –       | –                                      |
 *
 * | fetch   | begins with                                        | ends as                                |
 * |---------|----------------------------------------------------|----------------------------------------|
 * | idle    | drained: a commit, of whoever, that left something | -> running                             |
 * | running | a settlement, in the same transaction              | as many as asked for: again; else idle |
 */
import type { WireMessage } from "../../protocol/wire.ts";
import { patchRedelivered, readDeliveryCount, readRedelivered } from "../memory/redelivery.ts";
import type {
  Admission,
  ConsumeOptions,
  Consumer,
  ConsumerState,
  Delivery,
  LimitClaim,
  Settlement,
} from "../transport.ts";
import type { TakenMessage } from "./messages.ts";
import { endHold, type Held } from "./settle.ts";
import type { DeadMessage, Store } from "./store.ts";

export interface ConsumerContext {
  readonly store: Store;
  nextTag(): string;
  /** Inside a write: makes the holder known to others; true: it was known no more. */
  register(): boolean;
  onTakenOver(): void;
  onDead(dead: DeadMessage): void;
  onClosed(consumer: SqliteConsumer): void;
}

interface Fetched {
  readonly messages: readonly TakenMessage[];
  readonly turn: number;
  readonly wanted: number;
  readonly nowMs: number;
  readonly takenOver: boolean;
}

/** Messages of one fetch. */
const BATCH = 200;
const BATCH_BYTES = 8 * 1024 * 1024;
const RETRY_MS = 1000;

export class SqliteConsumer implements Consumer {
  readonly #context: ConsumerContext;
  readonly #store: Store;
  readonly #options: ConsumeOptions;
  readonly #ends: readonly (() => void)[];
  /** Taken and not settled, in the order they were taken. */
  readonly #held = new Map<Delivery, Held>();
  /** Deliveries that have a slot of a limit; null: none ever had. */
  #slots: Map<Delivery, LimitClaim> | null = null;
  #queues: readonly string[] = [];
  #turn = 0;
  #prefetch: number;
  #state: ConsumerState = "live";
  #paused = false;
  #fetching: Promise<void> | null = null;
  /** Nothing was left at the last fetch. */
  #drained = false;
  /** Something was committed while a fetch ran. */
  #changed = false;
  #settledSoon = false;
  #fetchedMs: number | null = null;
  #closing: Promise<void> | null = null;

  constructor(context: ConsumerContext, options: ConsumeOptions) {
    this.#context = context;
    this.#store = context.store;
    this.#options = options;
    this.#prefetch = options.prefetch;
    const { db } = context.store;
    this.#ends = [db.onChange(() => this.#look()), db.onPoll(() => this.#poll())];
    this.setQueues(options.queues);
    queueMicrotask(() => {
      if (this.#state === "live") options.onState("live");
    });
  }

  get state(): ConsumerState {
    return this.#state;
  }

  get fetchedMs(): number | null {
    return this.#fetchedMs;
  }

  setPrefetch(limit: number): void {
    this.#prefetch = limit;
    this.#drained = false;
    this.#fetch();
  }

  setQueues(names: readonly string[]): void {
    if (this.#state === "closed") return;
    const unique = [...new Set(names)];
    if (this.#store.settings.order === "sorted") unique.sort();
    this.#queues = unique;
    this.#turn = 0;
    this.#drained = false;
    if (this.#fetching === null) this.#fetch();
    else this.#changed = true;
  }

  settle(delivery: Delivery, as: Settlement): Promise<"done" | "gone"> {
    const held = this.#held.get(delivery);
    this.#held.delete(delivery);
    let claim: LimitClaim | null = null;
    if (this.#slots !== null && as.kind !== "ack-early") {
      claim = this.#slots.get(delivery) ?? null;
      this.#slots.delete(delivery);
    }
    const settled = this.#settle({ delivery, held: held ?? null, as, claim });
    if (!this.#drained) this.#fetch();
    return settled;
  }

  async #settle(of: {
    readonly delivery: Delivery;
    readonly held: Held | null;
    readonly as: Settlement;
    readonly claim: LimitClaim | null;
  }): Promise<"done" | "gone"> {
    const { as, claim, delivery, held } = of;
    if (held === null && as.kind !== "ack-with-result") return "gone";
    const adds = claim !== null || as.kind === "requeue" || as.kind === "lost" || as.kind === "park";
    const ended = await this.#persist(() => {
      const end = endHold(this.#store, { held, as, queue: delivery.queue });
      if (claim !== null)
        this.#store.limits.free(claim, { tag: delivery.tag, ran: true, nowMs: this.#now() });
      return end;
    }, adds);
    this.#tellSettled();
    if (ended?.dead) this.#context.onDead(ended.dead);
    return ended?.done === true ? "done" : "gone";
  }

  /** Writes of one turn are committed in their order. */
  flush(): void {}

  async markStarted(delivery: Delivery): Promise<void> {
    const held = this.#held.get(delivery);
    if (held === undefined) return;
    held.started = true;
    const { messages, holder } = this.#store;
    await this.#persist(() => messages.markStarted(held.id, holder), false);
  }

  async admit(delivery: Delivery, claim: LimitClaim): Promise<Admission> {
    const held = this.#held.get(delivery);
    if (held === undefined) return { kind: "gone" };
    const { limits, holder } = this.#store;
    const { tag } = delivery;
    const admission = await this.#persist(
      () => limits.admit(claim, { tag, holder, message: held.id, nowMs: this.#now() }),
      true,
    );
    if (admission?.kind === "run") {
      if (claim.concurrency !== null) {
        this.#slots ??= new Map();
        this.#slots.set(delivery, claim);
      }
      return admission;
    }
    this.#held.delete(delivery);
    this.#drained = false;
    this.#fetch();
    return admission ?? { kind: "gone" };
  }

  release(delivery: Delivery, claim: LimitClaim): void {
    const ran = this.#slots?.delete(delivery) ?? false;
    const { limits } = this.#store;
    void this.#persist(() => limits.free(claim, { tag: delivery.tag, ran, nowMs: this.#now() }), true);
  }

  /** The keeper of the transport does. */
  watchLimits(): void {}

  async pause(): Promise<void> {
    this.#paused = true;
    await this.#fetching;
  }

  resume(): void {
    this.#paused = false;
    this.#drained = false;
    this.#fetch();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#end();
    await this.#fetching;
    const back = [...this.#held.values()].toReversed();
    const slots = [...(this.#slots ?? [])];
    this.#held.clear();
    this.#slots?.clear();
    const { messages, limits, holder } = this.#store;
    await this.#persist(() => {
      for (const { id } of back) if (messages.isHeld(id, holder)) messages.putBack(id);
      for (const [{ tag }, claim] of slots) limits.free(claim, { tag, ran: true, nowMs: this.#now() });
    }, true);
    this.#context.onClosed(this);
    this.#tell(() => this.#options.onState("closed"));
  }

  /** As if the process had died. */
  abandon(): void {
    if (this.#state === "closed") return;
    this.#end();
    this.#held.clear();
  }

  /** What this transport held is another's. */
  loseAll(): void {
    const lost = [...this.#held.keys()];
    this.#held.clear();
    this.#slots?.clear();
    if (lost.length > 0) this.#tell(() => this.#options.onLost(lost));
  }

  /** The handlers of the worker. */
  get handlers(): Pick<ConsumeOptions, "onDead" | "onFatal"> {
    return this.#options;
  }

  #end(): void {
    this.#state = "closed";
    for (const end of this.#ends) end();
  }

  #now(): number {
    return this.#store.clock.now();
  }

  /** Tried until it is stored; null: the connection was closed first. */
  async #persist<T>(work: () => T, wakes: boolean): Promise<T | null> {
    const { db, logger, clock } = this.#store;
    for (;;) {
      try {
        return await db.write(work, { patient: true, wakes });
      } catch (error) {
        if (db.closed) return null;
        logger.warn({ err: error }, "what a task came to could not be stored; it is tried again");
        await new Promise<void>((resolve) => clock.setTimer(RETRY_MS, resolve));
      }
    }
  }

  #poll(): void {
    if (this.#fetching !== null) return;
    this.#fetchedMs = this.#store.clock.monotonic();
    this.#look();
  }

  /** Something was committed. */
  #look(): void {
    if (this.#fetching !== null) {
      this.#changed = true;
      return;
    }
    if (!this.#wants()) return;
    if (this.#store.messages.hasAny(this.#queues)) this.#fetch();
    else this.#drained = true;
  }

  #wants(): boolean {
    return this.#state === "live" && !this.#paused && this.#held.size < this.#prefetch;
  }

  #fetch(): void {
    if (this.#fetching !== null || !this.#wants()) return;
    this.#changed = false;
    this.#fetching = this.#takeSome();
  }

  async #takeSome(): Promise<void> {
    let fetched: Fetched | null = null;
    try {
      fetched = await this.#store.db.write(() => this.#take(), { patient: true });
    } catch (error) {
      const { db, logger } = this.#store;
      if (!db.closed) logger.warn({ err: error }, "no task could be taken; it is tried again");
    }
    this.#fetching = null;
    // The next poll tries again.
    this.#drained = fetched === null || fetched.messages.length < fetched.wanted;
    if (fetched === null) return;
    this.#fetchedMs = this.#store.clock.monotonic();
    if (fetched.takenOver) this.#context.onTakenOver();
    this.#turn = fetched.turn;
    this.#deliver(fetched);
    if (!this.#drained) this.#fetch();
    else if (this.#changed) this.#look();
  }

  /** Inside a write. */
  #take(): Fetched {
    const { messages, settings, holder } = this.#store;
    const takenOver = this.#context.register();
    const wanted = Math.min(this.#prefetch - this.#held.size, BATCH);
    const nowMs = this.#now();
    if (wanted <= 0 || this.#paused || this.#state === "closed")
      return { messages: [], turn: this.#turn, wanted: 0, nowMs, takenOver };
    const taken = messages.take({
      holder,
      queues: this.#queues,
      steps: settings.prioritySteps,
      count: wanted,
      maxBytes: BATCH_BYTES,
      turn: settings.order === "round_robin" ? this.#turn : null,
    });
    return { ...taken, wanted, nowMs, takenOver };
  }

  #deliver({ messages, nowMs }: Fetched): void {
    const batch: Delivery[] = [];
    for (const taken of messages) {
      let message: WireMessage;
      try {
        message = this.#store.decode(taken.raw);
      } catch (error) {
        void this.#bury(taken, error);
        continue;
      }
      const count = taken.losses ?? readDeliveryCount(message);
      const delivery: Delivery = {
        tag: this.#context.nextTag(),
        queue: taken.queue,
        message: taken.redelivered ? patchRedelivered(message, count) : message,
        redelivered: taken.redelivered || readRedelivered(message),
        deliveryCount: count,
        serverTimeMs: nowMs,
      };
      this.#held.set(delivery, { id: taken.id, taken, count, started: false });
      batch.push(delivery);
    }
    if (batch.length === 0 || this.#state === "closed") return;
    this.#tell(() => this.#options.onBatch(batch));
    this.#tell(() => this.#options.onSettled?.());
  }

  async #bury({ id, queue, raw }: TakenMessage, error: unknown): Promise<void> {
    const reason = error instanceof Error ? error.message : String(error);
    const { messages, dead, holder } = this.#store;
    const buried = await this.#persist(() => {
      if (!messages.ack(id, holder)) return false;
      dead.bury(null, { queue, reason, count: 0, raw, nowMs: this.#now() });
      return true;
    }, false);
    if (buried) this.#tell(() => void this.#options.onDead({ queue, reason, raw, message: null }));
  }

  /** Once for the settlements of a transaction. */
  #tellSettled(): void {
    if (this.#settledSoon || this.#options.onSettled === undefined) return;
    this.#settledSoon = true;
    setImmediate(() => {
      this.#settledSoon = false;
      if (this.#state === "live") this.#tell(() => this.#options.onSettled?.());
    });
  }

  /** Calls a handler of the worker: its errors are its own. */
  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#store.logger.error({ err: error }, "a handler of the consumer failed");
    }
  }
}
