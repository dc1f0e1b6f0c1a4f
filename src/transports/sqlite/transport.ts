/**
 * The transport of the embedded database.
 *
 * | state   | start      | stop, abandon |
 * |---------|------------|---------------|
 * | idle    | -> running | -> stopped    |
 * | running | –          | -> stopped    |
 * | stopped | rejects    | –             |
 */
import { OperationalError, PetioleError } from "../../errors.ts";
import { decodeEnvelope } from "../../protocol/envelope.ts";
import { Database, SqliteError } from "../../sqlite/index.ts";
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
import { SqliteConsumer } from "./consumer.ts";
import { DeadLists } from "./dead.ts";
import { Hearing, type SubscribeOptions } from "./hearing.ts";
import { Holder } from "./holder.ts";
import { Keeper } from "./keeper.ts";
import { LimitTable } from "./limits.ts";
import { Messages } from "./messages.ts";
import { Migration, type MigrationOptions } from "./migration.ts";
import { readSqliteOptions, type SqliteOptions } from "./options.ts";
import { SqlitePausedQueues } from "./paused.ts";
import { Publisher } from "./publisher.ts";
import { ResultTable } from "./results.ts";
import { Routes } from "./routes.ts";
import { type DeadMessage, noteTold, type Store } from "./store.ts";
import { SqliteUniqueLocks } from "./unique.ts";

const CAPABILITIES: TransportCapabilities = {
  parks: true,
  // The operating system tells whether a holder lives: `sqlite/holder-lock.ts`.
  leases: false,
  atomicPublishMany: true,
  storesResults: true,
  durable: true,
};

