/**
 * The queues an app knows, and where a message goes. Python: `Queues` and `send_task_message` of `celery/app/amqp.py`.
 *
 * A queue is known from `task_queues` (else the default queue alone), by `add`, or made at its first use
 * (`task_create_missing_queues`). A worker consumes the first two kinds; the third serves routing only.
 */
import { didYouMean } from "../base/nearest.ts";
import { ImproperlyConfigured, QueueNotFound } from "../errors.ts";
import { WORKER_DIRECT_EXCHANGE, workerDirect, workerOfDirectQueue } from "../protocol/nodenames.ts";
import type { ExchangeType, QueueDeclaration } from "../transports/transport.ts";
import type { ResolvedSettings } from "./internals.ts";
import { EXCHANGE_TYPES, queues as queuesType } from "./settings/structures.ts";
import type { Queue, Route } from "./settings-types.ts";

/** Ends the name of a list that holds what could not be decoded; never consumed unless asked for by name. */
const DEAD_SUFFIX = ".dead";
/** AMQP's limit, bytes. */
const MAX_NAME_BYTES = 255;
/** Queues made at first use and remembered at most: a caller may build names. */
const MAX_MADE = 10_000;

/** The options of a send that say where it goes. null and undefined: not given. */
export interface DestinationOptions {
  readonly queue?: string | null | undefined;
  readonly exchange?: string | null | undefined;
  readonly exchangeType?: string | null | undefined;
  readonly routingKey?: string | null | undefined;
}

/** Where one message goes. Shared between sends: do not change it. */
export interface Destination {
  /** `""`: straight to the queue named by `routingKey`. */
  readonly exchange: string;
  readonly type: ExchangeType;
  readonly routingKey: string;
  /** The queue that was meant; null where only an exchange is known. */
  readonly queue: string | null;
  /** To be declared before the publish; null where there is nothing to declare (an exchange alone, a broadcast). */
  readonly declaration: QueueDeclaration | null;
}

export type QueueSettings = Pick<
  ResolvedSettings,
  | "taskQueues"
  | "taskDefaultQueue"
  | "taskDefaultExchange"
  | "taskDefaultExchangeType"
  | "taskDefaultRoutingKey"
  | "taskCreateMissingQueues"
  | "taskCreateMissingQueueExchangeType"
>;

export class Queues {
  /** `task_default_queue`. */
  readonly defaultQueue: string;
  readonly #defaultExchange: string;
  readonly #defaultType: ExchangeType;
  readonly #defaultRoutingKey: string;
  readonly #createMissing: boolean;
  readonly #missingType: ExchangeType | null;
  /** Known queues: of the settings and of `add`. */
  readonly #known = new Map<string, QueueDeclaration>();
  /** Queues made at their first use. Written by `get`. */
  readonly #made = new Map<string, QueueDeclaration>();
  /** Destinations of sends that name at most a queue. Written by `#toQueue`. */
  readonly #straight = new Map<string, Destination>();

