/** The contract of every broker. One conformance suite (`test/conformance/transport.ts`) runs over all implementations. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Limits, WireMessage } from "../protocol/wire.ts";
import type { DeadLetter, DeadPage } from "./dead-letters.ts";
import type { Admission, LimitClaim, LimitState } from "./limits.ts";
import type { PausedQueues } from "./paused-queues.ts";
import type { UniqueEnd, UniqueLocks } from "./unique-locks.ts";

export type { DeadLetter, DeadPage } from "./dead-letters.ts";
export type { Admission, LimitClaim, LimitState } from "./limits.ts";
export type { PausedQueues } from "./paused-queues.ts";
export type { Claim, UniqueEnd, UniqueKey, UniqueLocks, UniqueMessage } from "./unique-locks.ts";

/** What a transport is opened with. */
export interface TransportOptions {
  readonly url: string;
  /** `broker_use_ssl`: TLS options of Node, or true. */
  readonly tls: boolean | Readonly<Record<string, unknown>> | null;
  /** `broker_transport_options`, names as kombu's or in camelCase. Unknown ones are an ImproperlyConfigured error. */
  readonly options: Readonly<Record<string, unknown>>;
  /** `producer`: publishes only; never fetches, restores or sweeps. */
  readonly role: "producer" | "worker";
  readonly logger: Logger;
  readonly clock: Clock;
  readonly limits: Limits;
  /** `task_default_queue`: its dead list takes what cannot be decoded. */
  readonly defaultQueue: string;
  /** `CLIENT SETNAME`, where the server has it. */
  readonly clientName: string | null;
}

export interface Transport {
  readonly capabilities: TransportCapabilities;
  /** Where the data lives, asked from the server itself (run id, file id), never from the URL. Known after `start`. */
  readonly location: StoreLocation;
  readonly paused: PausedQueues;
  readonly unique: UniqueLocks;
  /** Connects. Rejects with OperationalError; `PET_BROKER_REFUSED` when trying again is of no use. */
  start(signal: AbortSignal): Promise<void>;
  /** Idempotent. Outstanding settlements are sent first where the server answers. */
  stop(): Promise<void>;
  /** Binds before the first publish or fetch. Idempotent, remembered, repeated after a reconnect. */
  declare(queues: readonly QueueDeclaration[]): Promise<void>;
  /**
   * All in one round trip, in order. Resolves once the broker has them all. One attempt: rejects with an OperationalError
   * whose `outcome` says whether they may have been sent; the caller's policy decides on the next attempt.
   * Calls of one event-loop turn may share a command.
   */
  publish(messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void>;
  /**
   * Messages as they lie in the broker, for a backend at the same location to put there. null: none can, or where they go
   * is only known when they are sent (named exchanges, broadcasts).
   */
  encode(messages: readonly Outgoing[]): StoredMessages | null;
  consume(options: ConsumeOptions): Consumer;
  /** Fanout: best effort, re-subscribed after a reconnect; `onGap` says that messages may have been missed. */
  subscribe(options: {
    readonly exchange: string;
    readonly routingKey: string;
    onMessage(message: WireMessage): void;
    onGap(): void;
  }): Promise<{ close(): Promise<void> }>;
  /** Messages waiting in a queue, all priority steps. */
  size(queue: string): Promise<number>;
  /** Deletes what waits in a queue (never what is held); how many that were. */
  purge(queue: string): Promise<number>;
  /** A part of a queue's dead list, the newest first. */
  readDead(queue: string, page: DeadPage): Promise<readonly DeadLetter[]>;
  /** Deletes these entries; how many were still there. */
  removeDead(letters: readonly DeadLetter[]): Promise<number>;
  /**
   * Puts these messages at the back of the queues they were taken from; the count of their deliveries begins again. How many
   * were still there. What is no message stays where it is.
   */
  requeueDead(letters: readonly DeadLetter[]): Promise<number>;
  /** Limits over all workers that are in use: a task has a slot of them, or waits for one. By name. */
  readLimits(): Promise<readonly LimitState[]>;
  /** What is bound to an exchange, by whomever; a holder that died may still be there. */
  bindings(exchange: string): Promise<readonly BoundQueue[]>;
  /** The opposite of `declare`, for queues of this process alone: unbinds them and deletes what waits in them. Idempotent. */
  undeclare(queues: readonly QueueDeclaration[]): Promise<void>;
  /**
   * A queue that this process reads for itself: replies. Bound until it is closed; what comes is held by nobody. Best
   * effort. Producers may, too.
   */
  openMailbox(options: MailboxOptions): Promise<Mailbox>;
  /**
   * To a mailbox, of anybody. Never waits for a connection; false: no such mailbox is open. What nobody takes out is
   * deleted after `ttlSeconds`, in whole ones: its owner died.
   */
  answer(answer: Answer): Promise<boolean>;
}

export interface BoundQueue {
  readonly queue: string;
  readonly routingKey: string;
}

export interface MailboxOptions {
  readonly declaration: QueueDeclaration;
  onMessage(message: WireMessage): void;
}

export interface Mailbox {
  /** Unbinds and deletes the queue. Idempotent; nothing is heard afterwards. */
  close(): Promise<void>;
}

export interface Answer {
  readonly message: WireMessage;
  readonly declaration: QueueDeclaration;
  readonly ttlSeconds: number;
}

/** A capability that is absent is emulated by the worker or refused by name; the conformance suite branches on these only. */
export interface TransportCapabilities {
  /** ETA waits in the broker. */
  readonly parks: boolean;
  /** false: the connection is the lease (AMQP). */
  readonly leases: boolean;
  readonly atomicPublishMany: boolean;
  /** Can settle and store in one step, where locations match. */
  readonly storesResults: boolean;
  /** Survives the process. */
  readonly durable: boolean;
}

/** Identity of the place data is kept in. */
export type StoreLocation =
  | { readonly kind: "redis"; readonly runId: string; readonly db: number; readonly selectAllowed: boolean }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "memory"; readonly name: string }
  | { readonly kind: "other" };

