/**
 * A consumer of the memory broker.
 *
 * | state  | enter       | leaves by                                  |
 * |--------|-------------|--------------------------------------------|
 * | live   | consume     | close, stop of the transport -> closed     |
 * | closed | –           | –                                          |
 *
 * Messages are handed out on a turn of their own (`setImmediate`), never inside publish or settle, so that a long drain
 * leaves the event loop to others between batches.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { WireMessage } from "../../protocol/wire.ts";
import { afterLoss, type LossPolicy, lossesAfter } from "../losses.ts";
import type {
  Admission,
  ConsumeOptions,
  Consumer,
  ConsumerState,
  Delivery,
  LimitClaim,
  Settlement,
} from "../transport.ts";
import type { MemoryBroker, QueueState, StoredMessage } from "./broker.ts";
import type { DeadLists } from "./dead.ts";
import type { QueueOrder } from "./options.ts";
import { patchRedelivered, readDeliveryCount, readRedelivered } from "./redelivery.ts";
import { freeKey } from "./unique.ts";

/** What a consumer needs of its transport. */
export interface ConsumerContext {
  readonly broker: MemoryBroker;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dead: DeadLists;
  readonly stepCount: number;
  readonly order: QueueOrder;
  readonly losses: LossPolicy;
  decode(raw: string): WireMessage;
  onClosed(consumer: MemoryConsumer): void;
}

interface Held {
  readonly stored: StoredMessage;
  readonly count: number;
  /** Its start was recorded, or it was never lost before. */
  started: boolean;
}

const DONE = Promise.resolve("done" as const);
const GONE = Promise.resolve("gone" as const);
/** Messages handed out in one turn. */
const BATCH = 64;
/** Node's timers take 2^31 - 1 ms at most; a longer one fires at once. */
const LONGEST_TIMER_MS = 2 ** 30;
/** Undecodable messages met in one turn before the event loop gets its turn. */
const DEAD_BATCH = 100;

export class MemoryConsumer implements Consumer {
  readonly #context: ConsumerContext;
  readonly #options: ConsumeOptions;
  readonly #wake = (): void => this.#schedule();
  readonly #endParkListener: () => void;
  readonly #endDeadListener: () => void;
  /** Taken and not settled, in the order they were taken. */
  readonly #held = new Map<Delivery, Held>();
  /** Deliveries that have a slot of a limit; null: none ever had. */
  #slots: Map<Delivery, LimitClaim> | null = null;
  #queues: readonly QueueState[] = [];
  /** Where the next pass starts: after the queue that gave the last message. */
  #next = 0;
  #prefetch: number;
  #state: ConsumerState = "live";
  #paused = false;
  #immediate: NodeJS.Immediate | null = null;
  /** The last turn found nothing more to take, and nobody has added anything since. */
  #drained = false;
  #timer: Timer | null = null;
  #timerDueMs = 0;

