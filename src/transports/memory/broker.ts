/**
 * What the transports of one `memory://` name share: queues, bindings, parked messages, subscriptions, results.
 * It knows no clock and no consumer's state: time and holders are its callers'.
 *
 * | state of a message | where | leaves by |
 * |---|---|---|
 * | queued | `QueueState.steps` | take, purge |
 * | held   | the consumer's map | settle, close, loss of the holder |
 * | parked | `#parked` | its time, on anybody's next take |
 * | dead   | the queue `<name>.dead` | an operator |
 */

import { DueHeap } from "../../base/due-heap.ts";
import type { BoundQueue, ConsumeOptions, ExchangeType, QueueDeclaration } from "../transport.ts";
import { MemoryChordTable } from "./chords.ts";
import { Deque } from "./deque.ts";
import { MemoryLimits } from "./limits.ts";
import { MemoryResults } from "./results.ts";
import { compileSubscription, compileTopic, hears, matchesTopic, type TopicPattern } from "./topic.ts";
import { type MemoryLocks, memoryLocks } from "./unique.ts";

/** One message, as the envelope that Redis would hold. */
export interface StoredMessage {
  readonly raw: string;
  /** Index into the priority steps. */
  readonly step: number;
  /** Deliveries whose holder was lost; null: what the envelope says. */
  readonly count: number | null;
  /** Delivered before. */
  readonly redelivered: boolean;
}

export interface QueueState {
  readonly name: string;
  /** Front is next out. Steps are made when first used. */
  readonly steps: Deque<StoredMessage>[];
  readonly listeners: Set<() => void>;
}

interface Binding {
  readonly routingKey: string;
  readonly pattern: TopicPattern | null;
  readonly queue: string;
}

interface Subscription {
  /** null: only messages without a routing key. */
  readonly pattern: TopicPattern | null;
  onRaw(raw: string): void;
}

type DeadListener = ConsumeOptions["onDead"];

/** Beyond these the dead list alone tells. */
const UNTOLD_AT_MOST = 1000;

export class MemoryBroker {
  readonly name: string;
  readonly results: MemoryResults = new MemoryResults();
  /** Queue -> when it was paused. Consumers take nothing from these. */
  readonly paused: Map<string, number> = new Map();
  readonly limits: MemoryLimits = new MemoryLimits((queue, message) => this.putBack(queue, message));
  readonly unique: MemoryLocks = memoryLocks();
  readonly chords: MemoryChordTable = new MemoryChordTable();
  readonly #queues = new Map<string, QueueState>();
  /** Exchange -> bindings by `routing key NUL queue`. */
  readonly #bindings = new Map<string, Map<string, Binding>>();
  readonly #parked = new DueHeap<{ readonly queue: string; readonly message: StoredMessage }>();
  readonly #subscriptions = new Map<string, Set<Subscription>>();
  /** Called when a message was parked: its time may be the next. */
  readonly #parkListeners = new Set<() => void>();
  /** Consumers that live, the oldest first. */
  readonly #deadListeners = new Set<DeadListener>();
  /** Messages that were given up while no consumer lived. */
  #untold: Parameters<DeadListener>[0][] = [];
  #tags = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** A tag that no other delivery of this broker has. */
  nextTag(): string {
    this.#tags += 1;
    return `mem:${this.#tags}`;
  }

