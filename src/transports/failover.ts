/**
 * Several broker URLs: the first that answers at the start is used from then on. Python counterpart: kombu's
 * `failover_strategy`, of which this is the start; a broker that is lost later is waited for.
 */
import type { Logger } from "../base/logger.ts";
import { redactUrl } from "../base/redact-url.ts";
import { OperationalError, PetioleError } from "../errors.ts";
import type {
  Answer,
  BoundQueue,
  ConsumeOptions,
  Consumer,
  DeadLetter,
  DeadPage,
  LimitState,
  Mailbox,
  MailboxOptions,
  Outgoing,
  PausedQueues,
  QueueDeclaration,
  StoredMessages,
  StoreLocation,
  Transport,
  TransportCapabilities,
  UniqueLocks,
} from "./transport.ts";

/** A URL and how to open its transport. */
export interface Candidate {
  readonly url: string;
  open(): Transport;
}

export class FailoverTransport implements Transport {
  readonly #candidates: readonly Candidate[];
  readonly #logger: Logger;
  /** The one in use; before the start the first, whose capabilities stand for all. Written by `start`. */
  #current: Transport;
  #starting: Promise<void> | null = null;
  #stopped = false;

  constructor(candidates: readonly [Candidate, ...Candidate[]], logger: Logger) {
    this.#candidates = candidates;
    this.#logger = logger;
    this.#current = candidates[0].open();
  }

  get capabilities(): TransportCapabilities {
    return this.#current.capabilities;
  }

  get location(): StoreLocation {
    return this.#current.location;
  }

  get paused(): PausedQueues {
    return this.#current.paused;
  }

  get unique(): UniqueLocks {
    return this.#current.unique;
  }

  /** Rejects with the failures of all when none answers; may then be called again. */
  start(signal: AbortSignal): Promise<void> {
    this.#starting ??= this.#startAny(signal).catch((error: unknown) => {
      this.#starting = null;
      throw error;
    });
    return this.#starting;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#current.stop();
  }

  declare(queues: readonly QueueDeclaration[]): Promise<void> {
    return this.#current.declare(queues);
  }

  publish(messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void> {
    return this.#current.publish(messages, signal);
  }

  encode(messages: readonly Outgoing[]): StoredMessages | null {
    return this.#current.encode(messages);
  }

  consume(options: ConsumeOptions): Consumer {
    return this.#current.consume(options);
  }

  subscribe(options: Parameters<Transport["subscribe"]>[0]): Promise<{ close(): Promise<void> }> {
    return this.#current.subscribe(options);
  }

  size(queue: string): Promise<number> {
    return this.#current.size(queue);
  }

  purge(queue: string): Promise<number> {
    return this.#current.purge(queue);
  }

  readDead(queue: string, page: DeadPage): Promise<readonly DeadLetter[]> {
    return this.#current.readDead(queue, page);
  }

  removeDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#current.removeDead(letters);
  }

  requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#current.requeueDead(letters);
  }

  readLimits(): Promise<readonly LimitState[]> {
    return this.#current.readLimits();
  }

  bindings(exchange: string): Promise<readonly BoundQueue[]> {
    return this.#current.bindings(exchange);
  }

  undeclare(queues: readonly QueueDeclaration[]): Promise<void> {
    return this.#current.undeclare(queues);
  }

  openMailbox(options: MailboxOptions): Promise<Mailbox> {
    return this.#current.openMailbox(options);
  }

  answer(answer: Answer): Promise<boolean> {
    return this.#current.answer(answer);
  }

  async #startAny(signal: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    for (const [index, candidate] of this.#candidates.entries()) {
      const transport = failures.length === 0 && index === 0 ? this.#current : candidate.open();
      this.#current = transport;
      try {
        await transport.start(signal);
        return;
      } catch (error) {
        failures.push(error);
        await transport.stop().catch(() => {});
        // The next start begins with a transport that was not stopped.
        this.#current = (this.#candidates[0] ?? candidate).open();
        if (signal.aborted || this.#stopped) throw error;
        this.#logger.warn(
          { url: redactUrl(candidate.url), err: error },
          "broker not reached, trying the next",
        );
      }
    }
    throw this.#failed(failures);
  }

  /** Refused by all (`PET_BROKER_REFUSED`) is worth no other attempt; one that may come back is. */
  #failed(failures: readonly unknown[]): OperationalError {
    const refused = failures.every(
      (error) => error instanceof PetioleError && error.code === "PET_BROKER_REFUSED",
    );
    const text = failures.map((error) => (error instanceof Error ? error.message : String(error))).join("; ");
    return new OperationalError(`none of ${failures.length} brokers could be used: ${text}`, {
      code: refused ? "PET_BROKER_REFUSED" : "PET_BROKER_UNREACHABLE",
      cause: new AggregateError(failures),
    });
  }
}
