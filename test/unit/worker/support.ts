/** A worker whose broker and backend are played by the test: every step they see is written in one journal, in order. */
import { randomUUID } from "node:crypto";
import type { AppCore } from "../../../src/app/core.ts";
import { internalsOf } from "../../../src/app/internals.ts";
import type { CeleryOptions } from "../../../src/app/settings-types.ts";
import type { ResultBackend, ResultWrite } from "../../../src/backends/backend.ts";
import type { ChordStore } from "../../../src/backends/chords.ts";
import type { Logger } from "../../../src/base/logger.ts";
import { Celery } from "../../../src/index.ts";
import { decodeTask, encodeTask } from "../../../src/protocol/message.ts";
import { encodeMeta } from "../../../src/protocol/meta.ts";
import {
  DEFAULT_LIMITS,
  type DecodedTask,
  type OutgoingTask,
  type ResultMeta,
  type SignatureData,
  type WireMessage,
} from "../../../src/protocol/wire.ts";
import type {
  Admission,
  Answer,
  BoundQueue,
  ConsumeOptions,
  Consumer,
  ConsumerState,
  Delivery,
  LimitClaim,
  Outgoing,
  Settlement,
  StoreLocation,
  Transport,
  TransportCapabilities,
} from "../../../src/transports/transport.ts";
import { Worker, type WorkerOptions } from "../../../src/worker/index.ts";
import { outgoingTask } from "../../support/outgoing-task.ts";

export interface Line {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export class NotingLogger implements Logger {
  readonly lines: Line[] = [];
  info(fields: object, text: string): void {
    this.lines.push({ level: "info", fields: { ...fields }, message: text });
  }
  warn(fields: object, text: string): void {
    this.lines.push({ level: "warn", fields: { ...fields }, message: text });
  }
  error(fields: object, text: string): void {
    this.lines.push({ level: "error", fields: { ...fields }, message: text });
  }
  debug(): void {}
  child(): Logger {
    return this;
  }
  /** Messages of a level. */
  of(level: Line["level"]): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message);
  }
}

const HERE: StoreLocation = { kind: "memory", name: "here" };
const ELSEWHERE: StoreLocation = { kind: "memory", name: "elsewhere" };

export class HandConsumer implements Consumer {
  readonly options: ConsumeOptions;
  state: ConsumerState = "live";
  fetchedMs: number | null = 0;
  prefetch: number;
  /** By task id; the last settlement of each. */
  readonly settled: Map<string, Settlement> = new Map<string, Settlement>();
  readonly marked: Delivery[] = [];
  /** What `settle` answers. */
  answer: "done" | "gone" = "done";
  onPause: () => Promise<void> = async () => {};
  onMark: () => Promise<void> = async () => {};
  readonly #rig: HandTransport;

  constructor(rig: HandTransport, options: ConsumeOptions) {
    this.#rig = rig;
    this.options = options;
    this.prefetch = options.prefetch;
  }

  setPrefetch(limit: number): void {
    this.prefetch = limit;
  }
  setQueues(): void {}
  async settle(one: Delivery, as: Settlement): Promise<"done" | "gone"> {
    const id = idOf(one.message);
    this.settled.set(id, as);
    if (as.kind === "ack-with-result")
      this.#rig.note(`ack-with-result ${id} ${statusOf(as.write.value)}`, as.write.value);
    else this.#rig.journal.push(`${as.kind} ${id}`);
    return this.answer;
  }
  flush(): void {}
  async markStarted(one: Delivery): Promise<void> {
    this.marked.push(one);
    this.#rig.journal.push(`mark ${idOf(one.message)}`);
    await this.onMark();
  }
  /** What `admit` answers, by task id; others run. */
  readonly admissions: Map<string, Admission> = new Map<string, Admission>();
  readonly claims: LimitClaim[] = [];
  async admit(_one: Delivery, claim: LimitClaim): Promise<Admission> {
    this.claims.push(claim);
    this.#rig.journal.push(`admit ${claim.id}`);
    return this.admissions.get(claim.id) ?? { kind: "run" };
  }
  release(_one: Delivery, claim: LimitClaim): void {
    this.#rig.journal.push(`release ${claim.id}`);
  }
  watchLimits(): void {
    this.#rig.journal.push("watch limits");
  }
  async pause(): Promise<void> {
    this.#rig.journal.push("pause");
    await this.onPause();
  }
  resume(): void {}
  async close(): Promise<void> {
    this.#rig.journal.push("close");
  }
}

function idOf(wire: WireMessage): string {
  const { id } = wire.headers;
  return typeof id === "string" ? id : "?";
}

