/**
 * The app's one connection for sending: opened by the first send, shared by all, closed with the app.
 *
 * | state   | publish                     | close                                  |
 * |---------|-----------------------------|----------------------------------------|
 * | idle    | opens; later ones wait too  | -> closed                              |
 * | opening | waits                       | waits for it, stops it, -> closed      |
 * | open    | at once                     | waits for sends in flight, -> closed   |
 * | closed  | rejects with `PET_CLOSED`   | same promise                           |
 *
 * A failed opening goes back to idle: the next attempt opens again.
 */
import { setMaxListeners } from "node:events";
import type { Clock } from "../base/clock.ts";
import { Turns } from "../base/turns.ts";
import { OperationalError, PetioleError, type PublishOutcome } from "../errors.ts";
import type {
  Outgoing,
  QueueDeclaration,
  StoredMessages,
  Transport,
  UniqueMessage,
} from "../transports/transport.ts";
import { isRetryable, type PublishPolicy, publishError, retryDelayMs } from "./publish-retry.ts";

/** Messages that are encoded and sent in one go: a few milliseconds. */
const PART = 500;

/** Puts messages into the broker in some other way than by its transport; false: it cannot. */
export type HandOver = (messages: StoredMessages) => Promise<boolean>;

/** What goes out in one round trip. */
export interface Batch {
  readonly messages: readonly Outgoing[];
  /** Of `messages`, those that the broker has. Written by the publisher. */
  readonly progress: { sent: number };
  /** Members with a key, and who is told who holds them; null: none. */
  readonly unique: {
    readonly messages: readonly UniqueMessage[];
    onHolders(ids: readonly string[]): void;
  } | null;
  /** Tried first; null: none. */
  readonly handOver: HandOver | null;
  readonly declarations: readonly QueueDeclaration[];
  readonly policy: PublishPolicy;
  /** Name and id of the first, for errors. */
  readonly task: string;
  readonly id: string;
}

export interface PublisherOptions {
  readonly clock: Clock;
  /** A new transport, not started. */
  readonly open: () => Promise<Transport>;
}

export class Publisher {
  readonly #clock: Clock;
  readonly #open: () => Promise<Transport>;
  /** Started. Written by `#opened` and `close`. */
  #transport: Transport | null = null;
  #opening: Promise<Transport> | null = null;
  /** Queues that the transport knows. Written by `#declare`. */
  readonly #declared = new Set<QueueDeclaration>();
  readonly #declaring = new Map<QueueDeclaration, Promise<void>>();
  /** Sends whose promise is open. Written by `begin` and `end`. */
  #inFlight = 0;
  #drained: (() => void) | null = null;
  #closing: Promise<void> | null = null;
  /** Ends waits between attempts when the app is closed. */
  readonly #abort = new AbortController();
  /** Ends an opening. Apart from `#abort`: a transport that is open outlives it until the last send has settled. */
  readonly #abortOpening = new AbortController();

