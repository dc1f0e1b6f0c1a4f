/**
 * Limits over all workers, asked for when a task has a slot of the pool and is about to start. What has to wait goes back to
 * the broker and holds nothing here. `transports/limits.ts` has the rules.
 */
import type { Logger } from "../base/logger.ts";
import type { ResolvedTaskOptions, TaskDefinition } from "../task/definition.ts";
import { bindInput } from "../task/input.ts";
import { bindArguments } from "../task/parameters.ts";
import { type LimitClaim, shortKey } from "../transports/limits.ts";
import type { Consumer } from "../transports/transport.ts";
import { rateOf } from "./rate-limits.ts";
import type { Request } from "./request.ts";

type Key = (...args: readonly unknown[]) => unknown;

/** Limits of a task type. */
export interface TaskLimits {
  readonly concurrency: { readonly limit: number; readonly key: Key | null } | null;
  readonly rate: { readonly perSecond: number; readonly burst: number; readonly key: Key | null } | null;
}

/** null: none. */
export function limitsOf({ globalRateLimit, maxConcurrency }: ResolvedTaskOptions): TaskLimits | null {
  const perSecond = rateOf(globalRateLimit?.rate);
  if (perSecond === 0 && maxConcurrency === null) return null;
  return {
    concurrency: maxConcurrency,
    rate:
      globalRateLimit === null || perSecond === 0
        ? null
        : { perSecond, burst: globalRateLimit.burst, key: globalRateLimit.key },
  };
}

export interface GlobalLimitsOptions {
  readonly logger: Logger;
  consumer(): Consumer | null;
  /** The key of a limit could not be made of the arguments: the task fails. */
  fail(request: Request, error: unknown): void;
}

export class GlobalLimits {
  readonly #options: GlobalLimitsOptions;
  /** Written by `admit`, taken out by `ended`. */
  readonly #claims = new Map<Request, LimitClaim>();
  readonly #ended = new WeakSet<Request>();

  constructor(options: GlobalLimitsOptions) {
    this.#options = options;
  }

  /** False: it is not to run here and now, and all was done that is to be done. Never rejects. */
  async admit(request: Request, limits: TaskLimits): Promise<boolean> {
    const { logger } = this.#options;
    const { id, task, delivery } = request;
    let claim: LimitClaim;
    try {
      claim = await claimOf(request, limits);
    } catch (error) {
      this.#options.fail(request, error);
      return false;
    }
    const admission = await (this.#options.consumer()?.admit(delivery, claim) ?? null);
    switch (admission?.kind) {
      case "run":
        this.#claims.set(request, claim);
        return true;
      case "wait": {
        request.state = "dropped";
        const { key } = admission;
        const until = admission.for === "rate" ? new Date(admission.untilMs).toISOString() : null;
        logger.info(
          { id, task, limit: admission.for, key, until },
          "a task waits for a limit over all workers",
        );
        return false;
      }
      case "gone":
      case undefined:
        request.state = "dropped";
        return false;
    }
  }

  /** All of a request is over; may be called again. One that never asked may have been called from a line: its slot goes to the next. */
  ended(request: Request, limits: TaskLimits): void {
    if (this.#ended.has(request)) return;
    this.#ended.add(request);
    const claim = this.#claims.get(request);
    this.#claims.delete(request);
    if (claim !== undefined) this.#options.consumer()?.release(request.delivery, claim);
    else if (request.state !== "dropped") void this.#forgo(request, limits);
  }

  async #forgo(request: Request, limits: TaskLimits): Promise<void> {
    try {
      this.#options.consumer()?.release(request.delivery, await claimOf(request, limits));
    } catch {
      // Without a key there is no line that it can have waited in.
    }
  }
}

async function claimOf(request: Request, { concurrency, rate }: TaskLimits): Promise<LimitClaim> {
  const { id, task, strategy } = request;
  const args = concurrency?.key || rate?.key ? await argumentsOf(strategy.definition, request) : NO_ARGUMENTS;
  return {
    id,
    task,
    concurrency:
      concurrency === null ? null : { key: keyOf(concurrency.key, args), limit: concurrency.limit },
    rate: rate === null ? null : { key: keyOf(rate.key, args), perSecond: rate.perSecond, burst: rate.burst },
  };
}

const NO_ARGUMENTS: readonly unknown[] = Object.freeze([]);

/** As the function gets them, whether they came as positions or as names. */
async function argumentsOf(
  definition: TaskDefinition,
  { args, kwargs }: Request,
): Promise<readonly unknown[]> {
  if (definition.input !== null) return [await bindInput(definition, args, kwargs)];
  return bindArguments(definition, args, kwargs);
}

/** @throws TypeError when the function of the user gives no text */
function keyOf(make: Key | null, args: readonly unknown[]): string {
  if (make === null) return "";
  const key = make(...args);
  if (typeof key !== "string" && typeof key !== "number") {
    throw new TypeError(`the key of a limit is a text, not ${key === null ? "null" : typeof key}`);
  }
  return shortKey(String(key));
}
