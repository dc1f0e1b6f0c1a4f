/**
 * The ways in which a task ends here: what is sent on, stored, settled and told, and in which order. Python:
 * `celery/app/trace.py`, `celery/worker/request.py`.
 *
 * | outcome              | sent before          | stored           | message                        | event           |
 * |----------------------|----------------------|------------------|--------------------------------|-----------------|
 * | success              | callbacks, next step | SUCCESS          | acked with it                  | task-succeeded  |
 * | failure, timed out   | errbacks             | FAILURE          | acked, or as the options say   | task-failed     |
 * | retry                | the next attempt     | RETRY            | acked                          | task-retried    |
 * | replaced             | the replacement      |                  | acked                          |                 |
 * | rejected             |                      | REJECTED         | acked                          | task-rejected   |
 * | rejected, requeue    |                      |                  | back on its queue              | task-rejected   |
 * | ignored              |                      |                  | acked                          |                 |
 * | revoked, terminated  |                      | REVOKED          | acked with it                  | task-revoked    |
 * | lost                 | errbacks             | FAILURE          | acked, or back with its count  | task-failed, task-rejected |
 * | cancelled            |                      | RETRY            | back on its queue              | task-cancelled  |
 */
import { constants } from "node:os";
import type { AppInternals } from "../app/internals.ts";
import type { Logger } from "../base/logger.ts";
import { PetioleError } from "../errors.ts";
import { errorFrom } from "../protocol/exceptions.ts";
import type { Outcome } from "../protocol/job.ts";
import type { DecodedTask, ExceptionInfo } from "../protocol/wire.ts";
import type { StoredWrite } from "../transports/transport.ts";
import type { Chords } from "./chords.ts";
import { type Ending, type Failures, NOT_EXPECTED } from "./failures.ts";
import { afterSuccess, nextAttempt, parentOf } from "./follow-ups.ts";
import { neverRun } from "./never-run.ts";
import {
  CANCELLED,
  failureState,
  infoOf,
  isRevocation,
  isShutdown,
  lostInfo,
  type MetaMaker,
  retryState,
  revokedState,
  type StoredState,
  workerLost,
} from "./outcome.ts";
import type { Request } from "./request.ts";
import type { Settler, Storing } from "./settler.ts";
import type { StateStore } from "./states.ts";
import { type EventSwitch, tellStored } from "./task-events.ts";
import type { TaskLog } from "./task-log.ts";
import type { UniqueTasks } from "./unique.ts";

export interface EndingsOptions {
  readonly app: AppInternals;
  readonly settler: Settler;
  readonly unique: UniqueTasks;
  readonly metas: MetaMaker;
  readonly states: StateStore;
  readonly failures: Failures;
  readonly chords: Chords;
  readonly logger: Logger;
  readonly log: TaskLog;
  readonly events: EventSwitch;
  /** All of a request is over. */
  onEnd(request: Request): void;
}

type Of<K extends Outcome["kind"]> = Extract<Outcome, { readonly kind: K }>;

export class Endings {
  readonly #app: AppInternals;
  readonly #settler: Settler;
  readonly #unique: UniqueTasks;
  readonly #metas: MetaMaker;
  readonly #states: StateStore;
  readonly #failures: Failures;
  readonly #chords: Chords;
  readonly #logger: Logger;
  readonly #log: TaskLog;
  readonly #events: EventSwitch;
  readonly #onEnd: (request: Request) => void;
  /** The worker stops in a hurry. Written by `hurry`. */
  #hurried = false;

  constructor(options: EndingsOptions) {
    this.#app = options.app;
    this.#settler = options.settler;
    this.#unique = options.unique;
    this.#metas = options.metas;
    this.#states = options.states;
    this.#failures = options.failures;
    this.#chords = options.chords;
    this.#logger = options.logger;
    this.#log = options.log;
    this.#events = options.events;
    this.#onEnd = (request) => options.onEnd(request);
  }

  // ---- after a run

  succeed(request: Request, outcome: Of<"success">): void {
    const { callbacks, chain, chord } = request.decoded.embed;
    if (callbacks === null && chain === null && chord === null)
      return this.#storeSuccess(request, outcome, outcome.children);
    this.#later(request, () => this.#succeedAndGoOn(request, outcome));
  }