  queue(name: string): QueueState {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { name, steps: [], listeners: new Set() };
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** Messages waiting; does not make the queue. */
  size(name: string): number {
    let size = 0;
    for (const step of this.#queues.get(name)?.steps ?? []) size += step.size;
    return size;
  }

  purge(name: string): number {
    const size = this.size(name);
    for (const step of this.#queues.get(name)?.steps ?? []) step.clear();
    return size;
  }

  /** Texts of a queue's first step, the newest first: what a dead list is. */
  texts(name: string): readonly string[] {
    const entries = this.#queues.get(name)?.steps[0]?.toArray() ?? [];
    return entries.map((one) => one.raw).toReversed();
  }

  /** Takes out the newest message with this text; false: it is gone. */
  remove(name: string, raw: string): boolean {
    return this.#queues.get(name)?.steps[0]?.remove((one) => one.raw === raw) ?? false;
  }

  /** The back: a new message, or one that was asked to wait its turn again. */
  push(name: string, message: StoredMessage): void {
    const queue = this.queue(name);
    stepOf(queue, message.step).pushBack(message);
    for (const wake of queue.listeners) wake();
  }

  /** The front, so that the caller puts the one that is to be first last. */
  putBack(name: string, message: StoredMessage): void {
    const queue = this.queue(name);
    stepOf(queue, message.step).pushFront(message);
    for (const wake of queue.listeners) wake();
  }

  /** Its consumers look again. */
  wake(name: string): void {
    for (const wake of this.#queues.get(name)?.listeners ?? []) wake();
  }

  bind(declaration: QueueDeclaration): void {
    const { exchange, name: queue, type, routingKey } = declaration;
    this.queue(queue);
    if (exchange === "") return;
    let bindings = this.#bindings.get(exchange);
    if (bindings === undefined) {
      bindings = new Map();
      this.#bindings.set(exchange, bindings);
    }
    const pattern = type === "topic" ? compileTopic(routingKey) : null;
    bindings.set(`${routingKey}\0${queue}`, { routingKey, pattern, queue });
  }

  /** The opposite of `bind`; what waits in the queue is gone. */
  unbind(declaration: QueueDeclaration): void {
    const { exchange, name, routingKey } = declaration;
    const bindings = this.#bindings.get(exchange);
    if (bindings?.delete(`${routingKey}\0${name}`) && bindings.size === 0) this.#bindings.delete(exchange);
    const queue = this.#queues.get(name);
    for (const step of queue?.steps ?? []) step.clear();
    if (queue?.listeners.size === 0) this.#queues.delete(name);
  }

  isBound({ exchange, name, routingKey }: QueueDeclaration): boolean {
    return this.#bindings.get(exchange)?.has(`${routingKey}\0${name}`) ?? false;
  }

  bindings(exchange: string): readonly BoundQueue[] {
    const bindings = [...(this.#bindings.get(exchange)?.values() ?? [])];
    return bindings.map(({ queue, routingKey }) => ({ queue, routingKey }));
  }

  /** Queues that a message goes to; none: it is dropped, as kombu does. */
  route(exchange: string, type: ExchangeType, routingKey: string): readonly string[] {
    if (exchange === "") return [routingKey];
    const queues = new Set<string>();
    for (const binding of this.#bindings.get(exchange)?.values() ?? []) {
      const matches =
        type === "topic" && binding.pattern !== null
          ? matchesTopic(binding.pattern, routingKey)
          : binding.routingKey === routingKey;
      if (matches) queues.add(binding.queue);
    }
    return [...queues];
  }

  park(queue: string, message: StoredMessage, untilMs: number): void {
    this.#parked.add(untilMs, { queue, message });
    for (const listener of this.#parkListeners) listener();
  }

  /** When the next parked message is due, or null. */
  nextDueMs(): number | null {
    return this.#parked.nextDueMs();
  }

  get parkedCount(): number {
    return this.#parked.size;
  }

  /** Moves what is due to the front of its step, earliest first out, unchanged. */
  releaseDue(nowMs: number): void {
    const dueMs = this.#parked.nextDueMs();
    if (dueMs === null || dueMs > nowMs) return;
    for (const one of this.#parked.takeDue(nowMs).toReversed()) this.putBack(one.queue, one.message);
  }

  onPark(listener: () => void): () => void {
    this.#parkListeners.add(listener);
    return () => this.#parkListeners.delete(listener);
  }

  /** Of messages that lost their holders too often; the first listener hears of what nobody has heard. */
  onDead(listener: DeadListener): () => void {
    this.#deadListeners.add(listener);
    const untold = this.#untold;
    this.#untold = [];
    for (const dead of untold) queueMicrotask(() => this.tellDead(dead));
    return () => this.#deadListeners.delete(listener);
  }

  /** To one consumer: a failure is stored once. */
  tellDead(dead: Parameters<DeadListener>[0]): void {
    const [listener] = this.#deadListeners;
    if (listener !== undefined) listener(dead);
    else if (this.#untold.length < UNTOLD_AT_MOST) this.#untold.push(dead);
  }

  subscribe(exchange: string, routingKey: string, onRaw: (raw: string) => void): () => void {
    const subscription: Subscription = { pattern: compileSubscription(routingKey), onRaw };
    const set = this.#subscriptions.get(exchange) ?? new Set();
    this.#subscriptions.set(exchange, set.add(subscription));
    return () => {
      if (set.delete(subscription) && set.size === 0 && this.#subscriptions.get(exchange) === set) {
        this.#subscriptions.delete(exchange);
      }
    };
  }

  /** Fanout: to whoever is subscribed now, later in this turn, in order; how many those are. */
  broadcast(exchange: string, routingKey: string, raw: string): number {
    let count = 0;
    for (const subscription of this.#subscriptions.get(exchange) ?? []) {
      if (!hears(subscription.pattern, routingKey)) continue;
      count += 1;
      queueMicrotask(() => {
        if (this.#subscriptions.get(exchange)?.has(subscription)) subscription.onRaw(raw);
      });
    }
    return count;
  }
}

function stepOf(queue: QueueState, index: number): Deque<StoredMessage> {
  while (queue.steps.length <= index) queue.steps.push(new Deque());
  return queue.steps[index] as Deque<StoredMessage>;
}

/** Live as long as the process: what is in a queue must outlast the transport that put it there. */
const brokers = new Map<string, MemoryBroker>();

/** The broker of a name; made on first use. */
export function memoryBroker(name: string): MemoryBroker {
  let broker = brokers.get(name);
  if (broker === undefined) {
    broker = new MemoryBroker(name);
    brokers.set(name, broker);
  }
  return broker;
}

/** Forgets a broker with all it holds; transports that are open keep the old one. */
export function dropMemoryBroker(name: string): void {
  brokers.delete(name);
}

/** The name in `memory://name`; the same for `cache+memory://name`. */
export function memoryName(url: string): string {
  const match = /^(?:cache\+)?memory:\/*([^/?#]*)/i.exec(url);
  return decodeURIComponent(match?.[1] ?? "");
}
