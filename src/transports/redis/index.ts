/**
 * The Redis transport. A producer loads nothing of the consumer's side, and never fetches, restores or sweeps.
 *
 * Connections of a worker: data (publish, fetch, settle), wake-up, leases (in a thread), pub/sub.
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { PetioleError } from "../../errors.ts";
import type { RedisArg, RedisConnection } from "../../redis/connection.ts";
import type { ConnectionState } from "../../redis/connection-states.ts";
import { RedisError } from "../../redis/errors.ts";
import { closedError, RedisSession, type SessionOptions } from "../../redis/session.ts";
import { parseRedisUrl, type RedisAddress } from "../../redis/url.ts";
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
  TransportOptions,
  UniqueLocks,
} from "../transport.ts";
import { bindingMember, parseBindings } from "./bindings.ts";
import type { ConsumerContext, RedisConsumer } from "./consumer.ts";
import type { DeadLists } from "./dead.ts";
import type { Fanout } from "./fanout.ts";
import { RedisKeys } from "./keys.ts";
import { type RedisTransportSettings, readOptions } from "./options.ts";
import type { RedisPausedQueues } from "./paused.ts";
import { Publisher } from "./publisher.ts";
import type { RedisUniqueLocks } from "./unique.ts";

/** What only tests set. */
export interface RedisTransportInternals {
  readonly settings?: Partial<RedisTransportSettings>;
  readonly random?: () => number;
}

/** Opens the transport of a `redis://`, `rediss://`, `redis+socket://` or `unix://` URL; it connects in `start`. */
export function openRedisTransport(
  options: TransportOptions,
  internals: RedisTransportInternals = {},
): RedisTransport {
  return new RedisTransport(options, internals);
}

/** The consumer's side, loaded by `start` of a worker. */
type MakeConsumer = (context: ConsumerContext, options: ConsumeOptions) => RedisConsumer;