export type ExchangeType = "direct" | "topic" | "fanout";

export interface QueueDeclaration {
  readonly name: string;
  readonly exchange: string;
  readonly type: ExchangeType;
  readonly routingKey: string;
}

export interface Outgoing {
  readonly message: WireMessage;
  /** `""`: straight to the queue named by `routingKey`. */
  readonly exchange: string;
  /** Type of `exchange`: fanout is broadcast, whether or not this process declared it. */
  readonly type: ExchangeType;
  readonly routingKey: string;
  /** 0-9; lower is served first on Redis. */
  readonly priority: number;
  /** Of a broadcast: how many hear it, called before `publish` resolves. Not called where the broker does not say. */
  onHeard?(count: number): void;
}

/** One hold of one message by this process. Identity is the object; `tag` is new for every delivery. */
export interface Delivery {
  readonly tag: string;
  readonly queue: string;
  readonly message: WireMessage;
  readonly redelivered: boolean;
  /** Earlier deliveries that ended in a lost holder (`x-delivery-count`); 0 the first time. */
  readonly deliveryCount: number;
  /** The broker's clock at fetch, ms since the epoch: compare an ETA with this, never with the host's. */
  readonly serverTimeMs: number;
  /** Nobody holds it: a broadcast. There is nothing to settle, and a lost one is not delivered again. */
  readonly unheld?: true;
}

export type ConsumerState = "connecting" | "reclaiming" | "live" | "waiting" | "closed";

export interface ConsumeOptions {
  readonly queues: readonly string[];
  /** As AMQP's prefetch: unsettled deliveries at most; parked ones do not count. 0 = take nothing. */
  readonly prefetch: number;
  onBatch(deliveries: readonly Delivery[]): void;
  /** What was settled is on its way: what is published now follows it, in the same write. */
  onSettled?(): void;
  /**
   * Not a task message, one that no envelope check lets through, or one that lost its holder too often, whoever that was:
   * already on the dead list when this is called. Of the last kind it is told again, by another consumer, when this one dies or
   * resolves with false.
   */
  onDead(dead: {
    readonly queue: string;
    readonly reason: string;
    readonly raw: string;
    readonly message: WireMessage | null;
  }): unknown;
  /** The lease is gone: drop it if not started; if running, finish (its settlement will answer "gone"). */
  onLost(deliveries: readonly Delivery[]): void;
  onState(state: ConsumerState): void;
  /** Nothing can be fetched, and trying again is of no use (`PET_BROKER_REFUSED`: permissions, a key of a wrong type). */
  onFatal?(error: Error): void;
}

