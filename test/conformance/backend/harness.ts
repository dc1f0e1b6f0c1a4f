/** What the suite needs of a backend, and helpers that clean up after each test. */
import { afterAll, afterEach, beforeAll } from "vitest";
import type { BackendOptions, ResultBackend } from "../../../src/backends/backend.ts";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import type { Transport } from "../../../src/transports/transport.ts";

/** What the suite needs of a backend's store. */
export interface BackendStore {
  /** Not started. */
  create(overrides?: Partial<BackendOptions>): Promise<ResultBackend>;
  /** A worker's transport at the same store, not started. */
  transport(): Promise<Transport>;
  readonly raw: {
    get(key: string): Promise<string | null>;
    /** Writes past the backend: nobody is told. */
    set(key: string, value: string): Promise<void>;
    /** Seconds left; -1 for ever. */
    ttl(key: string): Promise<number>;
    /** Watchers that the store knows of. */
    listening(): Promise<number>;
  };
  /** What is read back of a result, where that is less than what was stored. */
  readonly keeps?: (stored: ResultMeta) => ResultMeta;
  /** Rows of Django's tables: they have no key and no time to live, and who waits is told of the last of several states. */
  readonly rows?: true;
  /** Nobody tells of a result: it is looked for. */
  readonly polls?: true;
  /** Bodies of chords go to lists of Redis: a big one in parts, and not to a key of another type. */
  readonly redisLists?: true;
  /** Whoever has a chord that is complete has had it long enough. */
  endChordLeases(): Promise<void>;
  /** Moves a clock that does not move by itself. */
  advance(ms: number): void;
  /** Durable stores: the server stops without warning, and starts again with its data. */
  readonly crash?: () => Promise<void>;
  readonly restart?: () => Promise<void>;
  /** Ends the connections that results are told on, from the server's side. */
  readonly cutWatchers?: () => Promise<void>;
  stop(): Promise<void>;
}

/** What Celery puts in front of a task's id. */
export const PREFIX = "celery-task-meta-";

export function meta(taskId: string, changes: Partial<ResultMeta> = {}): ResultMeta {
  return {
    taskId,
    status: "SUCCESS",
    result: 42,
    traceback: null,
    children: [],
    dateDone: "2026-01-02T03:04:05.678901+00:00",
    extra: {},
    ...changes,
  };
}

export interface Failure {
  readonly name: string;
  readonly code: string;
}

/** What a promise rejected with. The built classes are not the sources', so fields are compared. */
export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason as Failure,
  );
  if (error === null) throw new Error("it did not reject");
  return error;
}

export function thrownBy(call: () => unknown): Failure {
  try {
    call();
  } catch (error) {
    return error as Failure;
  }
  throw new Error("it did not throw");
}

/** One per describe. */
export class BackendSuite {
  #store: BackendStore | null = null;
  #opened: ResultBackend[] = [];
  #count = 0;

  constructor(makeStore: () => Promise<BackendStore>) {
    beforeAll(async () => {
      this.#store = await makeStore();
    });
    afterEach(async () => {
      const all = this.#opened;
      this.#opened = [];
      await Promise.all(all.map((backend) => backend.stop()));
    });
    afterAll(() => this.#store?.stop());
  }

  get store(): BackendStore {
    if (this.#store === null) throw new Error("the store is not up");
    return this.#store;
  }

  /** A task id that no other test uses. */
  id(): string {
    this.#count += 1;
    return `task-${this.#count}`;
  }

  /** Not started; stopped after the test. */
  async create(overrides?: Partial<BackendOptions>): Promise<ResultBackend> {
    const backend = await this.store.create(overrides);
    this.#opened.push(backend);
    return backend;
  }

  /** Started; stopped after the test. */
  async open(overrides?: Partial<BackendOptions>): Promise<ResultBackend> {
    const backend = await this.create(overrides);
    await backend.start(new AbortController().signal);
    return backend;
  }

  put(backend: ResultBackend, value: ResultMeta): Promise<void> {
    return backend.store(backend.encode(value), null);
  }

  async getOne(backend: ResultBackend, taskId: string): Promise<ResultMeta | null> {
    return (await backend.get([taskId]))[0] ?? null;
  }
}
