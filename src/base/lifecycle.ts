/**
 * One lifecycle for everything that starts and stops.
 *
 * | state    | start            | stop              |
 * |----------|------------------|-------------------|
 * | idle     | -> starting      | -> stopped        |
 * | starting | same promise     | waits, -> stopping|
 * | running  | same promise     | -> stopping       |
 * | stopping | rejects          | same promise      |
 * | stopped  | rejects          | same promise      |
 *
 * A start that fails goes to `stopped` after `onStop` has cleaned up.
 */
import { PetioleError } from "../errors.ts";

export type ServiceState = "idle" | "starting" | "running" | "stopping" | "stopped";

/** Base of every service. Subclasses write `onStart` and `onStop`; `onStop` must be safe after a failed or missing start. */
export abstract class Service {
  #state: ServiceState = "idle";
  #starting: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  readonly #abort = new AbortController();

  get state(): ServiceState {
    return this.#state;
  }

  /** Aborted when the service is told to stop. */
  protected get stopSignal(): AbortSignal {
    return this.#abort.signal;
  }

  protected abstract onStart(signal: AbortSignal): Promise<void>;
  protected abstract onStop(options: { readonly graceMs: number }): Promise<void>;

  /** Starts it; a second call gives the same promise. */
  start(signal?: AbortSignal): Promise<void> {
    if (this.#starting) return this.#starting;
    if (this.#state !== "idle") {
      return Promise.reject(
        new PetioleError("PET_CLOSED", `${this.constructor.name} was stopped and cannot be started again`),
      );
    }
    this.#state = "starting";
    const both = signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal;
    this.#starting = this.onStart(both).then(
      () => {
        if (this.#state === "starting") this.#state = "running";
      },
      async (error: unknown) => {
        if (this.#stopping === null) {
          this.#state = "stopping";
          this.#stopping = this.onStop({ graceMs: 0 }).finally(() => {
            this.#state = "stopped";
          });
          await this.#stopping.catch(() => {});
        }
        throw error;
      },
    );
    return this.#starting;
  }

  /** Stops it, whatever its state. Idempotent. */
  stop(options: { readonly graceMs: number } = { graceMs: 0 }): Promise<void> {
    if (this.#stopping) return this.#stopping;
    const starting = this.#starting;
    this.#state = "stopping";
    this.#abort.abort();
    this.#stopping = (async () => {
      await starting?.catch(() => {});
      try {
        await this.onStop(options);
      } finally {
        this.#state = "stopped";
      }
    })();
    return this.#stopping;
  }
}
