/** `task_send_sent_event`: a client tells of each task that it has sent. Python: `celery/app/amqp.py`. */
import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import type { Logger } from "../base/logger.ts";
import { EventDispatcher } from "../events/dispatcher.ts";
import type { Transport } from "../transports/transport.ts";
import type { ResolvedSettings } from "./internals.ts";
import type { Built } from "./send-builder.ts";

export interface SentEventsOptions {
  readonly conf: ResolvedSettings;
  readonly clock: Clock;
  readonly lamport: LamportClock;
  readonly logger: Logger;
  /** That tasks go out on; null: it is not open. */
  readonly transport: () => Transport | null;
  readonly loadCodec: (name: string) => Promise<void>;
}

/** Of the message's headers, by the names that they have in the event. */
const FIELDS = [
  ["uuid", "id"],
  ["root_id", "root_id"],
  ["parent_id", "parent_id"],
  ["name", "task"],
  ["args", "argsrepr"],
  ["kwargs", "kwargsrepr"],
  ["retries", "retries"],
  ["eta", "eta"],
  ["expires", "expires"],
] as const;

export class SentEvents {
  readonly #dispatcher: EventDispatcher;
  readonly #logger: Logger;
  /** The codec of `event_serializer`, on its way; null: none is needed, or it is there. */
  #loading: Promise<void> | null = null;

  constructor(options: SentEventsOptions) {
    const { conf, clock, lamport, logger, transport } = options;
    const serializer = conf.eventSerializer ?? "json";
    this.#logger = logger;
    this.#dispatcher = new EventDispatcher({
      hostname: `gen${process.pid}@${hostname()}`,
      exchange: conf.eventExchange ?? "celeryev",
      serializer,
      publish: (messages) => transport()?.publish(messages, null) ?? null,
      clock,
      lamport,
      logger,
    });
    if (serializer === "json") return;
    this.#loading = options.loadCodec(serializer).finally(() => {
      this.#loading = null;
    });
    this.#loading.catch(() => {});
  }

  /** The broker has this message. */
  sent(built: Built): void {
    if (this.#loading === null) this.#send(built);
    else this.#loading.then(() => this.#send(built), this.#failed);
  }

  #send({ outgoing, queue }: Built): void {
    const { message, exchange, routingKey } = outgoing;
    const fields: Record<string, unknown> = {};
    for (const [field, header] of FIELDS) fields[field] = message.headers[header] ?? null;
    try {
      this.#dispatcher.send("task-sent", { ...fields, queue, exchange, routing_key: routingKey });
    } catch (err) {
      this.#failed(err);
    }
  }

  readonly #failed = (err: unknown): void => {
    this.#logger.warn({ err }, "the event of a task that was sent could not be published");
  };
}
