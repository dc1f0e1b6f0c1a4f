/** What a failure does: FAILURE, the same for the steps of the chain that will not run, errbacks, and then the ack. */
import type { DecodedTask, ExceptionInfo, SignatureData } from "../protocol/wire.ts";
import type { TaskRequest } from "../task/context-types.ts";
import type { Settlement, StoredWrite } from "../transports/transport.ts";
import type { Chords } from "./chords.ts";
import type { Errbacks } from "./errbacks.ts";
import { parentOf } from "./follow-ups.ts";
import { neverRun } from "./never-run.ts";
import { failureState, type MetaMaker } from "./outcome.ts";
import type { Request } from "./request.ts";
import type { Settler } from "./settler.ts";
import { type EventSwitch, tellStored } from "./task-events.ts";
import type { TaskLog } from "./task-log.ts";

export interface FailuresOptions {
  readonly settler: Settler;
  readonly metas: MetaMaker;
  readonly chords: Chords;
  readonly errbacks: Errbacks;
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
  readonly #settler: Settler;
  readonly #metas: MetaMaker;
  readonly #chords: Chords;
  readonly #errbacks: Errbacks;
  readonly #log: TaskLog;
  readonly #events: EventSwitch;

  constructor(options: FailuresOptions) {
    this.#settler = options.settler;
    this.#metas = options.metas;
    this.#chords = options.chords;
    this.#errbacks = options.errbacks;
    this.#log = options.log;
    this.#events = options.events;
  }

  /** Whether somebody else has to hear of the failure, so that it takes time. */
  hasListeners(request: Request): boolean {
    const { chain, chord, errbacks } = request.decoded.embed;
    return chain !== null || chord !== null || errbacks !== null;
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
    if (chain !== null) await this.#failChain(request.decoded, chain, error);
    if (errbacks !== null) {
      const { decoded, task, taskRequest } = request;
      await this.#errbacks.call(errbacks, { failed: decoded, task, error, request: taskRequest });
    }
    this.#settler.settle(request, this.#settlementOf(request, error));
  }

  /** Its message is on the dead list. False: not stored. */
  async giveUp(request: Request, error: ExceptionInfo): Promise<boolean> {
    this.#log.failed(request, error, false);
    const write = this.#writeOf(request, error, NOT_EXPECTED);
    const told = await this.failUnknown(request.decoded, { error, write, request: request.taskRequest });
    if (told) this.#events.tasks?.failed(request, error);
    return told;
  }

  /** Without a hold: stored by the caller's write; its chord, its chain and its errbacks hear of it. */
  async failUnknown(
    task: DecodedTask,
    failure: {
      readonly error: ExceptionInfo;
      readonly write: StoredWrite | null;
      readonly request?: TaskRequest;
    },
  ): Promise<boolean> {
    const { error, write, request = null } = failure;
    const { chain, chord, errbacks } = task.embed;
    const stored =
      chord === null
        ? write === null || (await this.#settler.store(write, null))
        : await this.#chords.ended(task, failureState(error), write);
    if (!stored) return false;
    if (chain !== null) await this.#failChain(task, chain, error);
    if (errbacks !== null)
      await this.#errbacks.call(errbacks, { failed: task, task: task.task, error, request });
    return true;
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
    const { decoded } = request;
    if (decoded.embed.chord === null && write === null) return true;
    const stored =
      decoded.embed.chord === null
        ? write === null || (await this.#settler.store(write, request))
        : await this.#chords.ended(decoded, failureState(error), write);
    if (!stored) this.#settler.afterLostResult(request);
    return stored || request.settled;
  }

  /** Their chords hear of it too. */
  async #failChain(task: DecodedTask, chain: readonly SignatureData[], error: ExceptionInfo): Promise<void> {
    const tasks = chain.toReversed().flatMap((step) => neverRun(step));
    await this.#chords.never(tasks, failureState(error), parentOf(task));
  }
}