  constructor(settings: QueueSettings) {
    this.defaultQueue = checkedName(settings.taskDefaultQueue ?? "celery");
    this.#defaultExchange = settings.taskDefaultExchange ?? this.defaultQueue;
    this.#defaultType = exchangeType(settings.taskDefaultExchangeType ?? "direct");
    this.#defaultRoutingKey = settings.taskDefaultRoutingKey ?? this.defaultQueue;
    this.#createMissing = settings.taskCreateMissingQueues ?? true;
    const missing = settings.taskCreateMissingQueueExchangeType;
    this.#missingType = missing === null ? null : exchangeType(missing);
    const given = settings.taskQueues === null ? [] : (queuesType.read(settings.taskQueues) ?? []);
    for (const queue of given as readonly Queue[]) this.add(queue);
    if (this.#known.size === 0) this.add({ name: this.defaultQueue });
  }

  /** Names of the queues of the settings and of `add`, in order. */
  names(): readonly string[] {
    return [...this.#known.keys()];
  }

  /** Whether the name is of the settings, of `add`, or was made before. */
  has(name: string): boolean {
    return this.#known.has(name) || this.#made.has(name);
  }

  /** The queue's declaration; one that is not known is made, or QueueNotFound. */
  get(name: string): QueueDeclaration {
    const found = this.#known.get(name) ?? this.#made.get(name);
    if (found) return found;
    const worker = workerOfDirectQueue(name);
    if (!this.#createMissing && worker === null) throw new QueueNotFound(name, this.names());
    checkedName(name);
    const made: QueueDeclaration =
      worker === null
        ? Object.freeze({ name, exchange: name, type: this.#missingType ?? "direct", routingKey: name })
        : workerDirectQueue(worker);
    if (this.#made.size >= MAX_MADE) {
      this.#made.clear();
      this.#straight.clear();
    }
    this.#made.set(name, made);
    return made;
  }

  /** Makes a queue known, so that it is consumed by default too. What it leaves out comes from the default exchange. */
  add(queue: Queue): QueueDeclaration {
    const name = checkedName(queue.name);
    const type = queue.exchangeType ?? null;
    // A type of its own needs an exchange of its own: the default exchange has its type already.
    const exchange = queue.exchange || (type === null ? this.#defaultExchange : name);
    const declaration: QueueDeclaration = Object.freeze({
      name,
      exchange,
      type: type === null ? (queue.exchange ? "direct" : this.#defaultType) : exchangeType(type),
      routingKey: queue.routingKey || this.#defaultRoutingKey,
    });
    for (const other of this.#known.values()) {
      if (other.name !== name && other.exchange === exchange && other.type !== declaration.type) {
        throw new ImproperlyConfigured(
          `taskQueues: exchange ${JSON.stringify(exchange)} is ${other.type} for queue ${JSON.stringify(other.name)} and ${declaration.type} for queue ${JSON.stringify(name)}; an exchange has one type`,
        );
      }
    }
    this.#known.set(name, declaration);
    this.#made.delete(name);
    this.#straight.delete(name);
    return declaration;
  }

  /**
   * Where a send goes. `options` win over `route`. As in Celery, with a direct queue (the default one, where none is named)
   * an exchange counts only beside a routing key; every other message to a direct queue goes straight to the queue.
   */
  destination(options: DestinationOptions, route: Route | null): Destination {
    const queue = options.queue ?? route?.queue;
    const exchange = options.exchange ?? route?.exchange;
    const routingKey = options.routingKey ?? route?.routingKey;
    const type = options.exchangeType ?? route?.exchangeType;
    if (exchange == null && routingKey == null && type == null)
      return this.#toQueue(queue ?? this.defaultQueue);
    // AMQP's meaning of the empty exchange: the routing key is the queue's name.
    if (exchange === "" && routingKey && queue == null) return this.#toQueue(routingKey);
    const declared = this.get(queue ?? this.defaultQueue);
    const kind = type == null ? declared.type : exchangeType(type);
    if (kind === "direct" && !(exchange && routingKey)) return this.#toQueue(declared.name);
    // Of an exchange that is not known here kombu thinks that it is direct.
    const published = type == null && exchange ? (this.#exchangeNamed(exchange)?.type ?? "direct") : kind;
    return {
      exchange: exchange || declared.exchange,
      type: published,
      routingKey: routingKey || declared.routingKey,
      queue: queue ?? null,
      declaration: published === "fanout" || (exchange && queue == null) ? null : declared,
    };
  }

  /**
   * What a worker consumes: every known queue, or those of -Q (`select`); without those of -X (`exclude`). Dead lists
   * only when selected by name.
   *
   * @throws QueueNotFound, ImproperlyConfigured when nothing is left
   */
  consumed(select: readonly string[], exclude: readonly string[]): readonly QueueDeclaration[] {
    const without = new Set(exclude);
    for (const name of without) {
      if (!this.has(name) && !select.includes(name)) {
        throw new ImproperlyConfigured(
          `queue ${JSON.stringify(name)} is to be left out, and is not among ${list(select.length > 0 ? select : this.names())}${didYouMean(name, this.names())}`,
        );
      }
    }
    const wanted =
      select.length > 0 ? [...new Set(select)] : this.names().filter((name) => !name.endsWith(DEAD_SUFFIX));
    const left = wanted.filter((name) => !without.has(name));
    if (left.length === 0)
      throw new ImproperlyConfigured(`no queue is left to consume: ${list(wanted)} were all left out`);
    return left.map((name) => this.get(name));
  }

  #toQueue(name: string): Destination {
    const known = this.#straight.get(name);
    if (known) return known;
    const queue = this.get(name);
    const direct = queue.type === "direct";
    const destination: Destination = Object.freeze({
      exchange: direct ? "" : queue.exchange,
      type: queue.type,
      routingKey: direct ? name : queue.routingKey,
      queue: name,
      declaration: queue.type === "fanout" ? null : queue,
    });
    this.#straight.set(name, destination);
    return destination;
  }

  #exchangeNamed(exchange: string): QueueDeclaration | null {
    for (const queue of this.#known.values()) if (queue.exchange === exchange) return queue;
    return null;
  }
}

/** The queue of one worker, as Celery's `worker_direct` declares it. */
export function workerDirectQueue(hostname: string): QueueDeclaration {
  const name = checkedName(workerDirect(hostname));
  return Object.freeze({ name, exchange: WORKER_DIRECT_EXCHANGE, type: "direct", routingKey: hostname });
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.map((name) => JSON.stringify(name)).join(", ");
}

function exchangeType(value: string): ExchangeType {
  const found = EXCHANGE_TYPES.find((type) => type === value);
  if (found) return found;
  throw new ImproperlyConfigured(
    `exchange type ${JSON.stringify(value)} is not one of ${EXCHANGE_TYPES.join(", ")}`,
  );
}

/** A queue's name is a key at the broker: not empty, not endless, without control characters (kombu separates with them). */
function checkedName(name: string): string {
  const problem =
    name === ""
      ? "is empty"
      : Buffer.byteLength(name) > MAX_NAME_BYTES
        ? `is longer than ${MAX_NAME_BYTES} bytes`
        : /[\p{Cc}\p{Cs}]/u.test(name)
          ? "holds control characters"
          : null;
  if (problem === null) return name;
  throw new ImproperlyConfigured(`queue name ${JSON.stringify(name.slice(0, 60))} ${problem}`);
}