  constructor(options: PublisherOptions) {
    this.#clock = options.clock;
    this.#open = options.open;
    // One listener per send that waits for its next attempt: as many as there are.
    setMaxListeners(0, this.#abort.signal);
  }

  /** Marks a send as begun. @throws PetioleError `PET_CLOSED` */
  begin(): void {
    if (this.#closing !== null) throw closed();
    this.#inFlight += 1;
  }

  /** The send that {@link begin} marked has settled. */
  end(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#drained?.();
  }

  /** The transport, when it can be published to at once; else use {@link publish}. */
  ready(declaration: QueueDeclaration | null): Transport | null {
    return declaration === null || this.#declared.has(declaration) ? this.#transport : null;
  }

  /** Opens and declares what is missing, and publishes, by the batch's policy. */
  async publish(batch: Batch): Promise<void> {
    const startedMs = this.#clock.monotonic();
    try {
      await this.#attempt(batch, this.#leftMs(batch, startedMs));
    } catch (error) {
      await this.recover(batch, error, startedMs);
    }
  }

  /** Goes on after a first attempt that failed. `startedMs`: monotonic, when it began. */
  async recover(batch: Batch, first: unknown, startedMs: number): Promise<void> {
    let error: unknown = first;
    let outcome: PublishOutcome = "not sent";
    for (let attempts = 1; ; attempts += 1) {
      if (!(error instanceof OperationalError)) throw error;
      if (error.outcome === "unknown") outcome = "unknown";
      const { maxRetries } = batch.policy;
      const waitMs = retryDelayMs(batch.policy, attempts - 1);
      const goOn =
        isRetryable(error) &&
        (maxRetries === null || attempts <= maxRetries) &&
        this.#leftMs(batch, startedMs) > waitMs &&
        (await this.#sleep(waitMs));
      if (batch.progress.sent > 0) outcome = "unknown";
      if (!goOn) throw publishError({ what: nameOf(batch), attempts, outcome, cause: error });
      try {
        await this.#attempt(batch, this.#leftMs(batch, startedMs));
        return;
      } catch (next) {
        error = next;
      }
    }
  }

  /** Waits for the sends in flight, then stops. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#abort.abort();
    if (this.#transport === null) this.#abortOpening.abort();
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    const transport = this.#transport ?? (await this.#opening?.catch(() => null)) ?? null;
    this.#transport = null;
    await transport?.stop();
  }

  /** ms that the policy leaves; Infinity: no end. */
  #leftMs(batch: Batch, startedMs: number): number {
    const { timeoutMs } = batch.policy;
    return timeoutMs === null ? Infinity : timeoutMs - (this.#clock.monotonic() - startedMs);
  }

  async #attempt(batch: Batch, leftMs: number): Promise<void> {
    if (leftMs === Infinity) return this.#try(batch, null);
    const abort = new AbortController();
    const late = new OperationalError("the broker did not answer in time", { outcome: "not sent" });
    const timer = this.#clock.setTimer(leftMs, () => abort.abort(late));
    try {
      await this.#try(batch, abort.signal);
    } finally {
      timer.cancel();
    }
  }

  /** Opening is shared: who runs out of time leaves it to the others. */
  async #try(batch: Batch, signal: AbortSignal | null): Promise<void> {
    const transport = this.#transport ?? (await until(this.#opened(), signal));
    for (const declaration of batch.declarations) {
      if (!this.#declared.has(declaration)) await until(this.#declare(transport, declaration), signal);
    }
    const { messages, unique, handOver } = batch;
    if (handOver !== null && unique === null) {
      const encoded = await encodedBy(transport, messages);
      if (encoded !== null && (await handOver(encoded))) return;
    }
    // First, for it may be repeated when the rest fails.
    if (unique !== null) unique.onHolders(await transport.unique.publish(unique.messages, signal));
    await publishParts(transport, batch, signal);
  }

  #opened(): Promise<Transport> {
    if (this.#opening !== null) return this.#opening;
    const opening = this.#start();
    this.#opening = opening;
    const over = (): void => {
      if (this.#opening === opening) this.#opening = null;
    };
    opening.then(over, over);
    return opening;
  }

  async #start(): Promise<Transport> {
    const transport = await this.#open();
    try {
      await transport.start(this.#abortOpening.signal);
    } catch (error) {
      await transport.stop().catch(() => {});
      throw error;
    }
    this.#transport = transport;
    return transport;
  }

  #declare(transport: Transport, declaration: QueueDeclaration): Promise<void> {
    const known = this.#declaring.get(declaration);
    if (known !== undefined) return known;
    const declaring = transport.declare([declaration]).then(() => {
      this.#declared.add(declaration);
    });
    this.#declaring.set(declaration, declaring);
    const over = (): void => {
      this.#declaring.delete(declaration);
    };
    declaring.then(over, over);
    return declaring;
  }

  /** false: the app was closed meanwhile. */
  #sleep(ms: number): Promise<boolean> {
    const { signal } = this.#abort;
    if (signal.aborted) return Promise.resolve(false);
    if (ms <= 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (goOn: boolean): void => {
        timer.cancel();
        signal.removeEventListener("abort", stop);
        resolve(goOn);
      };
      const stop = (): void => end(false);
      const timer = this.#clock.setTimer(ms, () => end(true));
      signal.addEventListener("abort", stop);
    });
  }
}

/**
 * In order. What the broker has is not sent again when a later part has to be. A transport that publishes many messages in
 * one step gets them all.
 */
async function publishParts(transport: Transport, batch: Batch, signal: AbortSignal | null): Promise<void> {
  const { messages, progress } = batch;
  if (messages.length <= PART || transport.capabilities.atomicPublishMany)
    return transport.publish(messages, signal);
  while (progress.sent < messages.length) {
    const part = messages.slice(progress.sent, progress.sent + PART);
    await transport.publish(part, signal);
    progress.sent += part.length;
  }
}

/** null: the transport cannot say what it would send. */
async function encodedBy(
  transport: Transport,
  messages: readonly Outgoing[],
): Promise<StoredMessages | null> {
  const turns = new Turns();
  const all: StoredMessages["messages"][number][] = [];
  let location: StoredMessages["location"] | null = null;
  for (let from = 0; from < messages.length; from += PART) {
    const part = transport.encode(messages.slice(from, from + PART));
    if (part === null) return null;
    location = part.location;
    all.push(...part.messages);
    if (turns.isOver) await turns.next();
  }
  return location === null ? null : { location, messages: all };
}

/** `promise`, or the signal's reason. */
function until<T>(promise: Promise<T>, signal: AbortSignal | null): Promise<T> {
  if (signal === null) return promise;
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

function nameOf(batch: Batch): string {
  const more = batch.messages.length + (batch.unique?.messages.length ?? 0) - 1;
  return `task ${batch.task}[${batch.id}]${more > 0 ? ` and ${more} more` : ""}`;
}

function closed(): PetioleError {
  return new PetioleError("PET_CLOSED", "the app was closed: it sends nothing any more");
}
