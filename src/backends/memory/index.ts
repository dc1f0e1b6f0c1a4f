/** `memory://name`, `cache+memory://name`: results inside this process, shared by name with the memory transport. */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { PetioleError } from "../../errors.ts";
import type { ResultMeta } from "../../protocol/wire.ts";
import {
  type MemoryBroker,
  type MemoryWrite,
  memoryBroker,
  memoryName,
} from "../../transports/memory/index.ts";
import type { StoreLocation } from "../../transports/transport.ts";
import type { BackendOptions, ChordSize, ResultBackend, ResultWrite } from "../backend.ts";
import { GROUP_PREFIX, LOG_PREFIX, META_PREFIX, ResultCodec, type StoredText } from "../result-codec.ts";
import { MemoryChords } from "./chords.ts";

export class MemoryBackend implements ResultBackend {
  readonly location: StoreLocation;
  readonly enabled = true as const;
  readonly #broker: MemoryBroker;
  readonly #codec: ResultCodec;
  readonly chords: MemoryChords;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Ends of the open watches, by task id. */
  readonly #watches = new Map<string, Set<() => void>>();
  #stopped = false;

  constructor(options: BackendOptions) {
    const name = memoryName(options.url);
    this.location = { kind: "memory", name };
    this.#broker = memoryBroker(name);
    this.#codec = new ResultCodec(options);
    this.#clock = options.clock;
    this.chords = new MemoryChords({
      broker: this.#broker,
      codec: this.#codec,
      now: () => options.clock.now(),
      write: (write) => this.#broker.results.write(write, options.clock.now()),
      readGroup: (id) => this.readGroup(id),
    });
    this.#logger = options.logger;
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#requireOpen();
    signal.throwIfAborted();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const ends of this.#watches.values()) for (const end of ends) end();
  }

  encode(meta: ResultMeta): ResultWrite {
    const write: MemoryWrite = {
      location: this.location,
      key: META_PREFIX + meta.taskId,
      value: this.#codec.encode(meta),
      ttlSeconds: this.#codec.ttlSeconds,
      keepSuccess: true,
      success: meta.status === "SUCCESS",
    };
    return write;
  }

  async store(write: ResultWrite, signal: AbortSignal | null): Promise<void> {
    this.#requireOpen();
    signal?.throwIfAborted();
    this.#broker.results.write(write, this.#clock.now());
  }

  async get(ids: readonly string[]): Promise<readonly (ResultMeta | null)[]> {
    this.#requireOpen();
    return ids.map((id) => {
      const key = META_PREFIX + id;
      const stored = this.#broker.results.read(key, this.#clock.now());
      return stored === null ? null : this.#codec.decode(stored, key);
    });
  }

  watch(id: string, onMeta: (meta: ResultMeta) => void): { readonly ready: Promise<void>; close(): void } {
    this.#requireOpen();
    const key = META_PREFIX + id;
    const stop = this.#broker.results.listen(key, (stored) => this.#tell(key, stored, onMeta));
    const ends = this.#watches.get(id) ?? new Set();
    const close = (): void => {
      stop();
      if (ends.delete(close) && ends.size === 0) this.#watches.delete(id);
    };
    this.#watches.set(id, ends.add(close));
    return { ready: Promise.resolve(), close };
  }

  async storeLogs(id: string, text: string): Promise<void> {
    this.#requireOpen();
    const { location } = this;
    const write = { location, key: LOG_PREFIX + id, value: text, ttlSeconds: this.#codec.ttlSeconds };
    this.#broker.results.write({ ...write, keepSuccess: false }, this.#clock.now());
  }

  async getLogs(id: string): Promise<string | null> {
    this.#requireOpen();
    return this.#broker.results.read(LOG_PREFIX + id, this.#clock.now())?.toString() ?? null;
  }

  async forget(id: string): Promise<void> {
    this.#requireOpen();
    this.#broker.results.delete(META_PREFIX + id);
    this.#broker.results.delete(LOG_PREFIX + id);
    for (const end of this.#watches.get(id) ?? []) end();
  }

  /** Nothing is left to do. */
  async cleanup(): Promise<number> {
    return 0;
  }

  encodeGroup(id: string, tuple: unknown): ResultWrite {
    return this.#write(GROUP_PREFIX + id, this.#codec.encodeGroup(tuple));
  }

  async readGroup(id: string): Promise<unknown> {
    this.#requireOpen();
    const key = GROUP_PREFIX + id;
    const stored = this.#broker.results.read(key, this.#clock.now());
    return stored === null ? null : this.#codec.decodeGroup(stored, key);
  }

  async forgetGroup(id: string): Promise<void> {
    this.#requireOpen();
    this.#broker.results.delete(GROUP_PREFIX + id);
  }

  encodeChordSize({ group, size }: ChordSize): ResultWrite {
    return { ...this.#write(`${GROUP_PREFIX}${group}.s`, String(size)), keepAny: true };
  }

  #write(key: string, value: StoredText): ResultWrite {
    return { location: this.location, key, value, ttlSeconds: this.#codec.ttlSeconds, keepSuccess: false };
  }

  #tell(key: string, stored: StoredText, onMeta: (meta: ResultMeta) => void): void {
    try {
      onMeta(this.#codec.decode(stored, key));
    } catch (err) {
      this.#logger.warn({ key, err }, "a stored result could not be handed on");
    }
  }

  #requireOpen(): void {
    if (this.#stopped) throw new PetioleError("PET_CLOSED", "the result backend was stopped");
  }
}

export function openMemoryBackend(options: BackendOptions): ResultBackend {
  return new MemoryBackend(options);
}
