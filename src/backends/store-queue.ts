/**
 * Results on their way to a server. Those of one event-loop turn share a call; one call is under way at a time, so that the
 * states of a task arrive in the order they were stored, over reconnects too.
 *
 * | what the call met                                                      | then                                           |
 * |------------------------------------------------------------------------|------------------------------------------------|
 * | written                                                                | the promises resolve                           |
 * | no connection, a deadline, a server that cannot write now              | back-off, again, until `maxRetries` or abort   |
 * | what will not change by itself: no permission, no table, an unknown error | the promises reject, each for its own result |
 */
import { fullJitterMs } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { BackendError, PetioleError } from "../errors.ts";
import type { ResultWrite } from "./backend.ts";
import { backendError } from "./result-codec.ts";

/** Results of one call, and their UTF-16 units or bytes, at most; one that is bigger goes alone. */
const BATCH_COUNT = 500;
const BATCH_SIZE = 1024 * 1024;

interface Pending {
  readonly write: ResultWrite;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly signal: AbortSignal | null;
  /** Failed calls that it was in. */
  attempts: number;
  settled: boolean;
}

/** Results that one signal ends. */
interface Aborts {
  readonly waiting: Set<Pending>;
  readonly onAbort: () => void;
}

export interface StoreQueueOptions {
  /** One attempt. */
  readonly send: (batch: readonly ResultWrite[]) => Promise<void>;
  /** Whether another attempt would meet the same. */
  readonly isHopeless: (error: unknown) => boolean;
  /** Whether what waits when it closes can be sent at once. */
  readonly isLive: () => boolean;
  /** A call has a key once: what has the same waits for the next one. */
  readonly distinct?: true;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retry: { readonly maxRetries: number; readonly baseMs: number; readonly capMs: number };
}

export class StoreQueue {
  readonly #options: StoreQueueOptions;
  /** In the order of `add`; the first ones may be under way. */
  #queue: Pending[] = [];
  readonly #aborts = new Map<AbortSignal, Aborts>();
  #running: Promise<void> | null = null;
  #scheduled = false;
  #closed = false;
  /** So many calls have one result only. */
  #alone = 0;
  /** The pause between two attempts. */
  #pause: { readonly timer: Timer; readonly end: () => void } | null = null;

  constructor(options: StoreQueueOptions) {
    this.#options = options;
  }

  /** Results not settled yet. */
  get size(): number {
    return this.#queue.length;
  }

  add(write: ResultWrite, signal: AbortSignal | null): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    if (signal?.aborted) return Promise.reject(abortedError(signal, write));
    return new Promise((resolve, reject) => {
      const pending: Pending = { write, resolve, reject, signal, attempts: 0, settled: false };
      if (signal !== null) this.#listen(signal, pending);
      this.#queue.push(pending);
      this.#schedule();
    });
  }

  /** Sends what is there, once; what does not arrive rejects. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.end();
    await this.#running;
    if (this.#queue.length > 0 && this.#options.isLive()) await this.#run();
    for (const pending of this.#queue) this.#fail(pending, closedError());
    this.#queue = [];
  }

  #schedule(): void {
    if (this.#scheduled || this.#running !== null) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#running !== null || this.#closed) return;
      this.#running = this.#run().finally(() => {
        this.#running = null;
        // Added after the last look at the queue.
        if (this.#queue.length > 0 && !this.#closed) this.#schedule();
      });
    });
  }

  /** Until nothing is left. Never rejects. */
  async #run(): Promise<void> {
    let attempt = 0;
    for (;;) {
      const batch = this.#nextBatch();
      if (batch.length === 0) return;
      try {
        await this.#options.send(batch.map((one) => one.write));
        for (const pending of batch) this.#done(pending);
        attempt = 0;
      } catch (error) {
        const again = this.#afterFailure(batch, error);
        if (this.#closed) return;
        if (!again) continue;
        attempt += 1;
        await this.#wait(attempt, error);
        if (this.#closed) return;
      }
    }
  }

  /** Settles what gives up; whether to pause before the next attempt. */
  #afterFailure(batch: readonly Pending[], error: unknown): boolean {
    const hopeless = this.#options.isHopeless(error);
    if (hopeless && batch.length > 1 && !isClosed(error)) {
      // One of them may be to blame for all: alone they get what they deserve.
      this.#alone = batch.length;
      return false;
    }
    for (const pending of batch) {
      pending.attempts += 1;
      if (hopeless || pending.attempts > this.#options.retry.maxRetries) {
        this.#fail(pending, backendError(error, `storing the result ${JSON.stringify(pending.write.key)}`));
      }
    }
    return !hopeless;
  }

  #wait(attempt: number, error: unknown): Promise<void> {
    const { clock, logger, retry } = this.#options;
    const delayMs = fullJitterMs(attempt, { baseMs: retry.baseMs, capMs: retry.capMs });
    const fields = { attempt, delayMs: Math.round(delayMs), waiting: this.#queue.length, err: error };
    if (attempt === 1) logger.warn(fields, "results cannot be stored, trying again");
    else logger.debug(fields, "results cannot be stored, trying again");
    return new Promise((resolve) => {
      const end = (): void => {
        this.#pause?.timer.cancel();
        this.#pause = null;
        resolve();
      };
      this.#pause = { timer: clock.setTimer(delayMs, end), end };
    });
  }

  /** From the front, without what was given up meanwhile. */
  #nextBatch(): Pending[] {
    const live = this.#queue.filter((pending) => !pending.settled);
    this.#queue = live;
    if (this.#alone > 0) {
      this.#alone -= 1;
      return live.slice(0, 1);
    }
    let size = 0;
    const batch: Pending[] = [];
    const keys = this.#options.distinct ? new Set<string>() : null;
    for (const pending of live) {
      const { key, value } = pending.write;
      if (keys?.has(key)) continue;
      size += key.length + value.length;
      if (batch.length > 0 && (batch.length === BATCH_COUNT || size > BATCH_SIZE)) break;
      keys?.add(key);
      batch.push(pending);
    }
    return batch;
  }

  #done(pending: Pending): void {
    if (pending.settled) return;
    this.#settle(pending);
    pending.resolve();
  }

  #fail(pending: Pending, error: Error): void {
    if (pending.settled) return;
    this.#settle(pending);
    pending.reject(error);
  }

  #settle(pending: Pending): void {
    pending.settled = true;
    const aborts = pending.signal === null ? undefined : this.#aborts.get(pending.signal);
    if (pending.signal === null || !aborts?.waiting.delete(pending) || aborts.waiting.size > 0) return;
    pending.signal.removeEventListener("abort", aborts.onAbort);
    this.#aborts.delete(pending.signal);
  }

  /** One listener for all results of a signal: thousands may share one, and Node warns from the eleventh on. */
  #listen(signal: AbortSignal, pending: Pending): void {
    let aborts = this.#aborts.get(signal);
    if (aborts === undefined) {
      const waiting = new Set<Pending>();
      const onAbort = (): void => {
        for (const one of waiting) this.#fail(one, abortedError(signal, one.write));
      };
      aborts = { waiting, onAbort };
      this.#aborts.set(signal, aborts);
      signal.addEventListener("abort", onAbort, { once: true });
    }
    aborts.waiting.add(pending);
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof PetioleError && error.code === "PET_CLOSED";
}

function closedError(): PetioleError {
  return new PetioleError("PET_CLOSED", "the result backend was stopped before the result was stored");
}

function abortedError(signal: AbortSignal, write: ResultWrite): BackendError {
  return new BackendError(`storing ${JSON.stringify(write.key)} was given up`, { cause: signal.reason });
}
