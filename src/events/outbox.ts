/**
 * Events on their way to the broker. While it does not answer they wait here, bounded by number and by bytes: the oldest go
 * first, and the log says how many. Nobody waits for an event, and none fails what it tells of.
 *
 * | state    | put                 | answered        | refused "not sent"  | pause over |
 * |----------|---------------------|-----------------|---------------------|------------|
 * | sending  | sent, or waits while enough are under way | next ones | -> pausing, waits in front | |
 * | pausing  | waits               |                 | waits in front      | -> sending |
 * | closed   | dropped             |                 | dropped             |            |
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OperationalError } from "../errors.ts";
import type { Outgoing } from "../transports/transport.ts";

/** Under way and unanswered at most. */
const UNDER_WAY_AT_MOST = 64;
const PAUSE_MS = 1_000;

export interface OutboxLimits {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** 10,000 events, 8 MiB. */
export const OUTBOX_LIMITS: OutboxLimits = { maxEvents: 10_000, maxBytes: 8 * 1024 * 1024 };

export interface OutboxOptions {
  /** null: there is no connection yet. */
  readonly publish: (messages: readonly Outgoing[]) => Promise<void> | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: OutboxLimits;
}

/** One message of one or more events. */
export interface EventMessage {
  readonly outgoing: Outgoing;
  readonly events: number;
  /** UTF-16 units or bytes of the body. */
  readonly size: number;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #limits: OutboxLimits;
  /** Oldest first. */
  #waiting: EventMessage[] = [];
  #waitingEvents = 0;
  #waitingBytes = 0;
  #underWay = 0;
  #pause: Timer | null = null;
  #closed = false;
  /** Since the log said so last. */
  #dropped = 0;
  /** Events that were dropped since the start. */
  dropped = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#limits = options.limits ?? OUTBOX_LIMITS;
  }

  /** Events that wait. */
  get waiting(): number {
    return this.#waitingEvents;
  }

  /** Sends them in one write, or keeps them. */
  put(messages: readonly EventMessage[]): void {
    if (this.#closed) return this.#dropAll(messages);
    if (this.#pause === null && this.#waiting.length === 0 && this.#underWay < UNDER_WAY_AT_MOST) {
      return this.#send(messages);
    }
    for (const message of messages) {
      this.#waiting.push(message);
      this.#count(message, 1);
    }
    this.#shrink();
  }

  /** What waits is given up. */
  close(): void {
    this.#closed = true;
    this.#pause?.cancel();
    this.#pause = null;
    this.#dropAll(this.#waiting);
    this.#waiting = [];
    this.#waitingEvents = 0;
    this.#waitingBytes = 0;
    this.#sayDropped();
  }

  #send(messages: readonly EventMessage[]): void {
    const sent = this.#options.publish(messages.map((one) => one.outgoing));
    if (sent === null) return this.#refused(messages, true);
    this.#underWay += messages.length;
    sent.then(
      () => this.#answered(messages.length),
      (error: unknown) => {
        this.#underWay -= messages.length;
        this.#failed(messages, error);
      },
    );
  }

  #answered(count: number): void {
    this.#underWay -= count;
    if (this.#waiting.length > 0) this.#pump();
    else if (this.#dropped > 0) this.#sayDropped();
  }

  #failed(messages: readonly EventMessage[], error: unknown): void {
    // What may have arrived is not sent twice: monitors count.
    const again = error instanceof OperationalError && error.outcome === "not sent";
    if (!again) {
      this.#options.logger.debug({ err: error }, "events could not be published");
    }
    this.#refused(messages, again);
  }

  #refused(messages: readonly EventMessage[], again: boolean): void {
    if (!again || this.#closed) this.#dropAll(messages);
    else {
      this.#waiting.unshift(...messages);
      for (const message of messages) this.#count(message, 1);
      this.#shrink();
    }
    if (this.#closed || this.#pause !== null) return;
    this.#pause = this.#options.clock.setTimer(
      PAUSE_MS,
      () => {
        this.#pause = null;
        this.#pump();
      },
      { unref: true },
    );
  }

  #pump(): void {
    if (this.#pause !== null || this.#underWay >= UNDER_WAY_AT_MOST) return;
    const messages = this.#waiting.splice(0, UNDER_WAY_AT_MOST - this.#underWay);
    if (messages.length === 0) return;
    for (const message of messages) this.#count(message, -1);
    this.#send(messages);
  }

  #shrink(): void {
    const { maxEvents, maxBytes } = this.#limits;
    while (this.#waitingEvents > maxEvents || this.#waitingBytes > maxBytes) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) return;
      this.#count(oldest, -1);
      if (this.#dropped === 0) {
        this.#options.logger.warn(
          { waiting: this.#waitingEvents },
          "the broker takes no events: the oldest ones that wait are dropped",
        );
      }
      this.#drop(oldest);
    }
  }

  #count(message: EventMessage, sign: 1 | -1): void {
    this.#waitingEvents += sign * message.events;
    this.#waitingBytes += sign * message.size;
  }

  #dropAll(messages: readonly EventMessage[]): void {
    for (const message of messages) this.#drop(message);
  }

  #drop(message: EventMessage): void {
    this.#dropped += message.events;
    this.dropped += message.events;
  }

  #sayDropped(): void {
    if (this.#dropped === 0) return;
    this.#options.logger.warn({ dropped: this.#dropped }, "events were dropped while the broker was away");
    this.#dropped = 0;
  }
}
