/** What a failure does: FAILURE, the same for the steps of the chain that will not run, errbacks, and then the ack. */
import type { AppInternals } from "../app/internals.ts";
import type { Logger } from "../base/logger.ts";
import { errorFrom } from "../protocol/exceptions.ts";
import type { ExceptionInfo, SignatureData } from "../protocol/wire.ts";
import type { Settlement } from "../transports/transport.ts";
import { oldStyleErrbacks } from "./follow-ups.ts";
import { failureState, type MetaMaker } from "./outcome.ts";
import type { Request } from "./request.ts";
import type { Settler } from "./settler.ts";
import { type EventSwitch, tellStored } from "./task-events.ts";
import type { TaskLog } from "./task-log.ts";

export interface FailuresOptions {
  readonly app: AppInternals;
  readonly settler: Settler;
  readonly metas: MetaMaker;
  readonly logger: Logger;
  readonly log: TaskLog;
  readonly events: EventSwitch;
}

/** How a failure came about. */
export interface Ending {
  /** `throws` names it. */
  readonly expected: boolean;
  readonly children: readonly unknown[];
}

const TIME_LIMITS: ReadonlySet<string> = new Set(["TimeLimitExceeded", "SoftTimeLimitExceeded"]);

/** A failure that is not the function's own. */
export const NOT_EXPECTED: Ending = { expected: false, children: [] };

export class Failures {
  readonly #app: AppInternals;
  readonly #settler: Settler;
  readonly #metas: MetaMaker;
  readonly #logger: Logger;
  readonly #log: TaskLog;
  readonly #events: EventSwitch;

  constructor(options: FailuresOptions) {
    this.#app = options.app;
    this.#settler = options.settler;
    this.#metas = options.metas;
    this.#logger = options.logger;
    this.#log = options.log;
    this.#events = options.events;
  }

  /** Whether somebody else has to hear of the failure, so that it takes time. */
  hasListeners(request: Request): boolean {
    const { chain, errbacks } = request.decoded.embed;
    return chain !== null || errbacks !== null;
  }

  /** A failure that nobody else has to hear of. */
  failAlone(request: Request, error: ExceptionInfo, ending: Ending): void {
    this.#log.failed(request, error, ending.expected);
    const buried = this.#settlementOf(request, error);
    const storing =
      buried.kind === "ack"
        ? this.#settler.finish(request, this.#writeOf(request, error, ending))
        : this.#storeFirst(request, error, ending).then((stored) => {
            if (stored) this.#settler.settle(request, buried);
          });
    tellStored(this.#events, storing, (tasks) => tasks.failed(request, error));
  }

  /** A failure with errbacks, or in a chain. An early ack was sent before. */
  async fail(request: Request, error: ExceptionInfo, ending: Ending): Promise<void> {
    this.#log.failed(request, error, ending.expected);
    const stored = await this.#storeFirst(request, error, ending);
    this.#events.tasks?.failed(request, error);
    if (!stored) return;
    const { chain, errbacks } = request.decoded.embed;
    if (chain !== null) await this.#failChain(request, chain, error);
    if (errbacks !== null) await this.#callErrbacks(request, errbacks, error);
    this.#settler.settle(request, this.#settlementOf(request, error));
  }

  #writeOf(request: Request, error: ExceptionInfo, ending: Ending): ReturnType<Settler["encode"]> | null {
    const stored = !request.ignoreResult || request.strategy.storeErrorsEvenIfIgnored;
    if (!stored || !this.#settler.storesResults) return null;
    return this.#settler.encode(this.#metas.state(request.decoded, failureState(error, ending.children)));
  }

  /** `acks_on_failure_or_timeout` off: rejected without requeue, which is where a dead list comes in. */
  #settlementOf(request: Request, error: ExceptionInfo): Settlement {
    const { acksLate, definition } = request.strategy;
    const { acksOnFailure, acksOnTimeout } = definition.options;
    if (!acksLate || (TIME_LIMITS.has(error.type) ? acksOnTimeout : acksOnFailure)) return { kind: "ack" };
    return { kind: "dead", reason: `the task failed: ${error.type}` };
  }

  /** False: not stored. What was to be acked late is tried again then. */
  async #storeFirst(request: Request, error: ExceptionInfo, ending: Ending): Promise<boolean> {
    const write = this.#writeOf(request, error, ending);
    if (write === null) return true;
    const stored = await this.#settler.store(write, request);
    if (!stored) this.#settler.afterLostResult(request);
    return stored || request.settled;
  }

  async #failChain(request: Request, chain: readonly SignatureData[], error: ExceptionInfo): Promise<void> {
    if (!this.#settler.storesResults) return;
    for (const step of chain.toReversed()) {
      const id = step.options["task_id"];
      if (typeof id !== "string" || id === "") continue;
      await this.#settler.store(this.#settler.encode(this.#metas.bareFailure(id, error)), request);
    }
  }

  /** `app.errback`'s are called here; all others are sent, with the failed task's id. */
  async #callErrbacks(
    request: Request,
    errbacks: readonly SignatureData[],
    error: ExceptionInfo,
  ): Promise<void> {
    const sent: SignatureData[] = [];
    for (const errback of errbacks) {
      const definition = this.#app.registry.get(errback.task);
      if (definition?.errbackStyle !== "request") {
        sent.push(errback);
        continue;
      }
      const call = definition.fn as (...args: readonly unknown[]) => unknown;
      try {
        await call(request.taskRequest, errorFrom(error), error.traceback ?? "");
      } catch (err) {
        this.#errbackFailed(request, errback, err);
      }
    }
    const sends = oldStyleErrbacks(this.#app.sender, request.decoded, sent);
    for (const [index, send] of sends.entries()) {
      try {
        await this.#settler.send(send, request);
      } catch (err) {
        this.#errbackFailed(request, sent[index], err);
      }
    }
  }

  #errbackFailed(request: Request, errback: SignatureData | undefined, err: unknown): void {
    this.#logger.error(
      { id: request.id, task: request.task, errback: errback?.task ?? null, err },
      "an errback of a failed task failed itself",
    );
  }
}
