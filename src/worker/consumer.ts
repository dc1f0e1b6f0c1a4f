/**
 * Takes messages from the transport and runs them, as many at once as the pool has slots.
 * Python: `celery/worker/consumer/consumer.py`, `celery/worker/loops.py`.
 *
 * | state    | start       | pause         | drained or out of time | close        |
 * |----------|-------------|---------------|------------------------|--------------|
 * | idle     | -> running  |               |                        | -> closed    |
 * | running  |             | -> pausing    |                        |              |
 * | pausing  |             |               | -> closing             |              |
 * | closing  |             |               |                        | -> closed    |
 *
 * running: what arrives is started at once, or reserved until a slot is free. pausing: nothing new is started; what runs
 * goes on. closing: what never started, and late-acked tasks that were given up, go back to the broker.
 */
import { LinkedSet } from "../base/linked-set.ts";
import { OperationalError, WorkerShutdown } from "../errors.ts";
import type { ConsumeOptions, Consumer, ConsumerState, Delivery } from "../transports/transport.ts";
import { BeforeStart } from "./before-start.ts";
import type { TaskConsumerOptions } from "./consumer-options.ts";
import type { TaskParts } from "./context.ts";
import type { Endings } from "./endings.ts";
import { HeldRequests } from "./held-requests.ts";
import { RateLimits } from "./rate-limits.ts";
import type { Receiver } from "./receiver.ts";
import type { Request } from "./request.ts";
import { RequestQueue } from "./request-queue.ts";
import type { Tracer } from "./tracer.ts";

/** Synchronous tasks may take this long before the event loop gets its turn. ms. */
const TURN_MS = 10;
/** What a task is given to react to its aborted signal when the worker stops in a hurry. ms. */
const REACTION_MS = 500;
/** Requests that wait for their rate limit and raise the prefetch at most: what is beyond them waits in the broker. */
const LIMITED_AT_MOST = 1000;

export class TaskConsumer {
  /** There is more than could be started. Set by the autoscaler. */
  onReserved: (() => void) | null = null;
  /** The broker is lost, or there again. Set by steps of users. */
  onConnection: ((isUp: boolean) => void) | null = null;
  readonly #options: TaskConsumerOptions;
  readonly #reserved = new RequestQueue();
  /** Started and not ended; without those that ended at once. Written by `#start` and `onEnd`. */
  readonly #active = new LinkedSet<Request>();
  readonly #held: HeldRequests;
  /** Requests that wait for their rate limit. */
  readonly #limits: RateLimits;
  readonly #before: BeforeStart;
  /** Without what is held and limited. Written by `setPrefetch`. */
  #prefetch: number;
  #state: "idle" | "running" | "pausing" | "closing" | "closed" = "idle";
  #consumer: Consumer | null = null;
  #receiver: Receiver | null = null;
  #tracer: Tracer | null = null;
  #endings: Endings | null = null;
  /** Requests that wait for something before they may be submitted: each has a slot. */
  #preparing = 0;
  /** Of `#active` those that were acked at their start. null: prefetching is not disabled. */
  readonly #acked: Set<Request> | null;
  /** Aborted when nothing new is to start. */
  readonly #pausing = new AbortController();
  #scheduled = false;
  #onIdle: (() => void) | null = null;