  async #succeedAndGoOn(request: Request, outcome: Of<"success">): Promise<void> {
    const { decoded } = request;
    let children: readonly unknown[];
    try {
      const followUps = await afterSuccess(this.#app.sender, decoded, outcome.value);
      // Before anything is sent: a result that cannot be stored is a failure, of which the chain hears.
      if (this.#storesSuccess(request)) this.#encodeSuccess(request, outcome, []);
      if (decoded.embed.chord !== null) this.#chords.check(decoded, successState(outcome));
      children = [...outcome.children, ...followUps.children];
      for (const send of followUps.sends) await this.#settler.send(send, request);
    } catch (error) {
      if (this.#hurried) throw error;
      return this.#failures.fail(request, infoOf(request.task, error), { ...outcome, expected: false });
    }
    if (decoded.embed.chord === null) return this.#storeSuccess(request, outcome, children);
    const write = this.#storesSuccess(request) ? this.#encodeSuccess(request, outcome, children) : null;
    if (await this.#chords.ended(decoded, successState(outcome), write)) this.#settler.ack(request);
    else this.#settler.afterLostResult(request);
    this.#reportSuccess(request, outcome, null);
  }

  #storesSuccess(request: Request): boolean {
    return !request.ignoreResult && this.#settler.storesResults;
  }

  #encodeSuccess(
    request: Request,
    outcome: Of<"success">,
    children: readonly unknown[],
  ): ReturnType<Settler["encode"]> {
    return this.#settler.encode(this.#metas.success(request.decoded, outcome.value, children));
  }

  #storeSuccess(request: Request, outcome: Of<"success">, children: readonly unknown[]): void {
    let write: ReturnType<Settler["encode"]> | null = null;
    if (this.#storesSuccess(request)) {
      try {
        write = this.#encodeSuccess(request, outcome, children);
      } catch (error) {
        return this.#fail(request, infoOf(request.task, error), { expected: false, children });
      }
    }
    this.#reportSuccess(request, outcome, this.#settler.finish(request, write));
    this.end(request);
  }