export class SqliteTransport implements Transport {
  readonly capabilities: TransportCapabilities = CAPABILITIES;
  readonly paused: PausedQueues;
  readonly unique: UniqueLocks;
  readonly #options: TransportOptions;
  readonly #settings: SqliteOptions;
  readonly #consumers = new Set<SqliteConsumer>();
  readonly #holder: Holder;
  readonly #publisher: Publisher;
  #declared: QueueDeclaration[] = [];
  #store: Store | null = null;
  #hearing: Hearing | null = null;
  #keeper: Keeper | null = null;
  #stopped = false;
  #toldReplaced = false;
  #stopping: Promise<void> | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#settings = readSqliteOptions(options.options);
    this.#holder = new Holder(options);
    this.#publisher = new Publisher(this.#settings);
    const db = (): Database => this.#running().db;
    this.paused = new SqlitePausedQueues(db, options.clock);
    this.unique = new SqliteUniqueLocks({
      db: () => this.#forPublish(null).db,
      clock: options.clock,
      send: ({ outgoing }) => {
        const raw = this.#publisher.encode(outgoing);
        return () => this.#publisher.put(this.#running(), outgoing, raw);
      },
      failed: (error) => this.#operational(error, "not sent"),
    });
  }

  get location(): StoreLocation {
    return this.#store === null ? { kind: "other" } : { kind: "file", path: this.#store.db.path };
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#stopped) throw this.#closed();
    if (this.#store !== null) return;
    if (signal.aborted) throw new OperationalError("the start was aborted", { cause: signal.reason });
    const { clock, role } = this.#options;
    try {
      const db = await Database.open(this.#options.url, clock);
      if (this.#stopped) {
        db.close();
        throw this.#closed();
      }
      this.#store = this.#storeOf(db);
      if (role === "worker") await this.#join(db);
      this.#hearing = new Hearing(this.#store);
      db.onPoll(() => this.#checkFile());
      if (role === "worker") {
        const tell = (dead: DeadMessage): void => this.#tellDead(dead);
        this.#keeper = new Keeper(this.#store, () => (this.#consumers.size > 0 ? tell : null));
      }
      const declared = this.#declared;
      await db.write(() => {
        for (const queue of declared) this.#running().routes.bind(queue);
      });
    } catch (error) {
      this.#keeper?.close();
      this.#store?.db.abandon();
      this.#holder.drop();
      this.#store = null;
      throw this.#operational(error);
    }
  }

  async #join(db: Database): Promise<void> {
    if (!(await this.#holder.join(db))) throw this.#closed();
  }

  #storeOf(db: Database): Store {
    const { clock, logger, defaultQueue, limits } = this.#options;
    const settings = this.#settings;
    const messages = new Messages(db);
    const dead = new DeadLists({ db, messages, defaultQueue, limits, prioritySteps: settings.prioritySteps });
    return {
      db,
      messages,
      dead,
      settings,
      clock,
      logger,
      routes: new Routes(db),
      limits: new LimitTable(db, messages, settings.callMs),
      results: new ResultTable(db),
      holder: this.#holder.id,
      decode: (raw) => decodeEnvelope(raw, limits),
    };
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#stopped) return;
    const store = this.#store;
    if (store !== null) {
      await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
      await this.#hearing?.close();
      await this.#holder.leave(store);
    }
    this.#stopped = true;
    this.#keeper?.close();
    store?.db.close();
  }

  /** As if the process had died: nothing is put back in good order. For tests of what happens then. */
  abandon(): void {
    this.#stopped = true;
    this.#keeper?.close();
    this.#hearing?.abandon();
    for (const consumer of this.#consumers) consumer.abandon();
    this.#store?.db.abandon();
    this.#holder.abandon();
  }

  async declare(queues: readonly QueueDeclaration[]): Promise<void> {
    if (this.#stopped) throw this.#closed();
    const store = this.#store;
    if (store === null) this.#declared = [...this.#declared, ...queues];
    else await this.#write(() => queues.forEach((queue) => store.routes.bind(queue)));
  }

  async publish(messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void> {
    const store = this.#forPublish(signal);
    if (messages.length === 0) return;
    try {
      await this.#publisher.publish(store, messages, signal);
    } catch (error) {
      throw this.#operational(error, "not sent");
    }
    for (const one of messages) if (one.onHeard !== undefined) await this.#publisher.count(store, one);
  }

  encode(messages: readonly Outgoing[]): StoredMessages | null {
    const { location } = this;
    if (location.kind !== "file" || messages.some(({ exchange }) => exchange !== "")) return null;
    return { location, messages: messages.map((one) => this.#publisher.stored(one)) };
  }

  /** Takes messages to another broker. For a transport of its own, opened as a worker's. */
  migration(options: MigrationOptions): Migration {
    return new Migration(this.#running(), options);
  }

  consume(options: ConsumeOptions): Consumer {
    const store = this.#running();
    if (this.#options.role !== "worker") {
      throw new PetioleError("PET_USAGE", "a transport that was opened as a producer does not consume");
    }
    const consumer = new SqliteConsumer(
      {
        store,
        nextTag: () => this.#publisher.nextTag(),
        register: () => this.#holder.register(store.db),
        onTakenOver: () => this.#takenOver(store.db),
        onDead: (dead) => this.#tellDead(dead),
        onClosed: (closed) => this.#consumers.delete(closed),
      },
      options,
    );
    this.#consumers.add(consumer);
    this.#keeper?.look();
    return consumer;
  }

  async subscribe(options: SubscribeOptions): Promise<{ close(): Promise<void> }> {
    const { db } = this.#running();
    try {
      // Who broadcasts counts those that live.
      await this.#join(db);
      return await (this.#hearing as Hearing).subscribe(options);
    } catch (error) {
      throw this.#operational(error);
    }
  }

  async size(queue: string): Promise<number> {
    const { db, messages } = this.#running();
    return db.read(() => messages.size(queue));
  }

  async purge(queue: string): Promise<number> {
    const { messages } = this.#running();
    return this.#write(() => messages.purge(queue));
  }

  async readDead(queue: string, page: DeadPage): Promise<readonly DeadLetter[]> {
    return this.#running().dead.read(queue, page);
  }

  async removeDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#running().dead.remove(letters);
  }

  async requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#running().dead.requeue(letters);
  }

  async readLimits(): Promise<readonly LimitState[]> {
    const { db, limits, clock } = this.#running();
    return db.read(() => limits.read(clock.now()));
  }

  async bindings(exchange: string): Promise<readonly BoundQueue[]> {
    const { db, routes } = this.#running();
    return db.read(() => routes.bindings(exchange));
  }

  async undeclare(queues: readonly QueueDeclaration[]): Promise<void> {
    const { routes, messages } = this.#running();
    await this.#write(() => {
      for (const queue of queues) {
        routes.unbind(queue);
        messages.purge(queue.name);
      }
    });
  }

  async openMailbox(options: MailboxOptions): Promise<Mailbox> {
    this.#running();
    return (this.#hearing as Hearing).openMailbox(options);
  }

  async answer({ message, declaration, ttlSeconds }: Answer): Promise<boolean> {
    const { db, routes, messages, clock } = this.#running();
    const { name, exchange, type, routingKey } = declaration;
    const raw = this.#publisher.encode({ message, exchange, type, routingKey, priority: 0 });
    return db.write(
      () => {
        if (!routes.isBound(declaration)) return false;
        messages.push(name, 0, raw);
        const expires = clock.now() + ttlSeconds * 1000;
        db.run("INSERT OR REPLACE INTO petiole_mail VALUES (?, ?)", name, expires);
        return true;
      },
      { wakes: true },
    );
  }

  /** Others took it for a dead one. */
  #takenOver(db: Database): void {
    const { logger } = this.#options;
    logger.warn(
      { holder: this.#holder.id },
      "this worker was taken for a lost one: what it held is another's",
    );
    for (const one of this.#consumers) one.loseAll();
    void (async () => {
      try {
        await this.#holder.lockAgain(db);
        await this.#hearing?.subscribeAgain();
      } catch (error) {
        if (!db.closed) logger.error({ err: error }, "this worker could not sign on again: start it anew");
      }
    })();
  }

  /** To one consumer: a failure is stored once. When it cannot be, another process is told. */
  #tellDead(dead: DeadMessage): void {
    const [consumer] = this.#consumers;
    const { logger } = this.#options;
    const note = (told: boolean): void => {
      const store = this.#store;
      if (store === null || store.db.closed) return;
      store.db
        .write(() => noteTold(store, dead.id, told), { patient: true })
        .catch((error: unknown) => logger.debug({ err: error }, "that a message was given up is told again"));
    };
    void (async () => {
      try {
        note(consumer !== undefined && (await consumer.handlers.onDead(dead)) !== false);
      } catch (error) {
        logger.error({ err: error }, "a handler of the consumer failed");
        note(true);
      }
    })();
  }

  #checkFile(): void {
    const store = this.#store;
    if (this.#toldReplaced || store === null || !store.db.isReplaced()) return;
    this.#toldReplaced = true;
    const error = new OperationalError(
      `the database ${JSON.stringify(store.db.path)} was deleted or replaced while it was in use: what this process writes now is seen by nobody; start it anew`,
      { code: "PET_BROKER_REFUSED" },
    );
    store.logger.error({ err: error }, error.message);
    for (const consumer of this.#consumers) consumer.handlers.onFatal?.(error);
  }

  async #write<T>(work: () => T): Promise<T> {
    try {
      return await this.#running().db.write(work, { wakes: true });
    } catch (error) {
      throw this.#operational(error);
    }
  }

  #operational(error: unknown, outcome?: "not sent"): Error {
    if (!(error instanceof SqliteError)) return error instanceof Error ? error : new Error(String(error));
    return new OperationalError(error.message, {
      cause: error,
      code: error.refused ? "PET_BROKER_REFUSED" : "PET_BROKER_UNREACHABLE",
      ...(outcome === undefined ? {} : { outcome }),
    });
  }

  #closed(): PetioleError {
    return new PetioleError("PET_CLOSED", `the transport of ${this.#options.url} was stopped`);
  }

  /** @throws OperationalError */
  #forPublish(signal: AbortSignal | null): Store {
    if (this.#store === null || this.#stopped || this.#stopping !== null) {
      const what = `the transport of ${this.#options.url} is not started, or was stopped`;
      throw new OperationalError(what, { outcome: "not sent" });
    }
    if (signal?.aborted) {
      throw new OperationalError("the publish was aborted", { outcome: "not sent", cause: signal.reason });
    }
    return this.#store;
  }

  #running(): Store {
    if (this.#stopped) throw this.#closed();
    if (this.#store === null) {
      throw new PetioleError("PET_USAGE", `the transport of ${this.#options.url} was not started`);
    }
    return this.#store;
  }
}
