/**
 * From a delivery to a request: what can be known of a message before it runs. Python: `celery/worker/strategy.py`.
 *
 * | message                        | stored                     | settlement |
 * |--------------------------------|----------------------------|------------|
 * | cannot be read                 | FAILURE, when it has an id | dead       |
 * | task not registered            | FAILURE NotRegistered      | ack        |
 * | expired                        | REVOKED "expired"          | ack        |
 * | revoked                        | REVOKED "revoked"          | ack        |
 * | ETA to come                    |                            | park       |
 * | anything else                  |                            | (a request) |
 */
import type { AppInternals } from "../app/internals.ts";
import type { Logger } from "../base/logger.ts";
import { DecodeError, NotRegistered, PetioleError } from "../errors.ts";
import { exceptionInfo } from "../protocol/exceptions.ts";
import { type DecodeOptions, decodeTask, taskIdOf } from "../protocol/message.ts";
import type { DecodedTask, ExceptionInfo, WireMessage } from "../protocol/wire.ts";
import type { ConsumeOptions, Delivery, StoredWrite } from "../transports/transport.ts";
import { deadTaskId } from "./dead-message.ts";
import type { Endings } from "./endings.ts";
import { failureState, type MetaMaker, notRegistered, workerLost } from "./outcome.ts";
import { Request } from "./request.ts";
import type { Settler } from "./settler.ts";
import type { Strategies, Strategy } from "./strategy.ts";
import { type EventSwitch, tellStored } from "./task-events.ts";
import type { TaskLog } from "./task-log.ts";
import type { Tracer } from "./tracer.ts";
import type { UniqueTasks } from "./unique.ts";

export interface ReceiverOptions {
  readonly app: AppInternals;
  readonly accept: readonly string[];
  readonly strategies: Strategies;
  readonly tracer: Tracer;
  readonly endings: Endings;
  readonly settler: Settler;
  readonly unique: UniqueTasks;
  readonly metas: MetaMaker;
  readonly logger: Logger;
  readonly log: TaskLog;
  readonly events: EventSwitch;
  /** The broker keeps messages until their ETA. */
  readonly parks: boolean;
  /** Takes a request whose ETA is to come, where the broker cannot keep it. */
  hold(request: Request, etaMs: number): void;
  /** Takes a delivery up again, after a codec was loaded. */
  again(delivery: Delivery): void;
}

type Dead = Parameters<ConsumeOptions["onDead"]>[0];

