/**
 * Remote control, the worker's side: hears requests, runs those that are for it, replies. A request can neither crash the
 * worker nor hold it up. Python: `kombu.pidbox.Node`, `celery/worker/pidbox.py`.
 */
import { replyDeclaration } from "../../app/control-ask.ts";
import type { Timer } from "../../base/clock.ts";
import { RareWarning } from "../../base/rare-warning.ts";
import { DecodeError } from "../../errors.ts";
import {
  type ControlRequest,
  decodeRequest,
  encodeReply,
  type PidboxNames,
  pidboxNames,
  pidboxQueue,
} from "../../protocol/pidbox.ts";
import type { WireMessage } from "../../protocol/wire.ts";
import type { QueueDeclaration, Transport } from "../../transports/transport.ts";
import { made, type WorkerContext } from "../context.ts";
import type { isAddressed } from "./address.ts";
import { CommandError, errorRepr } from "./errors.ts";
import type { Panel } from "./panel.ts";
import { type ControlState, NO_REPLY, nok } from "./state.ts";

const LOAD_AFTER_MS = 500;
/** Commands that have not ended: more are refused. */
const OPEN_AT_MOST = 1000;
/** A reply is kept no longer. */
const LONGEST_TTL_SECONDS = 3600;

export class ControlNode {
  readonly #context: WorkerContext;
  readonly #transport: Transport;
  readonly #names: PidboxNames;
  #panel: Panel | null = null;
  /** Comes with the panel. */
  #isAddressed: typeof isAddressed | null = null;
  #loading: Promise<void> | null = null;
  #loadSoon: Timer | null = null;
  readonly #state: ControlState;
  #subscription: { close(): Promise<void> } | null = null;
  #open = 0;
  readonly #stopping = new AbortController();
  /** Anybody who may publish can send nonsense, as fast as they like. */
  readonly #dropped: RareWarning;
  readonly #failures: RareWarning;

