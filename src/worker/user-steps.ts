/**
 * Runs the steps that users add. A worker's steps start and stop once; a consumer's also stop when the broker is lost, and start
 * again when it is back. Python: `celery.bootsteps.StartStopStep`, `ConsumerStep`.
 */
import type { WorkerStep, WorkerStepContext } from "../app/steps.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { PetioleError } from "../errors.ts";

/** What a step may still take when the worker ends cold. ms. */
const COLD_MS = 2_000;

export class UserSteps {
  readonly #context: WorkerStepContext;
  readonly #cold: AbortSignal;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** In the order of their start. */
  readonly #running = new Set<WorkerStep>();
  /** Those of the consumer, likewise, whether or not the broker is there. */
  readonly #connected = new Set<WorkerStep>();
  /** Starts and stops for the connection: one after the other. */
  #turn: Promise<void> = Promise.resolve();

  constructor(context: WorkerStepContext, parts: { readonly cold: AbortSignal; readonly clock: Clock }) {
    this.#context = context;
    this.#cold = parts.cold;
    this.#clock = parts.clock;
    this.#logger = context.logger;
  }

  isWanted(step: WorkerStep): boolean {
    return step.enabled?.(this.#context) ?? true;
  }

  /** @throws PetioleError `PET_STEP_FAILED`, naming the step */
  async start(step: WorkerStep): Promise<void> {
    this.#running.add(step);
    try {
      await step.start?.(this.#context);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PetioleError("PET_STEP_FAILED", `the step ${step.name} failed to start: ${reason}`, {
        cause,
      });
    }
  }

  /** Never rejects. */
  async stop(step: WorkerStep): Promise<void> {
    if (!this.#running.delete(step)) return;
    const isCold = this.#cold.aborted && step.terminate !== undefined;
    const what = isCold ? "terminate" : "stop";
    try {
      const ended = Promise.resolve(isCold ? step.terminate?.(this.#context) : step.stop?.(this.#context));
      await this.#withinTime(ended, step);
    } catch (err) {
      this.#logger.error({ step: step.name, what, err }, "a step failed to stop");
    }
  }

  /** Joins a consumer's step that is running to those that come and go with the broker. */
  connect(step: WorkerStep): void {
    this.#connected.add(step);
  }

  async disconnect(step: WorkerStep): Promise<void> {
    this.#connected.delete(step);
    await this.#turn;
    await this.stop(step);
  }

  onConnection(isUp: boolean): void {
    this.#turn = this.#turn.then(() => (isUp ? this.#restart() : this.#pause()));
  }

  info(): Readonly<Record<string, unknown>> {
    const all: Record<string, unknown> = {};
    for (const step of this.#running) {
      try {
        Object.assign(all, step.info?.(this.#context));
      } catch (err) {
        this.#logger.error({ step: step.name, what: "info", err }, "a step failed");
      }
    }
    return all;
  }

  async #pause(): Promise<void> {
    for (const step of [...this.#connected].toReversed()) await this.stop(step);
  }

  async #restart(): Promise<void> {
    for (const step of this.#connected) {
      if (this.#running.has(step)) continue;
      try {
        await this.start(step);
      } catch (err) {
        this.#logger.error({ step: step.name, err }, "a step failed to start again");
        await this.stop(step);
      }
    }
  }

  /** A cold end does not wait for long. */
  async #withinTime(ended: Promise<unknown>, { name }: WorkerStep): Promise<void> {
    const over = new AbortController();
    const late = new Promise<"late">((resolve) => {
      const arm = (): void => {
        const timer = this.#clock.setTimer(COLD_MS, () => resolve("late"));
        over.signal.addEventListener("abort", () => timer.cancel());
      };
      if (this.#cold.aborted) arm();
      else this.#cold.addEventListener("abort", arm, { once: true, signal: over.signal });
    });
    try {
      const first = await Promise.race([ended.then(() => "ended" as const), late]);
      if (first === "late") this.#logger.error({ step: name }, "a step did not stop in time: it is left");
    } finally {
      over.abort();
    }
  }
}
