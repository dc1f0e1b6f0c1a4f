/**
 * The transport of the embedded database.
 *
 * | state   | start      | stop, abandon |
 * |---------|------------|---------------|
 * | idle    | -> running | -> stopped    |
 * | running | –          | -> stopped    |
 * | stopped | rejects    | –             |
 */
import { randomBytes, randomInt } from "node:crypto";
import { hostname } from "node:os";
import { OperationalError, PetioleError } from "../../errors.ts";
import { decodeEnvelope, encodeEnvelope } from "../../protocol/envelope.ts";
import { Database, HolderLock, isHolderAlive, SqliteError } from "../../sqlite/index.ts";
import { stepIndex } from "../memory/options.ts";
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
import { Keeper } from "./keeper.ts";
import { LimitTable } from "./limits.ts";
import { listOf, Messages } from "./messages.ts";
import { Migration, type MigrationOptions } from "./migration.ts";
import { readSqliteOptions, type SqliteOptions } from "./options.ts";
import { SqlitePausedQueues } from "./paused.ts";
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
const HIGHEST_HOLDER = 2 ** 47;

export class SqliteTransport implements Transport {
  readonly capabilities: TransportCapabilities = CAPABILITIES;
  readonly paused: PausedQueues;
  readonly unique: UniqueLocks;
  readonly #options: TransportOptions;
  readonly #settings: SqliteOptions;
  readonly #consumers = new Set<SqliteConsumer>();
  readonly #holder = randomInt(HIGHEST_HOLDER);
  readonly #tagPrefix = randomBytes(6).toString("hex");
  #declared: QueueDeclaration[] = [];
  #store: Store | null = null;
  #hearing: Hearing | null = null;
  #keeper: Keeper | null = null;
  #lock: HolderLock | null = null;
  #locking: Promise<HolderLock> | null = null;
  #registered = false;
  #tags = 0;
  #stopped = false;
  #toldReplaced = false;
  #stopping: Promise<void> | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#settings = readSqliteOptions(options.options);
    const db = (): Database => this.#running().db;
    this.paused = new SqlitePausedQueues(db, options.clock);
    this.unique = new SqliteUniqueLocks({
      db: () => this.#forPublish(null).db,
      clock: options.clock,
      send: ({ outgoing }) => {
        const raw = this.#encode(outgoing);
        return () => this.#put(this.#running(), outgoing, raw);
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
      if (role === "worker") this.#lock = await HolderLock.take(db.path, this.#holder);
      this.#hearing = new Hearing(this.#store);
      db.onPoll(() => this.#checkFile());
      if (role === "worker") {
        const tell = (dead: DeadMessage): void => this.#tellDead(dead);
        this.#keeper = new Keeper(this.#store, () => (this.#consumers.size > 0 ? tell : null));
      }
      const declared = this.#declared;
      await db.write(() => {
        if (role === "worker") this.#register(db);
        for (const queue of declared) this.#running().routes.bind(queue);
      });
      this.#registered = role === "worker";
    } catch (error) {
      this.#keeper?.close();
      this.#store?.db.abandon();
      this.#lock?.release();
      this.#store = null;
      throw this.#operational(error);
    }
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
      holder: this.#holder,
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
      if (this.#registered && !store.db.closed) {
        const holder = this.#holder;
        await store.db
          .write(() => {
            store.routes.removeSubscribersOf(holder);
            store.db.run("DELETE FROM petiole_holders WHERE id = ?", holder);
          })
          .catch((error: unknown) => store.logger.warn({ err: error }, "a worker could not sign off"));
      }
    }
    this.#stopped = true;
    this.#keeper?.close();
    store?.db.close();
    this.#lock?.release();
  }

  /** As if the process had died: nothing is put back in good order. For tests of what happens then. */
  abandon(): void {
    this.#stopped = true;
    this.#keeper?.close();
    this.#hearing?.abandon();
    for (const consumer of this.#consumers) consumer.abandon();
    this.#store?.db.abandon();
    this.#lock?.abandon();
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
    // All are encoded before the first is put anywhere: one that cannot be keeps the others out too.
    const raws = messages.map((one) => this.#encode(one));
    const put = (): void => {
      for (const [index, one] of messages.entries()) this.#put(store, one, raws[index] ?? "");
    };
    try {
      await store.db.write(put, { signal, wakes: true });
    } catch (error) {
      throw this.#operational(error, "not sent");
    }
    for (const one of messages) if (one.onHeard !== undefined) await this.#count(store, one);
  }

  /** Those that live, of who hears a broadcast. */
  async #count({ db, routes }: Store, one: Outgoing): Promise<void> {
    if (one.type !== "fanout" || one.exchange === "" || db.closed) return;
    let count = 0;
    for (const holder of routes.subscribers(one.exchange, one.routingKey)) {
      if (holder === this.#holder || (await isHolderAlive(db.path, holder))) count += 1;
    }
    one.onHeard?.(count);
  }

  encode(messages: readonly Outgoing[]): StoredMessages | null {
    const { location } = this;
    if (location.kind !== "file" || messages.some(({ exchange }) => exchange !== "")) return null;
    return {
      location,
      messages: messages.map((one) => ({
        list: listOf(one.routingKey, this.#stepOf(one.priority)),
        text: this.#encode(one),
      })),
    };
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
        nextTag: () => this.#nextTag(),
        register: () => this.#register(store.db),
        onTakenOver: () => this.#takenOver(),
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
      this.#locking ??=
        this.#lock === null ? HolderLock.take(db.path, this.#holder) : Promise.resolve(this.#lock);
      this.#lock = await this.#locking;
      if (!this.#registered) {
        await db.write(() => this.#register(db));
        this.#registered = true;
      }
      return await (this.#hearing as Hearing).subscribe(options);
    } catch (error) {
      this.#locking = null;
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
    const raw = this.#encode({ message, exchange, type, routingKey, priority: 0 });
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

  #put({ messages, routes, clock }: Store, one: Outgoing, raw: string): void {
    const { exchange, type, routingKey, priority } = one;
    if (type === "fanout" && exchange !== "") {
      routes.broadcast(exchange, routingKey, { raw, nowMs: clock.now() });
      return;
    }
    const step = this.#stepOf(priority);
    for (const queue of routes.route(exchange, type, routingKey)) messages.push(queue, step, raw);
  }

  #stepOf(priority: number): number {
    const { prioritySteps } = this.#settings;
    return prioritySteps[stepIndex(prioritySteps, priority)] ?? 0;
  }

  /** @throws EncodeError */
  #encode({ message, exchange, routingKey, priority }: Outgoing): string {
    return encodeEnvelope(message, { exchange, routingKey, priority, deliveryTag: this.#nextTag() });
  }

  #nextTag(): string {
    this.#tags += 1;
    return `${this.#tagPrefix}:${this.#tags}`;
  }

  #register(db: Database): boolean {
    const { clock } = this.#options;
    const name = this.#options.clientName ?? `${hostname()}:${process.pid}`;
    return (
      db.run("INSERT OR IGNORE INTO petiole_holders VALUES (?, ?, ?)", this.#holder, name, clock.now()) > 0
    );
  }

  /** Others took it for a dead one. */
  #takenOver(): void {
    const { logger } = this.#options;
    logger.warn({ holder: this.#holder }, "this worker was taken for a lost one: what it held is another's");
    for (const one of this.#consumers) one.loseAll();
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