function statusOf(value: string | Uint8Array): string {
  return (JSON.parse(String(value)) as { status: string }).status;
}

export class HandTransport implements Transport {
  readonly capabilities: TransportCapabilities;
  readonly location: StoreLocation = HERE;
  readonly journal: string[] = [];
  /** What was stored, by task id, in order. */
  readonly metas: Record<string, Record<string, unknown>[]> = {};
  readonly published: DecodedTask[] = [];
  readonly destinations: Outgoing[] = [];
  consumer: HandConsumer | null = null;
  /** Events that were published, lists taken apart. */
  readonly events: Record<string, unknown>[] = [];
  /** Called with each publish of events. */
  onEvent: (message: Outgoing) => Promise<void> | void = () => {};
  /** Hands a message to whoever listens to the exchange. */
  readonly listeners: Map<string, (message: WireMessage) => void> = new Map();
  onPublish: () => Promise<void> | void = () => {};

  constructor(capabilities: Partial<TransportCapabilities>) {
    this.capabilities = {
      parks: true,
      leases: true,
      atomicPublishMany: true,
      storesResults: true,
      durable: false,
      ...capabilities,
    };
  }

  note(line: string, value: string | Uint8Array): void {
    this.journal.push(line);
    const meta = JSON.parse(String(value)) as Record<string, unknown>;
    const id = String(meta["task_id"]);
    this.metas[id] = [...(this.metas[id] ?? []), meta];
  }

  async start(): Promise<void> {}
  async stop(): Promise<void> {
    this.journal.push("stop");
  }
  async declare(): Promise<void> {}
  encode(): null {
    return null;
  }
  async publish(messages: readonly Outgoing[]): Promise<void> {
    const [first] = messages;
    if (first?.exchange === "celeryev") {
      await this.onEvent(first);
      const body = JSON.parse(String(first.message.body)) as Record<string, unknown>;
      this.events.push(...(Array.isArray(body) ? (body as Record<string, unknown>[]) : [body]));
      return;
    }
    await this.onPublish();
    for (const one of messages) {
      const task = decodeTask(one.message, { accept: ["json"], limits: DEFAULT_LIMITS });
      this.published.push(task);
      this.destinations.push(one);
      this.journal.push(`publish ${task.task} ${task.id}`);
    }
  }
  consume(options: ConsumeOptions): Consumer {
    this.consumer = new HandConsumer(this, options);
    return this.consumer;
  }
  readonly answers: WireMessage[] = [];
  async bindings(): Promise<readonly BoundQueue[]> {
    return [];
  }
  async undeclare(): Promise<void> {}
  openMailbox(): never {
    throw new Error("not played");
  }
  async subscribe(options: Parameters<Transport["subscribe"]>[0]): Promise<{ close(): Promise<void> }> {
    this.listeners.set(options.exchange, (heard) => options.onMessage(heard));
    return { close: async () => {} };
  }
  async answer(answer: Answer): Promise<boolean> {
    this.answers.push(answer.message);
    return true;
  }
  async size(): Promise<number> {
    return 0;
  }
  async purge(queue: string): Promise<number> {
    this.journal.push(`purge ${queue}`);
    return 0;
  }
  get unique(): never {
    throw new Error("not played");
  }

  get paused(): never {
    throw new Error("not played");
  }

  readLimits(): never {
    throw new Error("not played");
  }
  readDead(): never {
    throw new Error("not played");
  }
  removeDead(): never {
    throw new Error("not played");
  }
  requeueDead(): never {
    throw new Error("not played");
  }
}

export class HandBackend implements ResultBackend {
  readonly location: StoreLocation;
  readonly enabled: boolean;
  readonly chords: ChordStore | null = null;
  /** Called before each store: throw to fail, or return a promise to hold it up. */
  onStore: (signal: AbortSignal | null) => Promise<void> | void = () => {};
  /** What `get` answers. */
  readonly known: Map<string, ResultMeta> = new Map<string, ResultMeta>();
  readonly #transport: HandTransport;

