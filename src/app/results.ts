/**
 * The one backend that an app reads results with, and all waits on it. Python: `celery/result.py`, the parts of
 * `celery/backends/asynchronous.py` that wait.
 *
 * A wait subscribes first and reads then, so that a result stored in between is seen; the backend's own slow poll and its
 * re-read after a reconnect see to the rest.
 */

import type { ResultBackend } from "../backends/backend.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { ChordSize } from "../canvas/plan.ts";
import { PetioleError } from "../errors.ts";
import { decodeLogLines, type TaskLogLine } from "../protocol/log-lines.ts";
import { type ResultNode, readResultTuple } from "../protocol/result-tuple.ts";
import { isReady } from "../protocol/states.ts";
import type { ResultMeta } from "../protocol/wire.ts";
import { currentExecution } from "../task/current.ts";
import { handleOf, ResultHandle } from "./result-handle.ts";
import { ResultSetHandle } from "./result-set.ts";
import type { AsyncResult, GetOptions, RevokeOptions } from "./result-types.ts";
import { timedOut, Wait } from "./result-wait.ts";

/** What results need of their app. */
export interface ResultsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** A new backend, started. `signal`: the app is closed. */
  open(signal: AbortSignal): Promise<ResultBackend>;
  /** `result_cache_max`: ready results kept for handles of the same id; 0: no limit, -1: none. */
  cacheMax(): number;
  /** Tells the workers. */
  revoke(id: string, options: RevokeOptions): Promise<void>;
}

/** One app's results. The backend is opened at the first reading, shared by all. */
export class Results {
  readonly clock: Clock;
  readonly #options: ResultsOptions;
  /** Written by `backend` and `close`. */
  #opening: Promise<ResultBackend> | null = null;
  /** Aborted by `close`. */
  readonly #abort = new AbortController();
  /** Waits in progress: ended by `close`. */
  readonly #waits = new Set<Wait>();
  /** Ready results, oldest first; null: `result_cache_max` is off. Written by `#keep`. */
  #cache: Map<string, ResultMeta> | null = null;
  #cacheMax = -1;
  /** The warning about `get` inside a task was given. */
  #warned = false;

  constructor(options: ResultsOptions) {
    this.#options = options;
    this.clock = options.clock;
  }

  /** A handle. `ignored`: the task is known to store nothing. `duplicate`: of an earlier call of a unique task. */
  handle(id: string, ignored = false, duplicate = false): AsyncResult<unknown> {
    if (duplicate) return new ResultHandle(this, id, { ...PLAIN, ignored, duplicate });
    return new ResultHandle(this, id, ignored ? IGNORED : PLAIN);
  }

  /** The handle of a task that ran here: what is known of it is all there is, unless it was stored. */
  settled(
    meta: ResultMeta,
    how: { readonly ignored: boolean; readonly stored: boolean },
  ): AsyncResult<unknown> {
    const { ignored, stored } = how;
    if (stored) return this.handle(meta.taskId, ignored);
    return new ResultHandle(this, meta.taskId, { parent: null, ignored, local: meta });
  }

