/** `redis://…`: results as Celery's Redis backend stores them. Python counterpart: `celery/backends/redis.py`. */
import { BackendError } from "../../errors.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import type { RedisArg } from "../../redis/connection.ts";
import { HANDLING, RedisError } from "../../redis/errors.ts";
import { RedisPubSub } from "../../redis/pubsub.ts";
import { RedisSession, type SessionOptions } from "../../redis/session.ts";
import { parseRedisUrl } from "../../redis/url.ts";
import type { StoreLocation } from "../../transports/transport.ts";
import type { BackendOptions, ChordSize, ResultBackend, ResultWrite } from "../backend.ts";
import { backendError, ResultCodec } from "../result-codec.ts";
import { StoreQueue } from "../store-queue.ts";
import { COUNT, END, EXTEND, OVERDUE, PUSH } from "./chord.lua.ts";
import { RedisChords } from "./chords.ts";
import { ResultKeys } from "./keys.ts";
import { readBackendOptions } from "./options.ts";
import { ResultReader } from "./reader.ts";
import { READ, STORE } from "./scripts.lua.ts";
import { Watches } from "./watches.ts";

const UNKNOWN: StoreLocation = { kind: "other" };

/** Two connections: one for commands, one for pub/sub that is opened with the first watch. */
export class RedisBackend implements ResultBackend {
  readonly enabled = true as const;
  readonly #options: BackendOptions;
  readonly #session: RedisSession;
  readonly #codec: ResultCodec;
  readonly #keys: ResultKeys;
  readonly #reader: ResultReader;
  readonly #stores: StoreQueue;
  readonly #watches: Watches;
  readonly chords: RedisChords;
  readonly #warnings: readonly string[];
  /**
   * Of the server that answered first: one that restarts has a new run id and the same data, and the broker's transport
   * keeps its first one, too. Written when a connection goes live.
   */
  #location: StoreLocation = UNKNOWN;
  #stopping: Promise<void> | null = null;

