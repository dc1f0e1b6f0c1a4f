/**
 * A worker is a graph of small steps. Python: `celery/bootsteps.py`.
 *
 * Steps are ordered by `requires` (declaration order among equals), started one after the other, stopped in reverse.
 * A failing start stops what had started and is rethrown; a failing stop is logged and never keeps the others from stopping.
 */
import { ImproperlyConfigured } from "../errors.ts";
import type { Logger } from "./logger.ts";

/** One feature of a worker. */
export interface Step<C> {
  readonly name: string;
  /** Names of the steps that must have started before. */
  readonly requires: readonly string[];
  /** Off = not created, no cost per task. */
  enabled?(context: C): boolean;
  start(context: C, signal: AbortSignal): Promise<void>;
  /** Safe after a failed or missing start. */
  stop(context: C, options: { readonly graceMs: number }): Promise<void>;
}

/** Steps in the order of their start. Throws on an unknown name and on a cycle, naming them. */
export function orderSteps<C>(steps: readonly Step<C>[]): readonly Step<C>[] {
  const byName = new Map(steps.map((step) => [step.name, step]));
  const done: Step<C>[] = [];
  const open = new Set<string>();
  const visit = (step: Step<C>, path: readonly string[]): void => {
    if (done.includes(step)) return;
    if (open.has(step.name))
      throw new ImproperlyConfigured(`steps require each other: ${[...path, step.name].join(" -> ")}`);
    open.add(step.name);
    for (const name of step.requires) {
      const needed = byName.get(name);
      if (!needed) throw new ImproperlyConfigured(`step ${step.name} requires ${name}, which is not there`);
      visit(needed, [...path, step.name]);
    }
    open.delete(step.name);
    done.push(step);
  };
  for (const step of steps) visit(step, []);
  return done;
}

/** Starts and stops steps. One instance serves one start and one stop. */
export class Blueprint<C> {
  readonly name: string;
  readonly steps: readonly Step<C>[];
  readonly #started: Step<C>[] = [];
  readonly #logger: Logger;

  constructor(options: {
    readonly name: string;
    readonly steps: readonly Step<C>[];
    readonly context: C;
    readonly logger: Logger;
  }) {
    this.name = options.name;
    // What is required has to exist, be it on or off.
    orderSteps(options.steps);
    this.#logger = options.logger;
    const wanted = options.steps.filter((step) => step.enabled?.(options.context) ?? true);
    const names = new Set(wanted.map((step) => step.name));
    // A step that is off does not keep those after it from starting: they only wanted to come later.
    this.steps = orderSteps(
      wanted.map((step) => ({ ...bound(step), requires: step.requires.filter((name) => names.has(name)) })),
    );
  }

  async start(context: C, signal: AbortSignal): Promise<void> {
    for (const step of this.steps) {
      signal.throwIfAborted();
      this.#started.push(step);
      this.#logger.debug({ blueprint: this.name, step: step.name }, "step starting");
      try {
        await step.start(context, signal);
      } catch (error) {
        await this.stop(context, { graceMs: 0 });
        throw error;
      }
    }
  }

  async stop(context: C, options: { readonly graceMs: number }): Promise<void> {
    for (let step = this.#started.pop(); step; step = this.#started.pop()) {
      try {
        await step.stop(context, options);
      } catch (error) {
        this.#logger.error({ blueprint: this.name, step: step.name, err: error }, "step failed to stop");
      }
    }
  }
}

/** A step's methods may use `this`; keep it when the object is copied. */
function bound<C>(step: Step<C>): Step<C> {
  return {
    name: step.name,
    requires: step.requires,
    start: (context, signal) => step.start(context, signal),
    stop: (context, options) => step.stop(context, options),
  };
}
