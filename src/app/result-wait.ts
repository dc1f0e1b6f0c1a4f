/**
 * One wait for one result: subscribe, read, and see it through. Nothing is left behind, however it ends: ready, timeout,
 * abort, an error of the first reading, or the app's close.
 */
import type { ResultBackend } from "../backends/backend.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { TimeoutError } from "../errors.ts";
import { isReady } from "../protocol/states.ts";
import type { ResultMeta } from "../protocol/wire.ts";
import type { GetOptions } from "./result-types.ts";

export interface WaitOptions {
  readonly id: string;
  readonly backend: ResultBackend;
  readonly clock: Clock;
  readonly get: GetOptions;
  /** ms that are left of the timeout; null: no end. */
  readonly leftMs: number | null;
}

export class Wait {
  readonly #options: WaitOptions;
  #over = false;
  #deadline: Timer | null = null;
  #poll: Timer | null = null;
  #watch: { close(): void } | null = null;
  #resolve: (meta: ResultMeta) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(options: WaitOptions) {
    this.#options = options;
  }

  /** Called once. */
  done(): Promise<ResultMeta> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      try {
        this.#start();
      } catch (error) {
        this.fail(error);
      }
    });
  }

  /** Ends the wait, unless it has ended. */
  fail(error: unknown): void {
    if (this.#finish()) this.#reject(error);
  }

  #start(): void {
    const { id, backend, clock, get, leftMs } = this.#options;
    get.signal?.addEventListener("abort", this.#onAbort);
    if (leftMs !== null) {
      this.#deadline = clock.setTimer(leftMs, () => this.fail(timedOut(id, get.timeout ?? 0)));
    }
    if (get.interval !== undefined) this.#pollEvery(Math.max(get.interval * 1000, 1));
    const watch = backend.watch(id, (meta) => this.#seen(meta));
    this.#watch = watch;
    // `watch` may have called back already.
    if (this.#over) watch.close();
    else watch.ready.then(() => this.#read()).catch((error: unknown) => this.fail(error));
  }

  #seen(meta: ResultMeta): void {
    if (isReady(meta.status) && this.#finish()) this.#resolve(meta);
  }

  async #read(): Promise<void> {
    if (this.#over) return;
    const [meta] = await this.#options.backend.get([this.#options.id]);
    if (meta) this.#seen(meta);
  }

  /** The option `interval`: more often than the backend's own slow poll. A reading that fails is made again. */
  #pollEvery(everyMs: number): void {
    this.#poll = this.#options.clock.setTimer(everyMs, () => {
      void this.#read()
        .catch(() => {})
        .then(() => {
          if (!this.#over) this.#pollEvery(everyMs);
        });
    });
  }

  readonly #onAbort = (): void => this.fail(this.#options.get.signal?.reason);

  /** false: it was over already. */
  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#deadline?.cancel();
    this.#poll?.cancel();
    this.#options.get.signal?.removeEventListener("abort", this.#onAbort);
    this.#watch?.close();
    return true;
  }
}

/** The error of a wait that took too long. */
export function timedOut(id: string, timeoutSeconds: number): TimeoutError {
  return new TimeoutError(
    `the result of task ${id} was not ready after ${timeoutSeconds} s; the task goes on. Give get() a longer timeout, or see whether a worker runs`,
  );
}