  constructor(options: TaskConsumerOptions) {
    this.#options = options;
    this.#prefetch = options.prefetch;
    this.#acked = options.disablePrefetch ? new Set() : null;
    this.#held = new HeldRequests(options.clock, (request) => {
      this.#applyPrefetch();
      this.#admit(request);
      this.#pump();
    });
    this.#before = new BeforeStart({
      logger: options.logger,
      settler: options.settler,
      isDone: options.isDone,
      revoked: options.revoked,
      pausing: this.#pausing.signal,
      consumer: () => this.#consumer,
      revoke: (request) => this.#endings?.revoke(request, "revoked"),
      fail: (request, error) => this.#endings?.failBefore(request, error),
      unique: options.unique,
      replaced: (request) => this.#endings?.replaced(request),
    });
    this.#limits = new RateLimits({
      clock: options.clock,
      rateOf: (task) => options.rateOf(task),
      release: (request) => this.#reserved.push(request),
      onReleased: () => {
        this.#applyPrefetch();
        this.#pump();
      },
    });
  }

  /** Requests that are running, for `inspect active`. */
  get active(): Iterable<Request> & { readonly size: number } {
    return this.#active;
  }

  /** Of the broker; null: no message was taken yet. */
  get connection(): ConsumerState | null {
    return this.#consumer?.state ?? null;
  }

  /** When the broker last answered a fetch, monotonic ms. */
  get fetchedMs(): number | null {
    return this.#consumer?.fetchedMs ?? null;
  }

  /** Messages that are reserved and not started. */
  get reserved(): number {
    return this.#reserved.size;
  }

  /** Messages that wait for anything. */
  get backlog(): number {
    return this.#reserved.size + this.#limits.size + this.#held.size;
  }

  /** Requests that wait for a slot, or for their rate limit: `inspect reserved`. */
  waiting(): readonly Request[] {
    return [...this.#reserved.toArray(), ...this.#limits.waiting()];
  }

  /** Requests that are kept here until their ETA: `inspect scheduled`. */
  scheduled(): readonly { readonly request: Request; readonly etaMs: number }[] {
    return this.#held.list();
  }

  /** Messages that may be unsettled now. */
  get prefetch(): number {
    return this.#window() + this.#held.size + Math.min(this.#limits.size, LIMITED_AT_MOST);
  }

  /** Tasks that run and were acked at their start have a slot, and are no unsettled message any more. */
  #window(): number {
    return Math.max(0, this.#prefetch - (this.#acked?.size ?? 0));
  }

  /** The pool has another size. */
  setPrefetch(prefetch: number): void {
    this.#prefetch = prefetch;
    this.#applyPrefetch();
    this.#pump();
  }

  setQueues(queues: readonly string[]): void {
    this.#consumer?.setQueues(queues);
  }

  /** Sends what was settled, before what is published next. */
  flush(): void {
    this.#consumer?.flush();
  }

  /** The rate limit of a task has changed. */
  onRateChanged(task: string): void {
    this.#limits.changed(task);
  }

  #applyPrefetch(): void {
    this.#consumer?.setPrefetch(this.prefetch);
  }

  /** The connections are up: begins to take messages. */
  start(parts: Pick<TaskParts, "receiver" | "tracer" | "endings">): void {
    this.#receiver = parts.receiver;
    this.#tracer = parts.tracer;
    this.#endings = parts.endings;
    this.#state = "running";
    this.#options.pool.onFree = () => this.#pump();
    const consume: ConsumeOptions = {
      queues: this.#options.queues,
      prefetch: this.prefetch,
      onBatch: (deliveries) => this.#onBatch(deliveries),
      onSettled: () => this.#options.onSettled(),
      onDead: (dead) => parts.receiver.onDead(dead),
      onLost: (deliveries) => this.#onLost(deliveries),
      onState: (state) => this.#onState(state),
    };
    const consumer = this.#options.transport.consume(consume);
    this.#consumer = consumer;
    this.#options.settler.attach(consumer);
    if (this.#options.hasLimits()) consumer.watchLimits();
  }

  #onState(state: ConsumerState): void {
    this.#options.logger.debug({ state }, "the consumer's state changed");
    if (state === "waiting") {
      this.onConnection?.(false);
      if (this.#options.cancelsOnLoss) this.#cancelRunning();
    } else if (state === "live") this.onConnection?.(true);
  }

  /** What is acked late ends now, and goes back when the broker is there again. */
  #cancelRunning(): void {
    const reason = new OperationalError("the task is cancelled: its worker has lost the broker");
    for (const request of this.#active) {
      const { id, task, running, strategy } = request;
      if (running === null || !strategy.acksLate || request.settled || request.cancelled) continue;
      request.cancelled = true;
      this.#options.logger.warn({ id, task }, "the broker is lost: a task is cancelled");
      running.terminate("SIGTERM", reason);
    }
  }

  // ---- taking and starting

  #onBatch(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.again(delivery);
    this.#pump();
    if (this.#reserved.size > 0) this.onReserved?.();
  }

  /** Takes one delivery up; it runs when its turn comes. */
  again(delivery: Delivery): void {
    const request = this.#receiver?.receive(delivery) ?? null;
    if (request !== null) this.#admit(request);
  }

  #admit(request: Request): void {
    if (request.strategy.rate === 0) {
      this.#reserved.push(request);
      return;
    }
    this.#limits.add(request);
    this.#applyPrefetch();
  }

  /** As {@link again}, from outside a batch. */
  takeUp(delivery: Delivery): void {
    this.again(delivery);
    this.#pump();
  }

  /** Starts what is reserved while there are slots. Synchronous tasks end here, one after the other. */
  #pump(): void {
    const { pool, clock, onWork } = this.#options;
    if (onWork !== null && this.#reserved.size > 0) onWork();
    const untilMs = clock.monotonic() + TURN_MS;
    while (this.#state === "running" && this.#preparing < pool.free) {
      const request = this.#reserved.shift();
      if (request === null) return;
      if (request.state === "reserved") this.#start(request);
      if (this.#reserved.size > 0 && clock.monotonic() > untilMs) return this.#pumpLater();
    }
  }

  readonly #onTurn = (): void => {
    this.#scheduled = false;
    this.#pump();
  };

  #pumpLater(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#onTurn);
  }

  #start(request: Request): void {
    if (this.#before.isFree(request)) return this.#trace(request);
    this.#preparing += 1;
    this.#active.add(request);
    void this.#before.allows(request).then((allowed) => {
      this.#preparing -= 1;
      if (allowed && this.#state === "running" && request.state === "reserved") this.#trace(request);
      else this.onEnd(request);
      this.#pump();
    });
  }

  #trace(request: Request): void {
    try {
      this.#tracer?.trace(request);
    } catch (err) {
      const { id, task } = request;
      this.#options.logger.error(
        { id, task, err },
        "a task could not be started: it will be delivered again",
      );
      request.state = "ended";
    }
    if (request.state === "started") {
      this.#active.add(request);
      if (this.#acked !== null && (request.settled || !request.strategy.acksLate)) {
        this.#acked.add(request);
        this.#applyPrefetch();
      }
    } else this.onEnd(request);
  }

  /** A slot is free. */
  onSlot(): void {
    this.#pump();
  }

  /** All of a request is over. */
  onEnd(request: Request): void {
    this.#before.ended(request);
    if (!this.#active.delete(request)) return;
    if (this.#acked?.delete(request) === true) this.#applyPrefetch();
    if (this.#active.size === 0 && this.#onIdle !== null) this.#onIdle();
  }

  // ---- ETA in memory

  /** Keeps a request until its ETA. It does not count against the prefetch limit, as in Celery. */
  hold(request: Request, etaMs: number): void {
    this.#held.add(request, etaMs);
    this.#applyPrefetch();
  }

  // ---- loss

  /** Their leases are gone: what has not started belongs to somebody else now. */
  #onLost(deliveries: readonly Delivery[]): void {
    const lost = new Set(deliveries);
    const isLost = (request: Request): boolean => lost.has(request.delivery);
    const dropped = [
      ...this.#reserved.drop(isLost),
      ...this.#limits.drop(isLost),
      ...this.#held.drop(isLost),
    ];
    for (const request of dropped) request.state = "dropped";
    const running = [...this.#active].filter((request) => lost.has(request.delivery));
    for (const request of running) if (request.state === "reserved") request.state = "dropped";
    this.#options.logger.warn(
      { dropped: dropped.map((one) => one.id), running: running.map((one) => one.id) },
      "the leases of messages have ended: reserved ones are dropped, running ones go on and may run twice",
    );
  }

  // ---- stopping

  /** Starts nothing new; resolves when no fetch is under way. */
  async pause(): Promise<void> {
    if (this.#state === "idle") this.#state = "closing";
    if (this.#state !== "running") return;
    this.#state = "pausing";
    this.#pausing.abort();
    await this.#consumer?.pause();
  }

  /** Waits for what runs, until `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (this.#active.size > 0 || !this.#options.settler.idle)) {
      await this.#untilIdle(signal);
    }
  }

  #untilIdle(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#onIdle = null;
        signal.removeEventListener("abort", end);
        resolve();
      };
      signal.addEventListener("abort", end, { once: true });
      if (this.#active.size > 0) this.#onIdle = end;
      else void this.#options.settler.whenIdle().then(end);
    });
  }

  /** The worker stops in a hurry: signals are aborted, and what does not react is given up. */
  async abandon(): Promise<void> {
    if (this.#active.size > 0 || !this.#options.settler.idle) {
      this.#endings?.hurry();
      const reason = new WorkerShutdown();
      for (const request of this.#active) request.running?.abort(reason);
      await this.drain(AbortSignal.timeout(REACTION_MS));
    }
    this.#options.giveUp();
    const endings = this.#endings;
    if (endings !== null) await Promise.all([...this.#active].map((request) => endings.abandon(request)));
    this.#active.clear();
  }

  /** Puts back what was never started or was given up. Idempotent. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#held.drop(() => true);
    this.#limits.stop();
    await this.#consumer?.close();
  }
}