  constructor(context: WorkerContext) {
    this.#context = context;
    const { logger, app } = context;
    const rare = (text: string): RareWarning => new RareWarning({ clock: app.clock, logger, message: text });
    this.#dropped = rare("a remote control request was dropped");
    this.#failures = rare("a remote control command failed");
    this.#transport = made(context.transport, "transport");
    this.#names = pidboxNames(context.app.conf.controlExchange ?? "celery");
    this.#state = {
      context,
      tasks: made(context.tasks, "tasks"),
      queues: new Map(context.settings.queues.map((queue) => [queue.name, queue])),
    };
  }

  /** The queue under which this worker is known to others. Nothing is ever in it: Redis has pub/sub for requests. */
  get #presence(): QueueDeclaration {
    const name = pidboxQueue(this.#context.settings.hostname, this.#names);
    return { name, exchange: this.#names.exchange, type: "fanout", routingKey: "" };
  }

  async start(): Promise<void> {
    this.#subscription = await this.#transport.subscribe({
      exchange: this.#names.exchange,
      routingKey: "",
      onMessage: (message) => this.#hear(message),
      onGap: () => this.#onGap(),
    });
    await this.#transport.declare([this.#presence]);
    this.#loadSoon = this.#context.app.clock.setTimer(LOAD_AFTER_MS, () => void this.#load(), {
      unref: true,
    });
  }

  /** The commands: a dozen files that tasks need not wait for. Read with the first request, or a little after the start. */
  #load(): Promise<void> {
    this.#loading ??= Promise.all([import("./panel.ts"), import("./address.ts")]).then(([panel, address]) => {
      this.#isAddressed = address.isAddressed;
      this.#panel = new panel.Panel(this.#context.app.controlCommands);
    });
    return this.#loading;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#loadSoon?.cancel();
    this.#dropped.stop();
    this.#failures.stop();
    await this.#subscription?.close();
    await this.#transport.undeclare([this.#presence]).catch((err: unknown) => {
      this.#context.logger.warn(
        { err },
        "the worker's presence could not be deleted: others wait for it in vain",
      );
    });
  }

  /** Requests may have been missed, revokes among them: the others know. */
  #onGap(): void {
    const { mingle, logger } = this.#context;
    if (mingle === null || this.#stopping.signal.aborted) return;
    mingle(this.#stopping.signal).catch((err: unknown) => {
      logger.warn({ err }, "the other workers could not be asked what was missed");
    });
  }

  #hear(message: WireMessage): void {
    if (this.#panel === null) {
      void this.#load().then(() => this.#hear(message));
      return;
    }
    let request: ControlRequest;
    try {
      request = this.#decode(message);
    } catch (error) {
      this.#unreadable(message, error);
      return;
    }
    this.#take(request);
  }

  #decode(message: WireMessage): ControlRequest {
    const { app, settings } = this.#context;
    return decodeRequest(message, { accept: settings.accept, limits: app.limits });
  }

  #unreadable(message: WireMessage, error: unknown): void {
    const { app } = this.#context;
    const codec = error instanceof DecodeError && error.code === "PET_CODEC_UNAVAILABLE" ? error.codec : null;
    const drop = (why: unknown): void => this.#dropped.say({ reason: reasonOf(why) });
    if (codec === null) return drop(error);
    app
      .loadCodec(codec)
      .then(() => this.#take(this.#decode(message)))
      .catch(drop);
  }

  #take(request: ControlRequest): void {
    const { app, settings, logger } = this.#context;
    app.lamport.forward();
    app.lamport.adjust(request.clock);
    if (this.#isAddressed?.(request, settings.hostname) !== true) return;
    logger.debug({ method: request.method }, "remote control request");
    if (this.#open >= OPEN_AT_MOST) {
      this.#reply(request, nok(`OverflowError('${OPEN_AT_MOST} commands have not ended')`));
      return;
    }
    const panel = this.#panel;
    if (panel === null) return;
    let reply: unknown;
    try {
      reply = panel.run(request.method, this.#state, request.arguments);
    } catch (error) {
      this.#failed(request, error);
      return;
    }
    if (!(reply instanceof Promise)) {
      this.#reply(request, reply);
      return;
    }
    this.#open += 1;
    void reply
      .then(
        (value: unknown) => this.#reply(request, value),
        (error: unknown) => this.#failed(request, error),
      )
      .finally(() => {
        this.#open -= 1;
      });
  }

  #failed(request: ControlRequest, err: unknown): void {
    const { method } = request;
    this.#failures.say(err instanceof CommandError ? { method, reason: err.message } : { method, err });
    this.#reply(request, nok(errorRepr(err)));
  }

  #reply(request: ControlRequest, reply: unknown): void {
    const { replyTo, ticket } = request;
    // Only where replies go: a request must not make a worker write to a queue of its choice.
    if (reply === NO_REPLY || replyTo === null || replyTo.exchange !== this.#names.replyExchange) return;
    const { app, settings, logger } = this.#context;
    const node = settings.hostname;
    const serializer = app.conf.taskSerializer ?? "json";
    const encode = (value: unknown): WireMessage =>
      encodeReply({ node, reply: value ?? null, ticket, clock: app.lamport.forward() }, serializer);
    let message: WireMessage;
    try {
      message = encode(reply);
    } catch (error) {
      message = encode(nok(errorRepr(error)));
    }
    const waits = request.expires - app.clock.now() / 1000;
    const ttlSeconds = Math.min(Math.max(app.conf.controlQueueExpires ?? 10, waits + 1), LONGEST_TTL_SECONDS);
    const declaration = replyDeclaration(replyTo.routingKey, this.#names);
    this.#transport.answer({ message, declaration, ttlSeconds }).then(
      (delivered) => {
        if (!delivered) logger.debug({ method: request.method }, "nobody waits for a reply any more");
      },
      (err: unknown) => logger.warn({ method: request.method, err }, "a reply could not be sent"),
    );
  }
}

/** In one line. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