  #reportSuccess(request: Request, outcome: Of<"success">, storing: Storing): void {
    if (this.#log.info) this.#log.succeeded(request, outcome);
    if (this.#events.tasks !== null)
      tellStored(this.#events, storing, (tasks) => tasks.succeeded(request, outcome));
  }

  failOrGiveBack(request: Request, outcome: Of<"failure">): void {
    if (request.terminated !== null && isRevocation(outcome.error)) {
      return this.revoke(request, "terminated", request.terminated);
    }
    const unsettled = request.strategy.acksLate && !request.settled;
    if (!(this.#hurried && unsettled && isShutdown(outcome.error))) {
      return this.#fail(request, outcome.error, outcome);
    }
    // It stays unsettled: the consumer puts it back when it closes.
    request.keepsUnique = true;
    this.#log.returned(request);
    this.#events.tasks?.cancelled(request);
    this.end(request);
  }

  /** Its child, or its function, could not tell that it failed: the worker does. */
  failUntold(request: Request, outcome: Of<"timed-out"> | Of<"lost">): void {
    const error = lostInfo(outcome);
    const { taskFailure } = this.#app.emitters;
    if (taskFailure.active) {
      const { handle } = request.strategy.definition;
      const event = { task: handle as never, request: request.taskRequest, error: errorFrom(error) };
      void taskFailure.emit(event, { sender: request.task, onError: this.#onSignal });
    }
    this.#fail(request, error, NOT_EXPECTED);
  }

  #fail(request: Request, error: ExceptionInfo, ending: Ending): void {
    if (this.#failures.hasListeners(request)) {
      return this.#later(request, () => this.#failures.fail(request, error, ending));
    }
    this.#failures.failAlone(request, error, ending);
    this.end(request);
  }

  /** The next attempt is published first: what dies in between is delivered again, never lost. */
  retry(request: Request, outcome: Of<"retry">): void {
    this.#later(request, () => this.#retryNow(request, outcome));
  }

  async #retryNow(request: Request, outcome: Of<"retry">): Promise<void> {
    // Told first: the next attempt may be over before its publish is answered, and monitors take what comes last.
    this.#events.tasks?.retried(request, outcome);
    try {
      await this.#settler.send(nextAttempt(this.#app.sender, request, outcome), request);
    } catch (error) {
      if (this.#hurried) throw error;
      return this.#failures.fail(request, infoOf(request.task, error), { ...outcome, expected: false });
    }
    request.keepsUnique = true;
    void this.#finish(request, retryState(outcome));
    if (this.#log.info) this.#log.retried(request, outcome.reason);
  }

  /** Another task has its id from here on: nothing is stored, as in Celery. */
  replace(request: Request, outcome: Of<"replaced">): void {
    this.#later(request, () => this.#replaceNow(request, outcome));
  }

  async #replaceNow(request: Request, outcome: Of<"replaced">): Promise<void> {
    const { decoded } = request;
    const { sender } = this.#app;
    try {
      const { planReplacement } = await import("./replacement.ts");
      const plan = await planReplacement(sender, decoded, outcome.signature);
      await this.#settler.send(() => sender.publish(plan, parentOf(decoded)), request);
    } catch (error) {
      if (this.#hurried) throw error;
      return this.#failures.fail(request, infoOf(request.task, error), { ...outcome, expected: false });
    }
    this.#settler.ack(request);
    if (this.#log.info) this.#log.ignored(request);
  }

  /** Only a message that is acked late can still be put back. */
  reject(request: Request, outcome: Of<"rejected">): void {
    const requeue = outcome.requeue && request.strategy.acksLate && !request.settled;
    request.keepsUnique = requeue;
    let storing: Storing = null;
    if (requeue) this.#settler.settle(request, { kind: "requeue" });
    else storing = this.#finish(request, { status: "REJECTED", result: outcome.reason });
    tellStored(this.#events, storing, (tasks) => tasks.rejected(request, requeue));
    if (this.#log.info) this.#log.rejected(request, outcome.reason);
    const { taskRejected } = this.#app.emitters;
    if (taskRejected.active) {
      const error = new PetioleError("PET_REJECT", outcome.reason ?? "rejected by the task");
      const event = { message: request.delivery.message, error };
      void taskRejected.emit(event, { sender: request.task, onError: this.#onSignal });
    }
    this.end(request);
  }

  /** The broker was lost meanwhile: RETRY, as in Celery, and the next one to take it runs it. */
  cancel(request: Request): void {
    this.#later(request, () => this.#cancelNow(request));
  }

  async #cancelNow(request: Request): Promise<void> {
    request.keepsUnique = true;
    this.#log.returned(request);
    this.#events.tasks?.cancelled(request);
    if (!request.ignoreResult) await this.#states.update(request, "RETRY", CANCELLED);
    this.#settler.settle(request, { kind: "requeue" });
  }

  ignore(request: Request): void {
    this.#settler.ack(request);
    if (this.#log.info) this.#log.ignored(request);
    this.end(request);
  }

  revoke(
    request: Request,
    reason: "expired" | "revoked" | "terminated",
    signal: NodeJS.Signals | null = null,
  ): void {
    const storing = this.#storeRevoked(request, revokedState(reason));
    const signum = signal === null ? null : constants.signals[signal];
    const expired = reason === "expired";
    tellStored(this.#events, storing, (tasks) => tasks.revoked(request, { signum, expired }));
    if (this.#log.info) this.#log.revoked(request);
    const { taskRevoked } = this.#app.emitters;
    if (taskRevoked.active) {
      const event = {
        request: request.taskRequest,
        terminated: reason === "terminated",
        signum,
        expired,
      };
      void taskRevoked.emit(event, { sender: request.task, onError: this.#onSignal });
    }
  }

  #storeRevoked(request: Request, state: StoredState): Storing {
    const { chain, chord } = request.decoded.embed;
    if (chain === null && chord === null) {
      const storing = this.#finish(request, state);
      this.end(request);
      return storing;
    }
    let storing: Promise<void> = Promise.resolve();
    this.#later(request, () => {
      storing = this.#revokePart(request, state);
      return storing;
    });
    return storing.catch(() => {});
  }

  /**
   * The steps after it stay pending, as in Celery, unless they are revoked themselves; but a chord that waits for one of them
   * hears of it.
   */
  async #revokePart(request: Request, state: StoredState): Promise<void> {
    const { decoded, ignoreResult } = request;
    const stored = !ignoreResult && this.#settler.storesResults;
    const write = stored ? this.#settler.encode(this.#metas.state(decoded, state)) : null;
    const steps = (decoded.embed.chain ?? []).flatMap((step) => neverRun(step));
    const revoked = await this.#chords.revokedAmong(steps);
    const waited = steps.filter((one) => one.chord !== null && !revoked.has(one));
    if (!(await this.#chords.ended(decoded, state, write))) return this.#settler.afterLostResult(request);
    await this.#chords.never([...revoked], revokedState("revoked"), parentOf(decoded));
    await this.#chords.never(waited, state, parentOf(decoded));
    this.#settler.ack(request);
  }

  /** Its process died. With `reject_on_worker_lost` another one tries; the transport counts how often. */
  lose(request: Request, outcome: Of<"lost">): void {
    const { acksLate, definition } = request.strategy;
    if (!acksLate || !definition.options.rejectOnWorkerLost || request.settled) {
      return this.failUntold(request, outcome);
    }
    request.keepsUnique = true;
    this.#settler.settle(request, { kind: "lost" });
    this.#events.tasks?.rejected(request, true);
    this.end(request);
  }

  /** Stores a state, unless results are ignored, and ends the hold. */
  #finish(request: Request, state: StoredState): Storing {
    const stored = !request.ignoreResult && this.#settler.storesResults;
    const write = stored ? this.#settler.encode(this.#metas.state(request.decoded, state)) : null;
    return this.#settler.finish(request, write);
  }

  /** An end that has to wait for others. An early ack does not: it says that the run has begun. */
  #later(request: Request, end: () => Promise<void>): void {
    if (!request.strategy.acksLate) this.#settler.ack(request);
    void end()
      .catch((err: unknown) => this.endFailed(request, err))
      .finally(() => this.end(request));
  }

  end(request: Request): void {
    if (request.state === "ended") return;
    request.state = "ended";
    request.running = null;
    if (request.unique !== null && !request.keepsUnique) this.#unique.release(request.id, request.unique);
    this.#onEnd(request);
  }

  endFailed(request: Request, err: unknown): void {
    request.keepsUnique = request.strategy.acksLate && !request.settled;
    this.#logger.error(
      { id: request.id, task: request.task, err },
      "the end of a task failed: unless it was acked early, it will be delivered again",
    );
  }

  // ---- ends without a run

  /** Its workers died of it too often: its message is on the dead list, and all that a failure does is left to do. False: it still is. */
  async giveUp(request: Request, error: ExceptionInfo): Promise<boolean> {
    request.settled = true;
    try {
      return await this.#failures.giveUp(request, error);
    } catch (err) {
      this.endFailed(request, err);
      return false;
    } finally {
      this.end(request);
    }
  }

  /** It could not be found out whether it may start. */
  failBefore(request: Request, error: unknown): void {
    this.#fail(request, infoOf(request.task, error), NOT_EXPECTED);
  }

  /** The task is not registered here: whoever waits for it hears of it. False: not stored, it will be delivered again. */
  failUnknown(
    task: DecodedTask,
    failure: { readonly error: ExceptionInfo; readonly write: StoredWrite | null },
  ): Promise<boolean> {
    return this.#failures.failUnknown(task, failure);
  }

  /** A newer call of a unique task took its place. Nobody is told but who waits for it. */
  replaced(request: Request): void {
    const storing = this.#finish(request, revokedState("replaced"));
    tellStored(this.#events, storing, (tasks) => tasks.revoked(request, { signum: null, expired: false }));
    this.end(request);
  }

  // ---- the worker stops

  /** From now on a late-acked task that ends because its signal was aborted is put back, not failed. */
  hurry(): void {
    this.#hurried = true;
  }

  /** The run is not waited for any longer. What was acked early is lost, and its result says so. */
  async abandon(request: Request): Promise<void> {
    request.state = "abandoned";
    if (request.logs !== null) void request.logs.end();
    if (!request.settled) {
      this.#events.tasks?.cancelled(request);
      return this.#log.returned(request);
    }
    this.#log.lost(request);
    if (request.unique !== null) this.#unique.release(request.id, request.unique);
    const error = workerLost("the worker was shut down while the task ran, after an early ack");
    const stored = !request.ignoreResult || request.strategy.storeErrorsEvenIfIgnored;
    if (stored && this.#settler.storesResults) {
      const state = failureState(error);
      const write = this.#settler.encode(this.#metas.state(request.decoded, state));
      if (request.decoded.embed.chord === null) await this.#settler.storeNow(write, request);
      else await this.#chords.ended(request.decoded, state, write);
    }
    this.#events.tasks?.failed(request, error);
  }

  readonly #onSignal = (err: unknown): void => {
    this.#logger.error({ err }, "a signal handler failed");
  };
}

function successState({ value }: Of<"success">): { readonly status: string; readonly result: unknown } {
  return { status: "SUCCESS", result: value };
}
