/**
 * What is the same for every message of one task type, worked out once. Python: `celery/worker/strategy.py`.
 */
import type { AppInternals } from "../app/internals.ts";
import type { DecodedTask } from "../protocol/wire.ts";
import type { TaskDefinition } from "../task/definition.ts";
import { limitsOf, type TaskLimits } from "./limits.ts";
import type { WorkerSettings } from "./options.ts";
import { rateOf } from "./rate-limits.ts";

export interface Strategy {
  readonly definition: TaskDefinition;
  readonly name: string;
  readonly acksLate: boolean;
  readonly trackStarted: boolean;
  readonly ignoreResult: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  /** `send_events`. */
  readonly sendEvents: boolean;
  /** Of tasks whose message has none. ms. Written by `setTimeLimits`. */
  softTimeLimitMs: number | null;
  timeLimitMs: number | null;
  /** As given, for `inspect registered`. Written by `setRateLimit`. */
  rateLimit: string | number | null;
  /** Starts for each second in this worker; 0: no limit. Written by `setRateLimit`. */
  rate: number;
  /** Over all workers. null: none. */
  readonly limits: TaskLimits | null;
  /** Executions that ended here. Written by the tracer. */
  processed: number;
}

/** Strategies by task name. A task that is registered while the worker runs gets its strategy at its first message. */
export class Strategies {
  readonly #app: AppInternals;
  readonly #settings: WorkerSettings;
  readonly #byName = new Map<string, Strategy>();

  constructor(app: AppInternals, settings: WorkerSettings) {
    this.#app = app;
    this.#settings = settings;
  }

  /** null: no task of this name is registered. */
  of(name: string): Strategy | null {
    return this.#byName.get(name) ?? this.#prepare(name);
  }

  /** Executions that ended, by task. */
  totals(): Readonly<Record<string, number>> {
    const entries = [...this.#byName.values()].filter((one) => one.processed > 0);
    return Object.fromEntries(entries.map((one) => [one.name, one.processed]));
  }

  /**
   * The remote command `rate_limit`. False: no such task.
   *
   * @throws InvalidRate
   */
  setRateLimit(name: string, limit: string | number): boolean {
    const rate = this.#rateOf(limit);
    const strategy = this.of(name);
    if (strategy === null) return false;
    strategy.rateLimit = rateOf(limit) === 0 ? null : limit;
    strategy.rate = rate;
    return true;
  }

  /** The remote command `time_limit`, seconds; null: the worker's. False: no such task. */
  setTimeLimits(
    name: string,
    limits: { readonly soft: number | null; readonly hard: number | null },
  ): boolean {
    const strategy = this.of(name);
    if (strategy === null) return false;
    strategy.softTimeLimitMs = toMs(limits.soft ?? this.#settings.softTimeLimit);
    strategy.timeLimitMs = toMs(limits.hard ?? this.#settings.timeLimit);
    return true;
  }

  #rateOf(limit: string | number | null): number {
    return this.#app.conf.workerDisableRateLimits === true ? 0 : rateOf(limit);
  }

  #prepare(name: string): Strategy | null {
    const definition = this.#app.registry.get(name);
    if (definition === undefined) return null;
    const { options } = definition;
    const settings = this.#settings;
    const strategy: Strategy = {
      definition,
      name,
      acksLate: options.acksLate,
      trackStarted: options.trackStarted,
      ignoreResult: options.ignoreResult,
      storeErrorsEvenIfIgnored: options.storeErrorsEvenIfIgnored || settings.storeErrorsEvenIfIgnored,
      sendEvents: options.sendEvents,
      softTimeLimitMs: toMs(options.softTimeLimit ?? settings.softTimeLimit),
      timeLimitMs: toMs(options.timeLimit ?? settings.timeLimit),
      rateLimit: options.rateLimit,
      rate: this.#rateOf(options.rateLimit),
      limits: limitsOf(options),
      processed: 0,
    };
    this.#byName.set(name, strategy);
    return strategy;
  }
}

/** ms of seconds; 0 is no limit, as in Celery. */
export function toMs(seconds: number | null): number | null {
  return seconds === null || seconds === 0 ? null : seconds * 1000;
}

/** Whether nothing is stored of a success: the message decides, else the task. */
export function ignoresResult(strategy: Strategy, task: DecodedTask): boolean {
  return task.ignoreResult ?? strategy.ignoreResult;
}
