/**
 * Listens to events. Python: `celery/events/receiver.py`.
 *
 * | state   | start       | close      |
 * |---------|-------------|------------|
 * | idle    | -> starting | -> closed  |
 * | running |             | -> closed  |
 *
 * What comes is from strangers: a message that cannot be read, or that is no event, is counted and left out.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import { Service } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import { type AnyEvent, type EventOf, type EventType, readEvents, utcOffset } from "../protocol/events.ts";
import { encodeRequest, pidboxNames } from "../protocol/pidbox.ts";
import { deserialize } from "../protocol/serialization.ts";
import type { Limits, WireMessage } from "../protocol/wire.ts";
import type { Transport } from "../transports/transport.ts";

/** Handlers by type; `*` gets what has no handler of its own. */
export type EventHandlers = {
  readonly [T in EventType]?: ((event: EventOf<T>) => void) | undefined;
} & {
  /** Of a task's own: `task.sendEvent`. */
  readonly [type: `task-${string}`]: ((event: never) => void) | undefined;
} & {
  /** Every event without a handler of its own. */
  readonly "*"?: ((event: AnyEvent) => void) | undefined;
};

/** Options of `app.events.receiver`. */
export interface EventReceiverOptions {
  readonly handlers?: EventHandlers | undefined;
  /** `#`: all; `worker.#`, `task.failed`, … Events of workers' tasks come on `task.multi`. Default: `#`. */
  readonly routingKey?: string | undefined;
  /** Ask all workers for a heartbeat at the start. Default: true. */
  readonly wakeup?: boolean | undefined;
  /** Shift `timestamp` by the difference of time zones, as Celery does. Default: true. */
  readonly localize?: boolean | undefined;
  /** The connection was lost for a time: events may have been missed. */
  readonly onGap?: (() => void) | undefined;
}

/** When {@link EventReceiver.capture} ends by itself. */
export interface CaptureOptions {
  /** Events. */
  readonly limit?: number | undefined;
  /** Seconds without an event. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a receiver needs of its app. */
export interface EventReceiverContext {
  /** A transport of its own, not started. */
  openTransport(): Promise<Transport>;
  /** Loads the codec of `event_serializer`, if it needs one. */
  prepare(): Promise<void>;
  readonly settings: () => {
    readonly exchange: string;
    readonly controlExchange: string;
    /** Content that is read. */
    readonly accept: readonly string[];
  };
  readonly clock: Clock;
  readonly lamport: LamportClock;
  readonly logger: Logger;
  readonly limits: Limits;
}

/** After this nobody needs to look at a request for heartbeats any more. */
const WAKE_UP_SECONDS = 1;
/** Events that an iteration may be behind; then the oldest are left out. */
const BEHIND_AT_MOST = 10_000;

/** Listens to events: made by `app.events.receiver`. */
export class EventReceiver extends Service {
  readonly #context: EventReceiverContext;
  readonly #options: EventReceiverOptions;
  readonly #decode: EventDecoder;
  #transport: Transport | null = null;
  /** Of `capture` and of iterations. */
  readonly #listeners = new Set<(event: AnyEvent) => void>();

  constructor(context: EventReceiverContext, options: EventReceiverOptions = {}) {
    super();
    this.#context = context;
    this.#options = options;
    this.#decode = new EventDecoder(context, options);
  }

  /** Messages and events that could not be read. */
  get invalid(): number {
    return this.#decode.invalid;
  }

  /** Connects and listens. */
  protected async onStart(signal: AbortSignal): Promise<void> {
    await this.#context.prepare();
    const transport = await this.#context.openTransport();
    this.#transport = transport;
    await transport.start(signal);
    const { exchange } = this.#context.settings();
    await transport.subscribe({
      exchange,
      routingKey: this.#options.routingKey ?? "#",
      onMessage: (message) => this.#onMessage(message),
      onGap: () => this.#onGap(),
    });
    if (this.#options.wakeup !== false) await this.wakeUpWorkers();
  }

  /** Closes the connection. */
  protected async onStop(): Promise<void> {
    await this.#transport?.stop();
  }

  /** Asks all workers for a heartbeat now. */
  async wakeUpWorkers(): Promise<void> {
    const { clock, lamport, settings } = this.#context;
    const message = encodeRequest(
      {
        method: "heartbeat",
        arguments: {},
        destination: null,
        pattern: null,
        matcher: null,
        ticket: null,
        replyTo: null,
        clock: lamport.forward(),
        expires: clock.now() / 1000 + WAKE_UP_SECONDS,
      },
      "json",
    );
    const { exchange } = pidboxNames(settings().controlExchange);
    await this.#transport?.publish(
      [{ message, exchange, type: "fanout", routingKey: "", priority: 0 }],
      null,
    );
  }

  /** No more events. Idempotent. */
  close(): Promise<void> {
    return this.stop();
  }