export class RedisTransport implements Transport {
  readonly capabilities: TransportCapabilities = {
    parks: true,
    leases: true,
    atomicPublishMany: false,
    storesResults: true,
    durable: true,
  };
  readonly paused: PausedQueues = {
    pause: async (queues) => (await this.#pausedQueues()).pause(queues),
    resume: async (queues) => (await this.#pausedQueues()).resume(queues),
    list: async () => (await this.#pausedQueues()).list(),
  };
  readonly unique: UniqueLocks = {
    publish: async (messages, signal) => (await this.#uniqueLocks()).publish(messages, signal),
    claim: async (unique, id) => (await this.#uniqueLocks()).claim(unique, id),
    release: async (unique, id) => (await this.#uniqueLocks()).release(unique, id),
  };
  readonly #options: TransportOptions;
  readonly #internals: RedisTransportInternals;
  readonly #settings: RedisTransportSettings;
  readonly #address: RedisAddress;
  readonly #keys: RedisKeys;
  readonly #session: RedisSession;
  readonly #publisher: Publisher;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** By exchange: members of its binding set. Written by `declare`. */
  readonly #bindings = new Map<string, Set<string>>();
  readonly #consumers = new Set<RedisConsumer>();
  readonly #mailboxes = new Set<Mailbox>();
  #makeConsumer: MakeConsumer | null = null;
  #fanout: Promise<Fanout> | null = null;
  /** Loaded by the first unique task. */
  #unique: Promise<RedisUniqueLocks> | null = null;
  #stopping: Promise<void> | null = null;
  #location: StoreLocation = { kind: "other" };

  constructor(options: TransportOptions, internals: RedisTransportInternals) {
    this.#options = options;
    this.#internals = internals;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#settings = readOptions(options.options, internals.settings);
    this.#address = parseRedisUrl(options.url, options.tls);
    for (const warning of this.#address.warnings) {
      this.#logger.warn(
        { address: this.#address.redacted, warning },
        "the broker URL or its TLS options need a look",
      );
    }
    if (options.role === "worker" && this.#settings.visibilityTimeoutMs < 60_000) {
      this.#logger.warn(
        { seconds: this.#settings.visibilityTimeoutMs / 1000 },
        "a visibility_timeout below 60 s makes Python workers run long tasks twice",
      );
    }
    this.#keys = new RedisKeys(this.#settings, this.#address.db);
    this.#session = new RedisSession({
      ...this.#connectOptions(),
      reclaim: (connection) => this.#reclaim(connection),
      onState: (state) => this.#onState(state),
    });
    this.#publisher = new Publisher({
      session: this.#session,
      settings: this.#settings,
      keys: this.#keys,
    });
  }

  get location(): StoreLocation {
    return this.#location;
  }

  async start(signal: AbortSignal): Promise<void> {
    // The files are read while the server answers.
    const loading = this.#options.role === "worker" ? import("./consumer.ts") : null;
    const [, module] = await Promise.all([this.#session.start(signal), loading]);
    if (module === null) return;
    this.#makeConsumer = (context, options) => new module.RedisConsumer(context, options);
    void this.#checkEviction();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** As if the process had died, for tests: nothing is sent any more, what is held stays held until its lease ends. */
  async abandon(): Promise<void> {
    this.#stopping ??= Promise.resolve();
    const consumers = [...this.#consumers];
    this.#session.stop();
    await Promise.all(consumers.map((consumer) => consumer.abandon()));
    (await this.#fanout)?.stop();
  }

  async declare(queues: readonly QueueDeclaration[]): Promise<void> {
    const added = new Map<string, string[]>();
    for (const queue of queues) {
      if (queue.exchange === "") continue;
      const member = bindingMember(queue, this.#keys.sep);
      let members = this.#bindings.get(queue.exchange);
      if (members === undefined) {
        members = new Set();
        this.#bindings.set(queue.exchange, members);
      }
      members.add(member);
      added.set(queue.exchange, [...(added.get(queue.exchange) ?? []), member]);
    }
    if (added.size === 0) return;
    if (this.#session.state === "idle") return;
    await this.#session.live(null);
    const replies = await this.#session.pipeline(
      [...added].map(([exchange, members]): [string, ...RedisArg[]] => [
        "sadd",
        this.#keys.binding(exchange),
        ...members,
      ]),
    );
    for (const reply of replies) if (reply instanceof RedisError) throw reply;
  }

  publish(messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void> {
    if (this.#stopping !== null) return Promise.reject(closedError(this.#address));
    return this.#publisher.publish(messages, signal);
  }

  encode(messages: readonly Outgoing[]): StoredMessages | null {
    const encoded = this.#publisher.encode(messages);
    return encoded === null ? null : { location: this.#location, messages: encoded };
  }

  consume(options: ConsumeOptions): Consumer {
    const make = this.#makeConsumer;
    if (make === null) {
      throw new PetioleError(
        "PET_USAGE",
        this.#options.role === "worker"
          ? "a transport consumes after its start"
          : "a transport that was opened as a producer does not consume",
      );
    }
    const consumer = make(
      {
        session: this.#session,
        connect: this.#connectOptions(),
        settings: this.#settings,
        keys: this.#keys,
        location: () => this.#location,
        clock: this.#clock,
        logger: this.#logger,
        limits: this.#options.limits,
        defaultQueue: this.#options.defaultQueue,
        random: this.#internals.random ?? Math.random,
        onClosed: (closed) => this.#consumers.delete(closed),
      },
      options,
    );
    this.#consumers.add(consumer);
    return consumer;
  }

  async subscribe(options: Parameters<Transport["subscribe"]>[0]): Promise<{ close(): Promise<void> }> {
    this.#fanout ??= import("./fanout.ts").then(
      (module) => new module.Fanout(this.#connectOptions(), this.#options.limits),
    );
    const fanout = await this.#fanout;
    if (this.#stopping) fanout.stop();
    return fanout.subscribe(this.#keys, options);
  }

  async size(queue: string): Promise<number> {
    await this.#session.live(null);
    const replies = await this.#session.pipeline(
      this.#keys.lists(queue).map((list): [string, string] => ["llen", list]),
    );
    return replies.reduce<number>((sum, reply) => sum + countOf(reply), 0);
  }

  async purge(queue: string): Promise<number> {
    await this.#session.live(null);
    const lists = this.#keys.lists(queue);
    const replies = await this.#session.pipeline([
      ["multi"],
      ...lists.map((list): [string, string] => ["llen", list]),
      ["del", ...lists],
      ["exec"],
    ]);
    const executed = replies.at(-1);
    if (!Array.isArray(executed)) throw executed;
    return executed.slice(0, lists.length).reduce<number>((sum, reply) => sum + countOf(reply), 0);
  }

  async readDead(queue: string, page: DeadPage): Promise<readonly DeadLetter[]> {
    return (await this.#deadLists()).read(queue, page);
  }

  async removeDead(letters: readonly DeadLetter[]): Promise<number> {
    return (await this.#deadLists()).remove(letters);
  }

  async requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    return (await this.#deadLists()).requeue(letters);
  }

  async #pausedQueues(): Promise<RedisPausedQueues> {
    const module = await import("./paused.ts");
    return new module.RedisPausedQueues(this.#session, this.#keys);
  }

  #uniqueLocks(): Promise<RedisUniqueLocks> {
    const parts = { session: this.#session, settings: this.#settings, keys: this.#keys };
    this.#unique ??= import("./unique.ts").then(
      (module) => new module.RedisUniqueLocks({ ...parts, clock: this.#clock }),
    );
    return this.#unique;
  }

  /** Loaded when an operator asks: neither senders nor workers need it. */
  async #deadLists(): Promise<DeadLists> {
    const module = await import("./dead.ts");
    const { limits } = this.#options;
    return new module.DeadLists({ session: this.#session, keys: this.#keys, limits });
  }

  async readLimits(): Promise<readonly LimitState[]> {
    const [module] = await Promise.all([import("./limits-read.ts"), this.#session.live(null)]);
    return module.readLimits(this.#session, this.#keys);
  }

  async bindings(exchange: string): Promise<readonly BoundQueue[]> {
    await this.#session.live(null);
    const members = await this.#session.command("smembers", [this.#keys.binding(exchange)]);
    return parseBindings(members as string[], this.#keys.sep);
  }

  async undeclare(queues: readonly QueueDeclaration[]): Promise<void> {
    const { undeclareCommands } = await import("./mailbox.ts");
    for (const queue of queues) {
      this.#bindings.get(queue.exchange)?.delete(bindingMember(queue, this.#keys.sep));
    }
    const commands = queues.flatMap((queue) => undeclareCommands(this.#keys, queue));
    for (const reply of await this.#session.pipeline(commands)) if (reply instanceof RedisError) throw reply;
  }

  async openMailbox(options: MailboxOptions): Promise<Mailbox> {
    const { RedisMailbox } = await import("./mailbox.ts");
    await this.declare([options.declaration]);
    const mailbox = new RedisMailbox(
      {
        session: this.#session,
        keys: this.#keys,
        clock: this.#clock,
        logger: this.#logger,
        limits: this.#options.limits,
        undeclare: (declaration) => {
          this.#mailboxes.delete(mailbox);
          return this.undeclare([declaration]);
        },
      },
      options,
    );
    this.#mailboxes.add(mailbox);
    return mailbox;
  }

  async answer(answer: Answer): Promise<boolean> {
    const { answerMailbox } = await import("./mailbox.ts");
    return answerMailbox({ session: this.#session, keys: this.#keys }, answer);
  }

  #connectOptions(): SessionOptions {
    const { commandDeadlineMs, dialDeadlineMs, backoffCapMs, clientName } = this.#settings;
    return {
      address: this.#address,
      clock: this.#clock,
      logger: this.#logger,
      clientName: clientName ?? this.#options.clientName,
      commandMs: commandDeadlineMs,
      dialMs: dialDeadlineMs,
      backoffCapMs,
      ...(this.#internals.random ? { random: this.#internals.random } : {}),
    };
  }

  /** On every new connection: bindings may be lost with the server's data, holds want to be renewed. */
  async #reclaim(connection: RedisConnection): Promise<void> {
    const { facts } = this.#session;
    // As of the first connection: a server that restarts has a new run id and the same data.
    if (facts !== null && this.#location.kind === "other") {
      this.#location = {
        kind: "redis",
        // Without INFO nobody can say whose data it is: then it is nobody else's.
        runId: facts.runId ?? `unknown-${Math.random().toString(36).slice(2)}`,
        db: facts.db,
        selectAllowed: facts.selectAllowed,
      };
    }
    // Settled from the start: a connection that is lost meanwhile must not leave a rejection that nobody waits for.
    const declared = Promise.allSettled(
      [...this.#bindings].flatMap(([exchange, members]) =>
        members.size === 0 ? [] : [connection.command("sadd", [this.#keys.binding(exchange), ...members])],
      ),
    );
    const reclaimed = [...this.#consumers].map((consumer) => consumer.reclaim(connection));
    await Promise.all(reclaimed);
    for (const outcome of await declared) {
      if (outcome.status === "rejected") {
        this.#logger.warn({ err: outcome.reason as unknown }, "bindings could not be declared again");
      }
    }
  }

  /** Queues have no TTL, but a policy of evicting takes them like everything else. Never rejects; nobody waits for it. */
  async #checkEviction(): Promise<void> {
    const info = await this.#session.command("info", ["memory"]).catch(() => "");
    const policy = /^maxmemory_policy:(\S+)/m.exec(String(info))?.[1] ?? "noeviction";
    if (policy === "noeviction") return;
    this.#logger.warn(
      { policy, address: this.#address.redacted },
      "maxmemory-policy of Redis is not noeviction: it may throw messages or results away",
    );
  }

  #onState(state: ConnectionState): void {
    for (const consumer of this.#consumers) consumer.sessionState(state);
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await Promise.allSettled([...this.#mailboxes].map((mailbox) => mailbox.close()));
    await this.#publisher.flushed();
    (await this.#fanout)?.stop();
    this.#session.stop();
  }
}

function countOf(reply: unknown): number {
  if (typeof reply === "number") return reply;
  throw reply;
}