  /**
   * The backend, opened when first asked for. A failure is not remembered.
   *
   * @throws PetioleError `PET_BACKEND_DISABLED`, `PET_CLOSED`
   */
  async backend(): Promise<ResultBackend> {
    if (this.#abort.signal.aborted) throw closed();
    this.#opening ??= this.#open();
    const backend = await this.#opening;
    if (!backend.enabled) {
      throw new PetioleError(
        "PET_BACKEND_DISABLED",
        "the app has no result backend: set resultBackend, e.g. to redis://localhost:6379/1",
      );
    }
    return backend;
  }

  #open(): Promise<ResultBackend> {
    const opening = this.#options.open(this.#abort.signal);
    opening.then(
      () => {
        this.#cacheMax = this.#options.cacheMax();
        if (this.#cacheMax >= 0) this.#cache = new Map();
      },
      () => {
        if (this.#opening === opening) this.#opening = null;
      },
    );
    return opening;
  }

  /** One reading; null: nothing stored. */
  async read(id: string): Promise<ResultMeta | null> {
    const known = this.#cache?.get(id);
    if (known !== undefined) return known;
    const backend = await this.backend();
    const [meta = null] = await backend.get([id]);
    if (meta !== null) this.#keep(meta);
    return meta;
  }

  /** The handle of what a plan or a result tuple names. */
  of(node: ResultNode): AsyncResult<unknown> {
    return handleOf(this, node);
  }

  set(results: Iterable<AsyncResult<unknown>>): ResultSetHandle {
    return new ResultSetHandle(this, results);
  }

  async saveGroup(id: string, tuple: unknown): Promise<void> {
    const backend = await this.backend();
    await backend.store(backend.encodeGroup(id, tuple), this.#abort.signal);
  }

  /** null: nothing saved. */
  async restoreGroup(id: string): Promise<AsyncResult<unknown> | null> {
    const backend = await this.backend();
    const node = readResultTuple(await backend.readGroup(id));
    return node === null || node.children === null ? null : handleOf(this, node);
  }

  async forgetGroup(id: string): Promise<void> {
    const backend = await this.backend();
    await backend.forgetGroup(id);
  }

  /** What chords wait for: before their headers are sent. */
  async startChords(chords: readonly ChordSize[]): Promise<void> {
    const backend = await this.backend();
    const { signal } = this.#abort;
    await Promise.all(chords.map((chord) => backend.store(backend.encodeChordSize(chord), signal)));
  }

  async logs(id: string): Promise<readonly TaskLogLine[]> {
    const backend = await this.backend();
    const stored = await backend.getLogs(id);
    return stored === null ? [] : decodeLogLines(stored);
  }

  /** One part more to wait for: this task. */
  async extendChord(group: string, id: string): Promise<void> {
    const backend = await this.backend();
    await backend.chords?.extend(group, id);
  }

  async forget(id: string): Promise<void> {
    this.#cache?.delete(id);
    const backend = await this.backend();
    await backend.forget(id);
  }

  revoke(id: string, options: RevokeOptions): Promise<void> {
    return this.#options.revoke(id, options);
  }

  /** Waits until the task is ready. Opening the backend counts towards the timeout. */
  async wait(id: string, get: GetOptions): Promise<ResultMeta> {
    get.signal?.throwIfAborted();
    this.#warnInTask();
    const known = this.#cache?.get(id);
    if (known !== undefined) return known;
    const startedMs = this.clock.monotonic();
    const backend = await this.#openedWithin(id, get);
    const spentMs = this.clock.monotonic() - startedMs;
    const leftMs = get.timeout === undefined ? null : Math.max(get.timeout * 1000 - spentMs, 0);
    const wait = new Wait({ id, backend, clock: this.clock, get, leftMs });
    this.#waits.add(wait);
    try {
      const meta = await wait.done();
      this.#keep(meta);
      return meta;
    } finally {
      this.#waits.delete(wait);
    }
  }

  #openedWithin(id: string, get: GetOptions): Promise<ResultBackend> {
    const opening = this.backend();
    const { timeout, signal } = get;
    if (timeout === undefined && signal === undefined) return opening;
    return new Promise((resolve, reject) => {
      const late = (): void => reject(timedOut(id, timeout ?? 0));
      const timer = timeout === undefined ? null : this.clock.setTimer(timeout * 1000, late);
      const onAbort = (): void => reject(signal?.reason);
      signal?.addEventListener("abort", onAbort);
      opening.then(resolve, reject).finally(() => {
        timer?.cancel();
        signal?.removeEventListener("abort", onAbort);
      });
    });
  }

  #keep(meta: ResultMeta): void {
    const cache = this.#cache;
    if (cache === null || !isReady(meta.status)) return;
    cache.delete(meta.taskId);
    cache.set(meta.taskId, meta);
    if (this.#cacheMax > 0 && cache.size > this.#cacheMax) {
      const oldest = cache.keys().next();
      if (!oldest.done) cache.delete(oldest.value);
    }
  }

  #warnInTask(): void {
    const execution = currentExecution();
    if (this.#warned || execution === undefined) return;
    this.#warned = true;
    this.#options.logger.warn(
      { task: execution.context.name },
      "a task waits for the result of another: when all slots wait, nothing runs. Use link, or a chain",
    );
  }

  /** Ends all waits with `PET_CLOSED` and stops the backend. Idempotent. */
  async close(): Promise<void> {
    this.#abort.abort();
    for (const wait of this.#waits) wait.fail(closed());
    const opening = this.#opening;
    this.#opening = null;
    if (opening === null) return;
    const backend = await opening.catch(() => null);
    await backend?.stop();
  }
}

const PLAIN = { parent: null, ignored: false, local: null } as const;
const IGNORED = { parent: null, ignored: true, local: null } as const;

function closed(): PetioleError {
  return new PetioleError("PET_CLOSED", "the app was closed: results can no longer be read with it");
}