  /** Starts, and resolves at the limit, after the timeout, or when the signal is aborted; the receiver is closed then. */
  async capture(options: CaptureOptions = {}): Promise<void> {
    const { limit = Number.POSITIVE_INFINITY, timeout, signal } = options;
    let seen = 0;
    let timer: Timer | null = null;
    let end: () => void = nothing;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const rearm = (): void => {
      timer?.cancel();
      if (timeout !== undefined) timer = this.#context.clock.setTimer(timeout * 1000, end);
    };
    const listener = (): void => {
      seen += 1;
      if (seen >= limit) end();
      else rearm();
    };
    this.#listeners.add(listener);
    this.stopSignal.addEventListener("abort", end, { once: true });
    signal?.addEventListener("abort", end, { once: true });
    try {
      await this.start(signal);
      rearm();
      if (!signal?.aborted) await ended;
    } finally {
      (timer as Timer | null)?.cancel();
      this.#listeners.delete(listener);
      signal?.removeEventListener("abort", end);
      await this.close();
    }
  }

  /** Starts, and gives every event; leaving the loop closes the receiver. */
  async *[Symbol.asyncIterator](): AsyncGenerator<AnyEvent, void, void> {
    const queue: AnyEvent[] = [];
    let wake: () => void = nothing;
    const listener = (event: AnyEvent): void => {
      if (queue.push(event) > BEHIND_AT_MOST) queue.shift();
      wake();
    };
    this.#listeners.add(listener);
    this.stopSignal.addEventListener("abort", () => wake(), { once: true });
    try {
      await this.start();
      while (!this.stopSignal.aborted) {
        const event = queue.shift();
        if (event !== undefined) yield event;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.#listeners.delete(listener);
      await this.close();
    }
  }

  #onMessage(message: WireMessage): void {
    const handlers = this.#options.handlers as
      | Readonly<Record<string, ((event: AnyEvent) => void) | undefined>>
      | undefined;
    for (const event of this.#decode.read(message)) {
      const own =
        handlers !== undefined && Object.hasOwn(handlers, event.type) ? handlers[event.type] : undefined;
      const handler = own ?? handlers?.["*"];
      if (handler !== undefined) this.#call(handler, event);
      for (const listener of this.#listeners) listener(event);
    }
  }

  /** A handler that throws does not keep the others from their events. */
  #call(handler: (event: AnyEvent) => unknown, event: AnyEvent): void {
    const failed = (err: unknown): void => {
      this.#context.logger.error({ type: event.type, err }, "a handler of events failed");
    };
    try {
      const ended = handler(event);
      if (ended instanceof Promise) ended.catch(failed);
    } catch (err) {
      failed(err);
    }
  }

  #onGap(): void {
    this.#context.logger.warn({}, "the connection was lost for a time: events may have been missed");
    this.#options.onGap?.();
  }
}

const nothing = (): void => {};

/** What reading events needs of an app. */
export interface EventDecoderContext
  extends Pick<EventReceiverContext, "clock" | "lamport" | "logger" | "limits"> {
  readonly settings: () => Pick<ReturnType<EventReceiverContext["settings"]>, "accept">;
}

/** From a message to events with `local_received`, in this process's time; keeps the logical clock. */
export class EventDecoder {
  readonly #context: EventDecoderContext;
  readonly #localize: boolean;
  /** Messages and events that could not be read. */
  invalid = 0;

  constructor(context: EventDecoderContext, options: { readonly localize?: boolean | undefined } = {}) {
    this.#context = context;
    this.#localize = options.localize ?? true;
  }

  read(message: WireMessage): readonly AnyEvent[] {
    const { contentType, contentEncoding } = message;
    const { accept } = this.#context.settings();
    let body: unknown;
    try {
      body = deserialize(message.body, {
        contentType,
        contentEncoding,
        accept,
        limits: this.#context.limits,
      });
    } catch (err) {
      this.invalid += 1;
      this.#context.logger.debug({ err }, "a message of events could not be read");
      return [];
    }
    const { events, invalid } = readEvents(body);
    this.invalid += invalid;
    const nowMs = this.#context.clock.now();
    return events.map((event) => this.#received(event, nowMs));
  }

  #received(event: AnyEvent, nowMs: number): AnyEvent {
    const { lamport } = this.#context;
    let { clock, timestamp } = event;
    if (event.type === "task-sent") {
      // Clients do not keep their clocks: it is put just before ours.
      clock = Math.max(0, (lamport.value || 1) - 1);
      lamport.adjust(clock);
    } else if (clock === null) clock = lamport.forward();
    else lamport.adjust(clock);
    if (this.#localize && event.utcoffset !== null) timestamp -= (event.utcoffset - utcOffset(nowMs)) * 3600;
    return { ...event, clock, timestamp, local_received: nowMs / 1000 };
  }
}