export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #decode: DecodeOptions;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#decode = { accept: options.accept, limits: options.app.limits };
  }

  /** The request to run; null: the message was dealt with. Never throws. */
  receive(delivery: Delivery): Request | null {
    let decoded: DecodedTask;
    try {
      decoded = decodeTask(delivery.message, this.#decode);
    } catch (error) {
      this.#unreadable(delivery, error);
      return null;
    }
    const strategy = this.#options.strategies.of(decoded.task);
    if (strategy === null) {
      this.#unregistered(delivery, decoded);
      return null;
    }
    return this.#check(strategy, delivery, decoded);
  }

  #check(strategy: Strategy, delivery: Delivery, decoded: DecodedTask): Request | null {
    const { tracer, endings, log, app, parks, events } = this.#options;
    const request = new Request(tracer, strategy, { delivery, decoded });
    const { etaMs, expiresMs } = decoded;
    if (expiresMs !== null && tracer.isExpired(request, delivery.serverTimeMs)) {
      endings.revoke(request, "expired");
      return null;
    }
    if (tracer.isRevoked(request)) {
      endings.revoke(request, "revoked");
      return null;
    }
    // Of a task with an ETA twice, as in Celery when it is delivered again: once when it is known, once when it is due.
    if (events.tasks !== null) events.tasks.received(request);
    if (etaMs === null || etaMs <= delivery.serverTimeMs) {
      if (log.info) log.received(request);
      if (app.emitters.taskReceived.active) this.#signalReceived(request);
      return request;
    }
    if (log.info) log.parked(request, etaMs);
    if (parks && !request.settled) this.#options.settler.settle(request, { kind: "park", untilMs: etaMs });
    else this.#options.hold(request, etaMs);
    return null;
  }

  #signalReceived(request: Request): void {
    const { app, logger } = this.#options;
    void app.emitters.taskReceived.emit(
      { request: request.taskRequest },
      { sender: request.task, onError: (err) => logger.error({ err }, "a signal handler failed") },
    );
  }

  /** Python rejects such messages without a word, and their callers wait for ever. */
  #unreadable(delivery: Delivery, error: unknown): void {
    const codec = error instanceof DecodeError && error.code === "PET_CODEC_UNAVAILABLE" ? error.codec : null;
    if (codec !== null) {
      void this.#loadAndRetry(delivery, codec);
      return;
    }
    this.#bury(delivery, error);
  }

  async #loadAndRetry(delivery: Delivery, codec: string): Promise<void> {
    try {
      await this.#options.app.loadCodec(codec);
    } catch (error) {
      return this.#bury(delivery, error);
    }
    this.#options.again(delivery);
  }

  #bury(delivery: Delivery, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const id = taskIdOf(delivery.message);
    this.#options.log.dead(delivery.queue, reason, id);
    this.#signalRejected(delivery.message, error);
    const info = { ...exceptionInfo(error, "celery.exceptions"), traceback: null };
    const write = id === null ? null : this.#writeOf(id, info);
    const storing = this.#options.settler.finishDelivery(delivery, write, { kind: "dead", reason });
    if (id !== null) tellStored(this.#options.events, storing, (tasks) => tasks.failedBefore(id, info));
  }

  #signalRejected(message: WireMessage | string, error: unknown): void {
    const { app, logger } = this.#options;
    if (!app.emitters.taskRejected.active) return;
    const cause = error instanceof Error ? error : new PetioleError("PET_MESSAGE_INVALID", String(error));
    void app.emitters.taskRejected.emit(
      { message, error: cause },
      { onError: (err) => logger.error({ err }, "a signal handler failed") },
    );
  }

  #unregistered(delivery: Delivery, decoded: DecodedTask): void {
    const { settler, metas, log, app, logger, unique } = this.#options;
    log.unregistered(decoded.task, decoded.id, delivery.queue);
    if (app.emitters.taskUnknown.active) {
      const event = { name: decoded.task, id: decoded.id, error: new NotRegistered(decoded.task) };
      void app.emitters.taskUnknown.emit(event, {
        onError: (err) => logger.error({ err }, "a signal handler failed"),
      });
    }
    const stored = settler.storesResults && decoded.ignoreResult !== true;
    const error = notRegistered(decoded.task);
    const write = stored ? settler.encode(metas.state(decoded, failureState(error))) : null;
    const { chain, chord, errbacks } = decoded.embed;
    const isAlone = chain === null && chord === null && errbacks === null;
    const storing = isAlone
      ? settler.finishDelivery(delivery, write)
      : this.#options.endings.failUnknown(decoded, { error, write }).then((told) => {
          if (told) void settler.finishDelivery(delivery, null);
        });
    tellStored(this.#options.events, storing, (tasks) => tasks.failedBefore(decoded.id, error));
    unique.releaseOf(decoded);
  }

  /** A message that the transport put on its dead list. False: its failure could not be told. Never rejects. */
  onDead(dead: Dead): Promise<boolean> {
    return this.#tellDead(dead).catch((err: unknown) => {
      this.#options.logger.error(
        { queue: dead.queue, err },
        "a message was given up, and nobody could be told",
      );
      return false;
    });
  }

  async #tellDead(dead: Dead): Promise<boolean> {
    const id = dead.message === null ? deadTaskId(dead.raw) : taskIdOf(dead.message);
    this.#options.log.dead(dead.queue, dead.reason, id);
    this.#signalRejected(dead.message ?? dead.raw, new PetioleError("PET_MESSAGE_INVALID", dead.reason));
    if (id === null) return true;
    const decoded = dead.message === null ? null : readTask(dead.message, this.#decode);
    const error =
      decoded === null
        ? exceptionInfo(new DecodeError(dead.reason), "kombu.exceptions")
        : workerLost(`the task was given up: ${dead.reason}`);
    const strategy = decoded === null ? null : this.#options.strategies.of(decoded.task);
    if (dead.message !== null && decoded !== null && strategy !== null) {
      const delivery = deadDelivery(dead.queue, dead.message, this.#options.app.clock.now());
      return this.#options.endings.giveUp(
        new Request(this.#options.tracer, strategy, { delivery, decoded }),
        error,
      );
    }
    const write = this.#writeOf(id, { ...error, traceback: null });
    const stored = write === null || (await this.#options.settler.store(write, null));
    if (stored) this.#options.events.tasks?.failedBefore(id, error);
    return stored;
  }

  #writeOf(id: string, error: ExceptionInfo): StoredWrite | null {
    const { settler, metas } = this.#options;
    return settler.storesResults ? settler.encode(metas.bareFailure(id, error)) : null;
  }
}

function readTask(message: WireMessage, options: DecodeOptions): DecodedTask | null {
  try {
    return decodeTask(message, options);
  } catch {
    return null;
  }
}

/** Of a message that nobody holds. */
function deadDelivery(queue: string, message: WireMessage, nowMs: number): Delivery {
  return { tag: "", queue, message, redelivered: true, deliveryCount: 0, serverTimeMs: nowMs };
}