  constructor(options: BackendOptions) {
    const { clock, logger, clientName } = options;
    const address = parseRedisUrl(options.url, options.tls);
    const settings = readBackendOptions(options.options);
    const shared: SessionOptions = { address, clock, logger, clientName, commandMs: settings.commandMs };
    this.#options = options;
    this.#warnings = address.warnings;
    this.#codec = new ResultCodec(options);
    this.#keys = new ResultKeys(settings.globalKeyprefix);
    this.#session = new RedisSession({
      ...shared,
      scripts: [STORE, READ, COUNT, END, EXTEND, OVERDUE, PUSH],
      onState: (state) => {
        if (state === "live") this.#onLive();
      },
    });
    this.#reader = new ResultReader({
      session: this.#session,
      clock,
      maxBytes: options.limits.maxDecompressedBytes,
      isBinary: this.#codec.isBinary,
    });
    this.chords = new RedisChords({
      session: this.#session,
      reader: this.#reader,
      codec: this.#codec,
      keys: this.#keys,
      ordered: settings.chordOrdered,
      readGroup: (id) => this.readGroup(id),
      location: () => this.#location,
    });
    this.#stores = new StoreQueue({
      send: (batch) => this.#send(batch),
      isHopeless,
      isLive: () => this.#session.state === "live",
      clock,
      logger,
      retry: options.retry,
    });
    this.#watches = new Watches({
      pubsub: new RedisPubSub({
        ...shared,
        onState: (state) => {
          if (state === "live") this.#watches.onConnected();
        },
      }),
      reader: this.#reader,
      codec: this.#codec,
      clock,
      logger,
      key: (id) => this.#keys.meta(id),
    });
  }

  get location(): StoreLocation {
    return this.#location;
  }

  async start(signal: AbortSignal): Promise<void> {
    for (const warning of this.#warnings) this.#options.logger.warn({ warning }, "result backend URL");
    try {
      await this.#session.start(signal);
    } catch (error) {
      throw backendError(error, "connecting the result backend");
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#watches.stop();
      await this.#stores.close();
      this.#session.stop();
    })();
    return this.#stopping;
  }

  encode(meta: ResultMeta): ResultWrite {
    return {
      location: this.#location,
      key: this.#keys.meta(meta.taskId),
      value: this.#codec.encode(meta),
      ttlSeconds: this.#codec.ttlSeconds,
      keepSuccess: true,
    };
  }

  store(write: ResultWrite, signal: AbortSignal | null): Promise<void> {
    return this.#stores.add(write, signal);
  }

  async #send(batch: readonly ResultWrite[]): Promise<void> {
    await this.#session.live(null);
    const keys = batch.map((write) => write.key);
    const args: RedisArg[] = [];
    for (const { ttlSeconds, keepAny, keepSuccess, value } of batch)
      args.push(ttlSeconds, keepAny ? "2" : keepSuccess ? "1" : "0", value);
    await this.#session.script(STORE, { keys, args });
  }

  async get(ids: readonly string[]): Promise<readonly (ResultMeta | null)[]> {
    if (ids.length === 0) return [];
    const keys = ids.map((id) => this.#keys.meta(id));
    const stored = await this.#reader.readStored(keys);
    return stored.map((one, index) => {
      if (one === null) return null;
      if (one instanceof Error) throw one;
      return this.#codec.decode(one, keys[index] ?? "");
    });
  }

  watch(id: string, onMeta: (meta: ResultMeta) => void): { readonly ready: Promise<void>; close(): void } {
    if (this.#stopping !== null)
      throw new BackendError("the result backend was stopped", { code: "PET_CLOSED" });
    return this.#watches.watch(id, onMeta);
  }

  async forget(id: string): Promise<void> {
    this.#watches.forget(id);
    await this.#reader.retried("forgetting a result", () =>
      this.#session.command("del", [this.#keys.meta(id), this.#keys.log(id)]),
    );
  }

  /** Nobody listens for it: no script, and no message on a channel. */
  async storeLogs(id: string, text: string, signal: AbortSignal): Promise<void> {
    await this.#session.live(signal);
    const key = this.#keys.log(id);
    const { ttlSeconds } = this.#codec;
    if (ttlSeconds > 0) await this.#session.command("setex", [key, ttlSeconds, text]);
    else await this.#session.command("set", [key, text]);
  }

  async getLogs(id: string): Promise<string | null> {
    const [stored = null] = await this.#reader.readStored([this.#keys.log(id)]);
    if (stored instanceof Error) throw stored;
    return stored?.toString() ?? null;
  }

  /** Nothing is left to do. */
  async cleanup(): Promise<number> {
    return 0;
  }

  encodeGroup(id: string, tuple: unknown): ResultWrite {
    return this.#write(this.#keys.group(id), this.#codec.encodeGroup(tuple));
  }

  async readGroup(id: string): Promise<unknown> {
    const key = this.#keys.group(id);
    const [stored = null] = await this.#reader.readStored([key]);
    if (stored instanceof Error) throw stored;
    return stored === null ? null : this.#codec.decodeGroup(stored, key);
  }

  async forgetGroup(id: string): Promise<void> {
    await this.#reader.retried("forgetting a group", () =>
      this.#session.command("del", [this.#keys.group(id)]),
    );
  }

  encodeChordSize({ group, size }: ChordSize): ResultWrite {
    return { ...this.#write(this.#keys.chord(group).size, String(size)), keepAny: true };
  }

  #write(key: string, value: string | Buffer): ResultWrite {
    return { location: this.#location, key, value, ttlSeconds: this.#codec.ttlSeconds, keepSuccess: false };
  }

  /** Ids that are watched now. */
  get watched(): number {
    return this.#watches.size;
  }

  #onLive(): void {
    const facts = this.#session.facts;
    if (this.#location.kind !== "other" || facts === null || facts.runId === null) return;
    const { runId, db, selectAllowed } = facts;
    this.#location = { kind: "redis", runId, db, selectAllowed };
  }
}

/** Whether another attempt would meet the same. A refused dial (`noauth`) may not: passwords are being changed somewhere. */
function isHopeless(error: unknown): boolean {
  if (!(error instanceof RedisError)) return true;
  return error.kind === "other" || (HANDLING[error.kind] === "stop" && error.kind !== "noauth");
}

export function openRedisBackend(options: BackendOptions): ResultBackend {
  return new RedisBackend(options);
}