  constructor(transport: HandTransport, parts: { readonly here: boolean; readonly enabled: boolean }) {
    this.#transport = transport;
    this.location = parts.here ? HERE : ELSEWHERE;
    this.enabled = parts.enabled;
  }
  async start(): Promise<void> {}
  async stop(): Promise<void> {}
  encodeGroup(): never {
    throw new Error("not played");
  }
  readGroup(): never {
    throw new Error("not played");
  }
  forgetGroup(): never {
    throw new Error("not played");
  }
  encodeChordSize(): never {
    throw new Error("not played");
  }
  async cleanup(): Promise<number> {
    return 0;
  }
  encode(meta: ResultMeta): ResultWrite {
    return {
      location: this.location,
      key: meta.taskId,
      value: encodeMeta(meta),
      ttlSeconds: 1,
      keepSuccess: true,
    };
  }
  async store(write: ResultWrite, signal: AbortSignal | null): Promise<void> {
    await this.onStore(signal);
    this.#transport.note(`store ${write.key} ${statusOf(write.value)}`, write.value);
  }
  async get(ids: readonly string[]): Promise<readonly (ResultMeta | null)[]> {
    return ids.map((id) => this.known.get(id) ?? null);
  }
  watch(): never {
    throw new Error("not played");
  }
  /** Logs that were stored, by task id. */
  readonly logs: Map<string, string> = new Map<string, string>();
  async storeLogs(id: string, text: string, signal: AbortSignal): Promise<void> {
    await this.onStore(signal);
    this.logs.set(id, text);
    this.#transport.journal.push(`log ${id}`);
  }
  async getLogs(id: string): Promise<string | null> {
    return this.logs.get(id) ?? null;
  }
  async forget(): Promise<void> {}
}

export interface RigOptions {
  readonly app?: CeleryOptions;
  readonly worker?: WorkerOptions;
  readonly capabilities?: Partial<TransportCapabilities>;
  /** The backend is where the broker is. Default: true. */
  readonly sameStore?: boolean;
  readonly noBackend?: boolean;
}

/** A message as a client sends it. */
export function message(given: Partial<OutgoingTask> & { readonly task: string }): WireMessage {
  const id = given.id ?? "t1";
  const task = outgoingTask({ id, args: [], rootId: id, origin: "gen1@client", ...given });
  const encoded = encodeTask(task, { serializer: "json", compression: null });
  const delivery_info = { exchange: "", routing_key: "celery" };
  return { ...encoded, properties: { ...encoded.properties, delivery_info } };
}

export function delivery(wire: WireMessage, parts: Partial<Delivery> = {}): Delivery {
  return {
    tag: randomUUID(),
    queue: "celery",
    message: wire,
    redelivered: false,
    deliveryCount: 0,
    serverTimeMs: Date.now(),
    ...parts,
  };
}

export function signature(task: string, given: Partial<SignatureData> = {}): SignatureData {
  return { task, args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false, ...given };
}

export class WorkerRig {
  readonly app: Celery;
  readonly transport: HandTransport;
  readonly backend: HandBackend;
  readonly logger: NotingLogger = new NotingLogger();
  worker: Worker | null = null;
  readonly #options: RigOptions;

  constructor(options: RigOptions = {}) {
    this.#options = options;
    this.app = new Celery("test", { brokerUrl: "memory://unit-worker", logger: this.logger, ...options.app });
    this.transport = new HandTransport(options.capabilities ?? {});
    this.backend = new HandBackend(this.transport, {
      here: options.sameStore ?? true,
      enabled: options.noBackend !== true,
    });
    const core = internalsOf(this.app) as AppCore;
    core.openTransport = async () => this.transport;
    core.openBackend = async () => this.backend;
  }

  get journal(): string[] {
    return this.transport.journal;
  }

  get consumer(): HandConsumer {
    const { consumer } = this.transport;
    if (consumer === null) throw new Error("the worker has not started");
    return consumer;
  }

  async start(): Promise<this> {
    this.worker = new Worker(this.app, { concurrency: 2, ...this.#options.worker });
    await this.worker.start();
    return this;
  }

  async stop(): Promise<void> {
    await this.worker?.stop({ how: "cold" });
  }

  /** Delivers, and waits until what can be done without the outside is done. */
  async deliver(...deliveries: readonly Delivery[]): Promise<void> {
    this.consumer.options.onBatch(deliveries);
    await turns();
  }

  /** Delivers one task. */
  run(given: Partial<OutgoingTask> & { readonly task: string }, parts?: Partial<Delivery>): Promise<void> {
    return this.deliver(delivery(message(given), parts));
  }

  /** The last state that was stored of a task. */
  meta(id = "t1"): Record<string, unknown> {
    return this.transport.metas[id]?.at(-1) ?? {};
  }
}

/** Some turns of the event loop. */
export async function turns(n = 6): Promise<void> {
  for (let i = 0; i < n; i += 1) await new Promise(setImmediate);
}

/** A promise and its end. */
export class Gate {
  readonly promise: Promise<void>;
  open: () => void = () => {};
  constructor() {
    this.promise = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}
