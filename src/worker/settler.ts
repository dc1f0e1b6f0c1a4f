/**
 * Ends the hold of a message and stores its result, in the cheapest order that loses nothing.
 *
 * | task          | result in the same store            | result elsewhere              | no result |
 * |---------------|-------------------------------------|-------------------------------|-----------|
 * | late ack      | one step: result, then ack          | store, and only then ack      | ack       |
 * | early ack, ended in the turn it started | one step  | ack, store                    | ack       |
 * | early ack, still running after its turn | acked at the end of that turn, then store | same | ack       |
 *
 * An early ack is not sent before the turn ends anyway (transports batch by turn), so that a task which ends within its
 * turn may take the one step: nobody can tell the difference, and the broker has half the work.
 */
import type { ResultBackend } from "../backends/backend.ts";
import { fullJitterMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { BackendError, OperationalError } from "../errors.ts";
import type { ResultMeta } from "../protocol/wire.ts";
import {
  type Consumer,
  type Delivery,
  type Settlement,
  type StoredWrite,
  sameStore,
  type Transport,
  type UniqueEnd,
} from "../transports/transport.ts";
import type { FollowUp } from "./follow-ups.ts";
import { KeptLog } from "./kept-log.ts";
import type { Request } from "./request.ts";

export interface SettlerOptions {
  readonly transport: Transport;
  readonly backend: ResultBackend;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when the worker stops in a hurry: nothing is tried again after that. */
  readonly hurry: AbortSignal;
}

/** A store that is under way, which never rejects; null: the result leaves before what is published from now on. */
export type Storing = Promise<unknown> | null;

const ACK: Settlement = { kind: "ack" };
const ACK_EARLY: Settlement = { kind: "ack-early" };
const STORE_NOW_MS = 2_000;
const SEND_BACKOFF = { baseMs: 100, capMs: 5_000 };

export class Settler {
  readonly #backend: ResultBackend;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #hurry: AbortSignal;
  /** Result and ack in one step. */
  readonly #oneStep: boolean;
  #consumer: Consumer | null = null;
  /** Settlements whose hold had ended already. */
  gone = 0;
  /** Started in this turn, acked at its end unless they have ended by then. Written by `ackAfterTurn`. */
  #startedInTurn: Request[] = [];
  /** Stores and sends that are under way. */
  #outstanding = 0;
  #onIdle: (() => void) | null = null;

  constructor(options: SettlerOptions) {
    this.#backend = options.backend;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#hurry = options.hurry;
    this.#oneStep =
      options.transport.capabilities.storesResults &&
      options.backend.enabled &&
      sameStore(options.transport.location, options.backend.location);
  }

  /** Called once, when there is a consumer. */
  attach(consumer: Consumer): void {
    this.#consumer = consumer;
  }

  get storesResults(): boolean {
    return this.#backend.enabled;
  }

  get idle(): boolean {
    return this.#outstanding === 0;
  }

  /** Resolves when no store and no send is under way. */
  whenIdle(): Promise<void> {
    if (this.idle) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** The log of a task that begins to write one. */
  keptLog(id: string): KeptLog {
    return new KeptLog({ id, backend: this.#backend, clock: this.#clock, logger: this.#logger });
  }

  /** @throws EncodeError when the result cannot travel */
  encode(meta: ResultMeta): StoredWrite {
    return this.#backend.encode(meta);
  }

  /** The task is over: stores `write`, if any, and ends the hold. */
  finish(request: Request, write: StoredWrite | null): Storing {
    if (write === null) {
      if (request.unique === null) this.ack(request);
      else this.settle(request, { kind: "ack", unique: this.#uniqueEnd(request) });
      return null;
    }
    if (request.settled) return this.#storeLater(write, request);
    if (this.#oneStep) {
      if (request.unique === null) this.settle(request, { kind: "ack-with-result", write });
      else this.settle(request, { kind: "ack-with-result", write, unique: this.#uniqueEnd(request) });
      return null;
    }
    if (!request.strategy.acksLate) this.ack(request);
    return this.#storeLater(write, request);
  }

  /** The key is freed in the step that ends the hold, where it can be: it is nobody else's to free then. */
  #uniqueEnd(request: Request): UniqueEnd | undefined {
    const { id, unique, strategy, settled, keepsUnique } = request;
    if (unique === null || settled || keepsUnique || strategy.limits !== null) return undefined;
    request.keepsUnique = true;
    return { key: unique.key, id };
  }

  /** As {@link finish}, for a message of which no request was made: stores, and then ends the hold as said. */
  finishDelivery(delivery: Delivery, write: StoredWrite | null, as: Settlement = ACK): Storing {
    if (write === null) {
      this.#settleRaw(delivery, as);
      return null;
    }
    if (this.#oneStep && as.kind === "ack" && delivery.unheld !== true) {
      this.#settleRaw(delivery, { kind: "ack-with-result", write });
      return null;
    }
    return this.store(write, null).then(() => this.#settleRaw(delivery, as));
  }

  #settleRaw(delivery: Delivery, as: Settlement): void {
    if (delivery.unheld === true) return;
    this.#consumer?.settle(delivery, as).then(this.#onAnswer, this.#onRefused);
  }

  ack(request: Request): void {
    this.settle(request, ACK);
  }

  /** Once for each request. */
  settle(request: Request, as: Settlement): void {
    if (request.settled || this.#consumer === null) return;
    request.settled = true;
    this.#consumer.settle(request.delivery, as).then(this.#onAnswer, this.#onRefused);
  }

  /** Early ack of a task that did not end at once. */
  ackAfterTurn(request: Request): void {
    if (this.#startedInTurn.push(request) === 1) setImmediate(this.#ackStarted);
  }

  readonly #ackStarted = (): void => {
    const started = this.#startedInTurn;
    this.#startedInTurn = [];
    for (const request of started) {
      if (!request.settled) this.settle(request, request.strategy.limits === null ? ACK : ACK_EARLY);
    }
  };

  readonly #onAnswer = (answer: "done" | "gone"): void => {
    if (answer === "done") return;
    this.gone += 1;
    this.#logger.warn(
      { gone: this.gone },
      "a message was settled after its lease had ended: another worker may have run it too",
    );
  };

  readonly #onRefused = (err: unknown): void => {
    this.#logger.error({ err }, "a message could not be settled: it will be delivered again");
  };

  /** Stores one state; never rejects. False: given up, because the backend said so or the worker is in a hurry. */
  store(write: StoredWrite, request: Request | null): Promise<boolean> {
    return this.#store(write, request, this.#hurry);
  }

  /** As {@link store}, while the worker is in a hurry: one short attempt. */
  storeNow(write: StoredWrite, request: Request): Promise<boolean> {
    return this.#store(write, request, AbortSignal.timeout(STORE_NOW_MS));
  }

  async #store(write: StoredWrite, request: Request | null, signal: AbortSignal): Promise<boolean> {
    this.#outstanding += 1;
    try {
      await this.#backend.store(write, signal);
      return true;
    } catch (err) {
      const { id, task } = request ?? { id: write.key, task: null };
      this.#logger.error({ id, task, err }, "a result could not be stored");
      return false;
    } finally {
      this.#done();
    }
  }

  /** The worker stops in a hurry. */
  get hurried(): boolean {
    return this.#hurry.aborted;
  }

  /** Tries until the backend has answered; null: given up, because it said so or the worker is in a hurry. Never rejects. */
  async persist<T>(call: () => Promise<T>, id: string): Promise<T | null> {
    this.#outstanding += 1;
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await call();
        } catch (err) {
          const again = err instanceof BackendError && err.code !== "PET_CLOSED" && !this.#hurry.aborted;
          this.#logger.error({ id, attempt, again, err }, "a chord could not be counted or ended");
          if (!again) return null;
        }
        await this.#pause(fullJitterMs(attempt + 1, SEND_BACKOFF));
      }
    } finally {
      this.#done();
    }
  }

  /** Tries until the broker has it: a step of a chain that is dropped is a lost task. Any other error is the caller's. */
  async send(followUp: FollowUp, request: Pick<Request, "id" | "task">): Promise<void> {
    this.#outstanding += 1;
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          await followUp();
          return;
        } catch (err) {
          if (!(err instanceof OperationalError) || this.#hurry.aborted) throw err;
          this.#logger.warn(
            { id: request.id, task: request.task, attempt, err },
            "a follow-up task could not be sent: trying again",
          );
        }
        await this.#pause(fullJitterMs(attempt + 1, SEND_BACKOFF));
      }
    } finally {
      this.#done();
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#hurry.removeEventListener("abort", end);
        resolve();
      };
      const timer = this.#clock.setTimer(ms, end);
      this.#hurry.addEventListener("abort", end, { once: true });
    });
  }

  /** The worker waits for this before it stops. It never rejects. */
  await(work: Promise<void>): void {
    this.#outstanding += 1;
    void work.then(() => this.#done());
  }

  #storeLater(write: StoredWrite, request: Request): Promise<void> {
    return this.store(write, request).then((stored) =>
      stored ? this.ack(request) : this.afterLostResult(request),
    );
  }

  /**
   * A message that is acked late is not acked without its result: it goes back, and runs again. In a hurry the consumer
   * puts it back by itself.
   */
  afterLostResult(request: Request): void {
    if (!this.#hurry.aborted) this.settle(request, { kind: "requeue" });
  }

  #done(): void {
    this.#outstanding -= 1;
    if (this.#outstanding > 0 || this.#onIdle === null) return;
    this.#onIdle();
    this.#onIdle = null;
  }
}
