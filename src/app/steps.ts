/** Steps: parts that users add to their workers. Python: `app.steps`, `celery.bootsteps`. */
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured } from "../errors.ts";
import type { Celery } from "./app.ts";
import type { StateDbConfig } from "./state-db.ts";

/** The worker's own steps, as `petiole worker --print-steps` lists them. */
export const WORKER_STEP_NAMES = [
  "health",
  "transport",
  "backend",
  "statedb",
  "events",
  "pool",
  "heartbeat",
  "gossip",
  "tasks",
  "chords",
  "control",
  "mingle",
  "consumer",
  "broadcasts",
  "autoscaler",
] as const;
/** One of the worker's own steps. */
export type WorkerStepName = (typeof WORKER_STEP_NAMES)[number];

/** What a step is given. */
export interface WorkerStepContext {
  readonly app: Celery;
  /** Node name of the worker. */
  readonly hostname: string;
  /** The worker's log. */
  readonly logger: Logger;
  /** `async`, `prefork`, `threads`, `solo`. */
  readonly pool: string;
  /** Tasks at once, at most. */
  readonly concurrency: number;
  /** Where revoked tasks are kept; null: nowhere. */
  readonly stateDb: StateDbConfig | null;
  /** Aborted when the worker is told to stop. */
  readonly signal: AbortSignal;
  /** Ends the worker as SIGTERM does. */
  stop(): void;
}

/** A part of a worker. Promises are awaited. */
export interface WorkerStep {
  /** Different from those of all other steps. */
  readonly name: string;
  /** Steps that are to start before it, and to stop after it. */
  readonly requires?: readonly (WorkerStepName | (string & {}))[] | undefined;
  /** Default: yes. */
  enabled?(context: WorkerStepContext): boolean;
  /** When it fails, the worker does not start. */
  start?(context: WorkerStepContext): unknown;
  /** Also after a start that failed. */
  stop?(context: WorkerStepContext): unknown;
  /** In place of `stop` when the worker ends cold: there is little time. */
  terminate?(context: WorkerStepContext): unknown;
  /** Joined to the reply of `inspect stats`. */
  info?(context: WorkerStepContext): Readonly<Record<string, unknown>>;
}

/** Steps of one kind. */
export class StepSet {
  readonly #steps: WorkerStep[] = [];
  readonly #names: Set<string>;

  /** @param names - of all steps of the app */
  constructor(names: Set<string>) {
    this.#names = names;
  }

  /** For workers that start from now on. */
  add(step: WorkerStep): this {
    const { name } = step;
    if (typeof name !== "string" || name === "") {
      throw new ImproperlyConfigured('a step of app.steps needs a name: { name: "metrics", start() { … } }');
    }
    if ((WORKER_STEP_NAMES as readonly string[]).includes(name)) {
      throw new ImproperlyConfigured(`a worker has a step ${name} of its own: give yours another name`);
    }
    if (this.#names.has(name)) {
      throw new ImproperlyConfigured(`there are two steps ${JSON.stringify(name)}: give one another name`);
    }
    this.#names.add(name);
    this.#steps.push(step);
    return this;
  }

  /** In the order in which they were added. */
  [Symbol.iterator](): Iterator<WorkerStep> {
    return this.#steps[Symbol.iterator]();
  }
}

/** `app.steps`. */
export class Steps {
  readonly #names = new Set<string>();
  /** Started once, before the worker takes its first message; stopped after its last task. */
  readonly worker: StepSet = new StepSet(this.#names);
  /** Started when the worker takes messages, stopped before it ceases to; and both again around each loss of the broker. */
  readonly consumer: StepSet = new StepSet(this.#names);
}