  constructor(context: ConsumerContext, options: ConsumeOptions) {
    this.#context = context;
    this.#options = options;
    this.#prefetch = options.prefetch;
    this.#endParkListener = context.broker.onPark(() => this.#armTimer());
    this.#endDeadListener = context.broker.onDead((dead) => this.#tell(() => options.onDead(dead)));
    this.setQueues(options.queues);
    queueMicrotask(() => {
      if (this.#state === "live") options.onState("live");
    });
  }

  get state(): ConsumerState {
    return this.#state;
  }

  /** Nothing is ever waited for. */
  get fetchedMs(): number | null {
    return this.#state === "live" && !this.#paused ? this.#context.clock.monotonic() : null;
  }

  setPrefetch(limit: number): void {
    this.#prefetch = limit;
    this.#schedule();
  }

  setQueues(names: readonly string[]): void {
    if (this.#state === "closed") return;
    for (const queue of this.#queues) queue.listeners.delete(this.#wake);
    const unique = [...new Set(names)];
    if (this.#context.order === "sorted") unique.sort();
    this.#queues = unique.map((name) => this.#context.broker.queue(name));
    for (const queue of this.#queues) queue.listeners.add(this.#wake);
    this.#next = 0;
    this.#schedule();
  }

  settle(delivery: Delivery, as: Settlement): Promise<"done" | "gone"> {
    const { broker, clock } = this.#context;
    // The result counts even when the hold is over: the task did run.
    if (as.kind === "ack-with-result") broker.results.write(as.write, clock.now());
    const held = this.#held.get(delivery);
    if (held === undefined) return GONE;
    this.#held.delete(delivery);
    if (this.#slots !== null && as.kind !== "ack-early") this.#freeSlot(delivery);
    switch (as.kind) {
      case "ack":
      case "ack-with-result":
        if (as.unique !== undefined) freeKey(broker.unique, as.unique);
        break;
      case "ack-early":
        break;
      case "requeue":
        broker.push(delivery.queue, { ...held.stored, count: held.count, redelivered: true });
        break;
      case "lost":
        this.#afterLoss({ ...held, started: true }, delivery);
        break;
      case "park":
        broker.park(delivery.queue, held.stored, as.untilMs);
        break;
      case "dead":
        this.#context.dead.bury(delivery.queue, {
          queue: delivery.queue,
          reason: as.reason,
          count: held.count,
          raw: held.stored.raw,
        });
        break;
    }
    if (!this.#drained) this.#schedule();
    return DONE;
  }

  /** A settlement is done when `settle` returns. */
  flush(): void {}

  markStarted(delivery: Delivery): Promise<void> {
    const held = this.#held.get(delivery);
    if (held) held.started = true;
    return Promise.resolve();
  }

  admit(delivery: Delivery, claim: LimitClaim): Promise<Admission> {
    const { broker, clock } = this.#context;
    const held = this.#held.get(delivery);
    if (held === undefined) return Promise.resolve({ kind: "gone" });
    const { queue } = delivery;
    const { stored } = held;
    const admission = broker.limits.admit(delivery, claim, { clock, message: { queue, stored } });
    if (admission.kind === "run") {
      if (claim.concurrency !== null) {
        this.#slots ??= new Map();
        this.#slots.set(delivery, claim);
      }
      return Promise.resolve(admission);
    }
    this.#held.delete(delivery);
    if (admission.kind === "wait" && admission.for === "rate") broker.park(queue, stored, admission.untilMs);
    this.#schedule();
    return Promise.resolve(admission);
  }

  release(delivery: Delivery, claim: LimitClaim): void {
    if (this.#freeSlot(delivery)) return;
    const { broker, clock } = this.#context;
    broker.limits.free(delivery, claim, { clock, ran: false });
  }

  #freeSlot(delivery: Delivery): boolean {
    const claim = this.#slots?.get(delivery);
    if (claim === undefined) return false;
    this.#slots?.delete(delivery);
    const { broker, clock } = this.#context;
    broker.limits.free(delivery, claim, { clock, ran: true });
    return true;
  }

  /** Nobody is lost without a word here. */
  watchLimits(): void {}

  pause(): Promise<void> {
    this.#paused = true;
    this.#cancelTurn();
    return Promise.resolve();
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  close(): Promise<void> {
    this.#end(({ stored }, { queue }) => this.#context.broker.putBack(queue, stored));
    return Promise.resolve();
  }

  /** As if the process had died: what was held goes back as from a lost holder. */
  abandon(): void {
    this.#end((held, delivery) => this.#afterLoss(held, delivery));
  }

  /** Puts back what is held, first taken to be first out. */
  #end(putBack: (held: Held, delivery: Delivery) => void): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#cancelTurn();
    this.#timer?.cancel();
    this.#endParkListener();
    this.#endDeadListener();
    for (const queue of this.#queues) queue.listeners.delete(this.#wake);
    for (const [delivery, held] of [...this.#held].toReversed()) putBack(held, delivery);
    this.#held.clear();
    for (const delivery of this.#slots?.keys() ?? []) this.#freeSlot(delivery);
    this.#context.onClosed(this);
    this.#options.onState("closed");
  }

  #afterLoss(held: Held, delivery: Delivery): void {
    const { broker, clock, dead, losses } = this.#context;
    const { queue } = delivery;
    const count = lossesAfter(held.count, held.started);
    const stored = { ...held.stored, count, redelivered: true };
    const next = afterLoss(count, losses);
    switch (next.to) {
      case "queue":
        return broker.putBack(queue, stored);
      case "parked":
        return broker.park(queue, stored, clock.now() + next.delayMs);
      case "dead": {
        const { raw } = stored;
        const { reason } = next;
        dead.bury(queue, { queue, reason, count, raw });
        broker.tellDead({ queue, reason, raw, message: delivery.message });
      }
    }
  }

  /** Calls a handler of the worker: its errors are its own. */
  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#context.logger.error({ error }, "a handler of the consumer failed");
    }
  }

  #schedule(): void {
    this.#drained = false;
    if (this.#immediate !== null || this.#paused || this.#state === "closed") return;
    if (this.#held.size >= this.#prefetch) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = null;
      this.#turn();
    });
  }

  #cancelTurn(): void {
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#immediate = null;
  }

  #turn(): void {
    const { clock } = this.#context;
    this.#armTimer();
    const nowMs = clock.now();
    const batch: Delivery[] = [];
    const wanted = Math.min(this.#prefetch - this.#held.size, BATCH);
    let dead = 0;
    this.#drained = true;
    while (batch.length < wanted) {
      const taken = this.#takeOne();
      if (taken === null) break;
      const delivery = this.#deliver(taken.queue, taken.stored, nowMs);
      if (delivery) batch.push(delivery);
      else dead += 1;
      if (dead === DEAD_BATCH) break;
    }
    const mayBeMore = batch.length >= wanted || dead === DEAD_BATCH;
    if (batch.length > 0) this.#hand(batch);
    if (mayBeMore) this.#schedule();
  }

  #hand(batch: readonly Delivery[]): void {
    this.#tell(() => this.#options.onBatch(batch));
    this.#tell(() => this.#options.onSettled?.());
  }

  /** Step by step; inside one, each queue in turn, or always the first that has something. */
  #takeOne(): { readonly queue: QueueState; readonly stored: StoredMessage } | null {
    const queues = this.#queues;
    const { paused } = this.#context.broker;
    const start = this.#context.order === "round_robin" ? this.#next : 0;
    for (let step = 0; step < this.#context.stepCount; step++) {
      for (let i = 0; i < queues.length; i++) {
        const index = (start + i) % queues.length;
        const queue = queues[index];
        if (queue === undefined || (paused.size > 0 && paused.has(queue.name))) continue;
        const stored = queue.steps[step]?.popFront();
        if (stored !== undefined) {
          this.#next = (index + 1) % queues.length;
          return { queue, stored };
        }
      }
    }
    return null;
  }

  #deliver(queue: QueueState, stored: StoredMessage, nowMs: number): Delivery | null {
    let message: WireMessage;
    try {
      message = this.#context.decode(stored.raw);
    } catch (error) {
      this.#bury(queue.name, stored.raw, error);
      return null;
    }
    const count = stored.count ?? readDeliveryCount(message);
    const redelivered = stored.redelivered || readRedelivered(message);
    const delivery: Delivery = {
      tag: this.#context.broker.nextTag(),
      queue: queue.name,
      message: stored.redelivered ? patchRedelivered(message, count) : message,
      redelivered,
      deliveryCount: count,
      serverTimeMs: nowMs,
    };
    this.#held.set(delivery, { stored, count, started: false });
    return delivery;
  }

  #bury(queue: string, raw: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#context.dead.bury(null, { queue, reason, count: 0, raw });
    this.#tell(() => this.#options.onDead({ queue, reason, raw, message: null }));
  }

  /** One timer for the next parked message, whoever parked it. */
  #armTimer(): void {
    const { broker, clock } = this.#context;
    if (this.#state === "closed") return;
    const nowMs = clock.now();
    broker.releaseDue(nowMs);
    const dueMs = broker.nextDueMs();
    if (dueMs === null) return;
    if (this.#timer !== null) {
      if (this.#timerDueMs <= dueMs) return;
      this.#timer.cancel();
    }
    this.#timerDueMs = dueMs;
    this.#timer = clock.setTimer(Math.min(dueMs - nowMs, LONGEST_TIMER_MS), () => {
      this.#timer = null;
      this.#armTimer();
    });
  }
}
