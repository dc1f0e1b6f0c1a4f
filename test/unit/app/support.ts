/** An app whose broker only takes notes: what a send hands to the transport, with failures on demand. */

import type { AppCore } from "../../../src/app/core.ts";
import { internalsOf } from "../../../src/app/internals.ts";
import type { CeleryOptions } from "../../../src/app/settings-types.ts";
import type { Logger } from "../../../src/base/logger.ts";
import { Celery } from "../../../src/index.ts";
import { decodeTask } from "../../../src/protocol/message.ts";
import { DEFAULT_LIMITS, type TaskEmbed } from "../../../src/protocol/wire.ts";
import type {
  Consumer,
  Outgoing,
  QueueDeclaration,
  StoreLocation,
  Transport,
  TransportCapabilities,
} from "../../../src/transports/transport.ts";

export class NotingTransport implements Transport {
  readonly capabilities: TransportCapabilities = {
    parks: false,
    leases: false,
    atomicPublishMany: true,
    storesResults: false,
    durable: false,
  };
  readonly location: StoreLocation = { kind: "other" };
  /** One element for each call of `publish`. */
  readonly calls: (readonly Outgoing[])[] = [];
  readonly declared: QueueDeclaration[] = [];
  starts = 0;
  stops = 0;
  /** Called before each start, declare and publish: throw to fail, or return a promise to hold it up. */
  onStart: () => Promise<void> | void = () => {};
  onDeclare: () => Promise<void> | void = () => {};
  onPublish: (signal: AbortSignal | null) => Promise<void> | void = () => {};

  get sent(): readonly Outgoing[] {
    return this.calls.flat();
  }

  async start(): Promise<void> {
    this.starts += 1;
    await this.onStart();
  }

  async stop(): Promise<void> {
    this.stops += 1;
  }

  async declare(queues: readonly QueueDeclaration[]): Promise<void> {
    await this.onDeclare();
    this.declared.push(...queues);
  }

  encode(): null {
    return null;
  }

  async publish(messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void> {
    await this.onPublish(signal);
    this.calls.push(messages);
  }

  consume(): Consumer {
    throw new Error("a noting transport does not consume");
  }

  subscribe(): never {
    throw new Error("a noting transport does not subscribe");
  }

  async size(): Promise<number> {
    return this.sent.length;
  }

  async purge(): Promise<number> {
    return 0;
  }

  get unique(): never {
    throw new Error("a noting transport has no unique tasks");
  }

  get paused(): never {
    throw new Error("a noting transport pauses nothing");
  }

  readLimits(): never {
    throw new Error("not played");
  }
  readDead(): never {
    throw new Error("a noting transport has no dead letters");
  }

  removeDead(): never {
    throw new Error("a noting transport has no dead letters");
  }

  requeueDead(): never {
    throw new Error("a noting transport has no dead letters");
  }

  bindings(): never {
    throw new Error("a noting transport binds nothing");
  }

  async undeclare(): Promise<void> {}

  openMailbox(): never {
    throw new Error("a noting transport has no mailboxes");
  }

  answer(): never {
    throw new Error("a noting transport answers nobody");
  }
}

/** Lines that were logged. */
export class NotingLogger implements Logger {
  readonly lines: { level: string; fields: Readonly<Record<string, unknown>>; message: string }[] = [];
  #note(level: string, fields: object, message: string): void {
    this.lines.push({ level, fields: { ...fields }, message });
  }
  debug(fields: object, message: string): void {
    this.#note("debug", fields, message);
  }
  info(fields: object, message: string): void {
    this.#note("info", fields, message);
  }
  warn(fields: object, message: string): void {
    this.#note("warn", fields, message);
  }
  error(fields: object, message: string): void {
    this.#note("error", fields, message);
  }
  child(): Logger {
    return this;
  }
}

export interface TestApp {
  readonly app: Celery;
  readonly core: AppCore;
  readonly transport: NotingTransport;
  readonly logger: NotingLogger;
  /** Transports that were opened. */
  opened: number;
  /** The last message, read as a worker would. */
  readonly last: () => ReturnType<typeof decodeTask>;
}

export function testApp(options: CeleryOptions = {}): TestApp {
  const logger = new NotingLogger();
  const app = new Celery("test", { logger, ...options });
  const core = internalsOf(app) as AppCore;
  const transport = new NotingTransport();
  const made: TestApp = {
    app,
    core,
    transport,
    logger,
    opened: 0,
    last: () => {
      const sent = transport.sent.at(-1);
      if (!sent) throw new Error("nothing was sent");
      return decodeTask(sent.message, { accept: ["json", "msgpack", "yaml"], limits: DEFAULT_LIMITS });
    },
  };
  core.openTransport = async () => {
    made.opened += 1;
    return transport;
  };
  return made;
}

export const NO_EMBED: TaskEmbed = { callbacks: null, errbacks: null, chain: null, chord: null };
