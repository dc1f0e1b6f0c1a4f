/**
 * Publishes events. Those of tasks are collected and sent in lists, at the end of the event loop's turn or when a list is
 * full; all others are sent at once. Python: `celery/events/dispatcher.py`.
 */
import type { Clock } from "../base/clock.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import type { Logger } from "../base/logger.ts";
import { EVENTS_IN_LIST, eventGroup, routingKeyOf, TASK_MULTI } from "../protocol/events.ts";
import { stringifyJson } from "../protocol/json.ts";
import { serialize } from "../protocol/serialization.ts";
import type { WireMessage } from "../protocol/wire.ts";
import type { Outgoing } from "../transports/transport.ts";
import { EventText } from "./event-text.ts";
import { type EventMessage, Outbox, type OutboxLimits } from "./outbox.ts";

export interface EventDispatcherOptions {
  /** Node name; `gen{pid}@{host}` for a client. */
  readonly hostname: string;
  /** `event_exchange`. */
  readonly exchange: string;
  /** `event_serializer`; its codec is loaded. */
  readonly serializer: string;
  /** Of the transport that events go out on; null: there is none yet. */
  readonly publish: (messages: readonly Outgoing[]) => Promise<void> | null;
  /** Called before events of tasks are sent; may call `flush` itself. */
  readonly beforeTasks?: () => void;
  readonly clock: Clock;
  readonly lamport: LamportClock;
  readonly logger: Logger;
  /** Groups of events that are sent; null: all. */
  readonly groups?: readonly string[] | null;
  readonly limits?: OutboxLimits;
}

const JSON_TYPE = "application/json";
const PROPERTIES: WireMessage["properties"] = Object.freeze({ delivery_mode: 1 });

export class EventDispatcher {
  readonly hostname: string;
  /** Groups that are sent; null: all. Written by `enable` and `disable`. */
  #groups: Set<string> | null;
  readonly #exchange: string;
  readonly #serializer: string;
  readonly #headers: WireMessage["headers"];
  readonly #text: EventText;
  readonly #outbox: Outbox;
  readonly #beforeTasks: (() => void) | null;
  /** Events of tasks, joined by commas; sent by `flush`. */
  #list = "";
  #listed = 0;
  /** Full ones, of this turn. */
  #lists: EventMessage[] = [];
  #scheduled = false;

  constructor(options: EventDispatcherOptions) {
    const { hostname, clock, lamport, logger, publish, limits, groups = null } = options;
    this.hostname = hostname;
    this.#exchange = options.exchange;
    this.#beforeTasks = options.beforeTasks ?? null;
    this.#serializer = options.serializer;
    this.#groups = groups === null ? null : new Set(groups);
    this.#headers = Object.freeze({ hostname });
    this.#text = new EventText({ hostname, pid: process.pid, clock, lamport });
    this.#outbox = new Outbox({ publish, clock, logger, ...(limits ? { limits } : {}) });
  }

  /** Whether events of this group are sent. */
  sends(group: string): boolean {
    return this.#groups === null || this.#groups.has(group);
  }

  /** Events that were dropped since the start. */
  get dropped(): number {
    return this.#outbox.dropped;
  }

  /** Sends events of a group from now on. */
  enable(group: string): void {
    this.#groups?.add(group);
  }

  /** Sends none of a group any more. `known`: the groups that are left, where all were sent. */
  disable(group: string, known: readonly string[]): void {
    this.#groups ??= new Set(known);
    this.#groups.delete(group);
  }

  /** One event, at once; its fields are plain data. @throws EncodeError */
  send(type: string, fields: Readonly<Record<string, unknown>>): void {
    const text = stringifyJson(fields, `event ${type}`);
    this.sendText(type, text === "{}" ? "" : `,${text.slice(1, -1)}`);
  }

  /** As {@link send}, with the fields as the inside of a JSON object and a comma in front. */
  sendText(type: string, fields: string): void {
    if (!this.sends(eventGroup(type))) return;
    this.publishText(type, fields);
  }

  /** As {@link sendText}, whatever the groups say. */
  publishText(type: string, fields: string): void {
    this.#outbox.put([this.#message(routingKeyOf(type), this.#text.write(type, fields), 1)]);
  }

  /** Collects an event of a task. Whoever calls has asked {@link sends}. */
  collect(type: string, fields: string): void {
    const text = this.#text.write(type, fields);
    this.#list = this.#listed === 0 ? text : `${this.#list},${text}`;
    this.#listed += 1;
    if (this.#listed >= EVENTS_IN_LIST) this.#endList();
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#onTurn);
    }
  }

  readonly #onTurn = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  /** Sends what was collected, in one write. */
  flush(): void {
    this.#endList();
    if (this.#lists.length === 0) return;
    this.#beforeTasks?.();
    // Taken along by what was sent before.
    if (this.#lists.length === 0) return;
    const lists = this.#lists;
    this.#lists = [];
    this.#outbox.put(lists);
  }

  #endList(): void {
    if (this.#listed === 0) return;
    this.#lists.push(this.#message(TASK_MULTI, `[${this.#list}]`, this.#listed));
    this.#list = "";
    this.#listed = 0;
  }

  /** Sends what was collected; what still waits for the broker is given up. */
  close(): void {
    this.flush();
    this.#outbox.close();
  }

  #message(routingKey: string, text: string, events: number): EventMessage {
    const message = this.#wire(text);
    return {
      outgoing: { message, exchange: this.#exchange, type: "fanout", routingKey, priority: 0 },
      events,
      size: message.body.length,
    };
  }

  #wire(text: string): WireMessage {
    const headers = this.#headers;
    if (this.#serializer === "json") {
      return {
        body: text,
        contentType: JSON_TYPE,
        contentEncoding: "utf-8",
        headers,
        properties: PROPERTIES,
      };
    }
    return { ...serialize(JSON.parse(text), this.#serializer), headers, properties: PROPERTIES };
  }
}