export interface Consumer {
  readonly state: ConsumerState;
  /** When the broker last answered a fetch, be it with nothing, monotonic ms; null: never. One is sent every few seconds. */
  readonly fetchedMs: number | null;
  setPrefetch(limit: number): void;
  setQueues(queues: readonly string[]): void;
  /**
   * Batched per event-loop turn; re-sent after a reconnect until answered. "gone": the hold had ended already (lease
   * lost), so another worker may have, or get, the message.
   */
  settle(delivery: Delivery, as: Settlement): Promise<"done" | "gone">;
  /** Sends what this turn has settled: what is published next reaches the broker after it. */
  flush(): void;
  /**
   * To be called before a delivery with `deliveryCount > 0` starts to run: records the start, so that only messages that
   * really ran when their holder died are counted. First deliveries need no call.
   */
  markStarted(delivery: Delivery): Promise<void>;
  /**
   * To be called before a task with limits over all workers starts (`limits.ts`): in one step it gets what it needs, or waits in
   * the broker, held by nobody. An admitted delivery has its slot until it is settled, or `release`. Never
   * rejects.
   */
  admit(delivery: Delivery, claim: LimitClaim): Promise<Admission>;
  /** The run of an admitted delivery is over, or one that may have waited in a line is not to run. Idempotent. */
  release(delivery: Delivery, claim: LimitClaim): void;
  /** Tasks with such limits are served here: somebody has to call those that wait for a slot of a lost holder. */
  watchLimits(): void;
  /** No new fetch; resolves when the last one was answered. Settling stays possible until `close`. */
  pause(): Promise<void>;
  resume(): void;
  /** Puts back what was not settled: front of the queue, in order, delivery count unchanged. */
  close(): Promise<void>;
}

export type Settlement =
  /** `unique`: frees the key in the same step, unless the hold had ended. Not of an admitted delivery. */
  | { readonly kind: "ack"; readonly unique?: UniqueEnd | undefined }
  /** The same at the start of a run: an admitted delivery keeps its slot until `release`. */
  | { readonly kind: "ack-early" }
  /** Result first, ack second, one step. Only where `capabilities.storesResults` and the locations match. */
  | {
      readonly kind: "ack-with-result";
      readonly write: StoredWrite;
      readonly unique?: UniqueEnd | undefined;
    }
  /** `Reject(requeue=true)`: back of the queue, redelivered. */
  | { readonly kind: "requeue" }
  /** The process that ran it died of it: as if its holder was lost (`losses.ts`), told by `onDead` when it was too often. */
  | { readonly kind: "lost" }
  /** Wait in the broker until then (the broker's clock). */
  | { readonly kind: "park"; readonly untilMs: number }
  | { readonly kind: "dead"; readonly reason: string };

/** What a backend's `encode` made: a transport at the same location can write it (`backends/backend.ts`). */
export interface StoredWrite {
  readonly location: StoreLocation;
  readonly key: string;
  /** Bytes where the serializer is binary (msgpack). */
  readonly value: string | Buffer;
  /** Seconds; 0 or less keeps it for ever. */
  readonly ttlSeconds: number;
  /** Leave a stored SUCCESS alone. */
  readonly keepSuccess: boolean;
  /** Leave whatever is stored alone. Looked at by backends only. */
  readonly keepAny?: true;
}

/** What a transport's `encode` made: a backend at the same location can put it there (`backends/chords.ts`). */
export interface StoredMessages {
  readonly location: StoreLocation;
  /** In the order they are sent in. */
  readonly messages: readonly { readonly list: string; readonly text: string }[];
}

/** Same server or file, so that one step can settle and store. */
export function sameStore(a: StoreLocation, b: StoreLocation): boolean {
  switch (a.kind) {
    case "redis":
      return (
        b.kind === "redis" && a.runId === b.runId && (a.db === b.db || (a.selectAllowed && b.selectAllowed))
      );
    case "file":
      return b.kind === "file" && a.path === b.path;
    case "memory":
      return b.kind === "memory" && a.name === b.name;
    case "other":
      return false;
  }
}
