/**
 * The life of one task in this worker, as a table of contents. Python: `celery/app/trace.py`, `celery/worker/request.py`.
 *
 *   receive (receiver) -> checkExpired -> checkRevoked -> start -> run -> classify
 *     -> succeed | fail | retry | reject | ignore | revoke | lose
 *     -> follow-ups -> store and ack (settler) -> report
 *
 * Callbacks and the next step of a chain are published before the result is stored, as in Celery: a stored result always
 * knows its children, and what died in between is delivered and run again under the same ids.
 * A synchronous task without follow-ups goes through all of it in one call.
 */
import { constants } from "node:os";
import type { AppInternals } from "../app/internals.ts";
import { assertNever } from "../base/assert-never.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { PetioleError } from "../errors.ts";
import type { Pool } from "../pool/pool.ts";
import { encodeException, errorFrom, exceptionInfo } from "../protocol/exceptions.ts";
import type { Outcome } from "../protocol/job.ts";
import type { DecodedTask, ExceptionInfo } from "../protocol/wire.ts";
import type { StoredWrite } from "../transports/transport.ts";
import type { Chords } from "./chords.ts";
import { type Ending, type Failures, NOT_EXPECTED } from "./failures.ts";
import { afterSuccess, nextAttempt, parentOf } from "./follow-ups.ts";
import { neverRun } from "./never-run.ts";
import {
  failureState,
  lostInfo,
  type MetaMaker,
  retryState,
  revokedState,
  type StoredState,
  workerLost,
} from "./outcome.ts";
import { planReplacement } from "./replacement.ts";
import type { Request, RequestHost } from "./request.ts";
import type { Revoked } from "./revoked.ts";
import type { Settler, Storing } from "./settler.ts";
import type { StateStore } from "./states.ts";
import { type EventSwitch, tellStored } from "./task-events.ts";
import type { TaskLog } from "./task-log.ts";
import type { UniqueTasks } from "./unique.ts";

export interface TracerOptions {
  readonly app: AppInternals;
  readonly hostname: string;
  readonly pool: Pool;
  readonly settler: Settler;
  readonly unique: UniqueTasks;
  readonly metas: MetaMaker;
  readonly states: StateStore;
  readonly failures: Failures;
  readonly chords: Chords;
  readonly revoked: Revoked;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly log: TaskLog;
  readonly events: EventSwitch & {
    /** An event of a task's own. */
    custom(id: string, type: string, fields: string): void;
  };
  /** A run that took time is over: a slot of the pool is free. */
  onSlot(): void;
  /** All of a request is over. */
  onEnd(request: Request): void;
}

/** Of a task that is cancelled because the broker was lost. */
const CANCELLED = encodeException({
  type: "Retry",
  module: "celery.exceptions",
  args: ["cancelled: the connection to the broker was lost"],
  traceback: null,
});

type Of<K extends Outcome["kind"]> = Extract<Outcome, { readonly kind: K }>;

export class Tracer implements RequestHost {
  readonly hostname: string;
  readonly #app: AppInternals;
  readonly #pool: Pool;
  readonly #settler: Settler;
  readonly #unique: UniqueTasks;
  readonly #metas: MetaMaker;
  readonly #states: StateStore;
  readonly #failures: Failures;
  readonly #chords: Chords;
  readonly #revoked: Revoked;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #log: TaskLog;
  readonly #events: TracerOptions["events"];
  readonly #onSlot: () => void;
  readonly #onEnd: (request: Request) => void;
  /** The request whose function began last. Written by `onStart`. */
  #begun: Request | null = null;
  /** The worker stops in a hurry. Written by `hurry`. */
  #hurried = false;

  constructor(options: TracerOptions) {
    this.hostname = options.hostname;
    this.#app = options.app;
    this.#pool = options.pool;
    this.#settler = options.settler;
    this.#unique = options.unique;
    this.#metas = options.metas;
    this.#states = options.states;
    this.#failures = options.failures;
    this.#chords = options.chords;
    this.#revoked = options.revoked;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#log = options.log;
    this.#events = options.events;
    this.#onSlot = () => options.onSlot();
    this.#onEnd = (request) => options.onEnd(request);
  }

  // ---- start and run

  /** Runs a request for which the pool has a slot, unless it has expired, or was revoked. */
  trace(request: Request): void {
    const nowMs = this.#clock.now();
    if (this.isExpired(request, nowMs)) return this.#revoke(request, "expired");
    if (this.isRevoked(request)) return this.#revoke(request, "revoked");
    request.state = "started";
    request.startedMs = nowMs;
    const running = this.#pool.submit(request, request);
    const { outcome } = running;
    if (!(outcome instanceof Promise)) return this.#classify(request, outcome);
    request.running = running;
    if (this.#begun === request && !request.strategy.acksLate) this.#settler.ackAfterTurn(request);
    outcome.then((ended) => this.#ended(request, ended), this.#onBroken);
  }

  isExpired(request: Request, nowMs: number): boolean {
    const { expiresMs } = request.decoded;
    return expiresMs !== null && nowMs > expiresMs;
  }

  isRevoked(request: Request): boolean {
    return request.terminated !== null || (this.#revoked.active && this.#revoked.covers(request.decoded));
  }

  onStart(request: Request, pid: number): void {
    request.pid = pid;
    // An early ack waits for the end of the turn: a function that has ended by then is acked with its result.
    this.#begun = request;
    if (request.running !== null && !request.strategy.acksLate) this.#settler.ackAfterTurn(request);
    if (this.#events.tasks !== null) this.#events.tasks.started(request);
    if (request.strategy.trackStarted) this.#states.started(request, pid, this.hostname);
  }

  updateState(request: Request, state: string, meta: unknown): Promise<void> {
    return this.#states.update(request, state, meta);
  }

  sendEvent(request: Request, type: string, fields: string): void {
    this.#events.custom(request.id, type, fields);
  }

  keepLog(request: Request, line: string): void {
    if (request.state !== "started" || !this.#settler.storesResults) return;
    request.logs ??= this.#settler.keptLog(request.id);
    request.logs.add(line);
  }

  // ---- classify

  #ended(request: Request, outcome: Outcome): void {
    if (request.state === "abandoned") {
      this.#logger.warn(
        { id: request.id, task: request.task, outcome: outcome.kind },
        "a task ended after its worker had given it up: its outcome is dropped",
      );
      return;
    }
    this.#classify(request, outcome);
    this.#onSlot();
  }

  #classify(request: Request, outcome: Outcome): void {
    request.strategy.processed += 1;
    if (request.logs !== null) this.#endLogs(request);
    const { storing } = request;
    if (storing === null) return this.#guarded(request, outcome);
    request.storing = null;
    void storing.then(() => this.#guarded(request, outcome));
  }

  /** Who sees the result finds the log. */
  #endLogs(request: Request): void {
    const { logs, storing } = request;
    const ended = logs?.end() ?? null;
    request.logs = null;
    request.storing =
      storing === null || ended === null ? (storing ?? ended) : Promise.all([storing, ended]).then(() => {});
  }

  /** Whatever goes wrong at the end of one task must not reach the next. */
  #guarded(request: Request, outcome: Outcome): void {
    try {
      this.#conclude(request, outcome);
    } catch (err) {
      this.#endFailed(request, err);
      this.#end(request);
    }
  }

  #conclude(request: Request, outcome: Outcome): void {
    if (request.cancelled && !request.settled && wasStopped(outcome)) {
      return this.#later(request, () => this.#cancel(request));
    }
    switch (outcome.kind) {
      case "success":
        return this.#succeed(request, outcome);
      case "failure":
        return this.#failOrGiveBack(request, outcome);
      case "retry":
        return this.#later(request, () => this.#retry(request, outcome));
      case "rejected":
        return this.#reject(request, outcome);
      case "ignored":
        return this.#ignore(request);
      case "terminated":
        return this.#revoke(request, "terminated", outcome.signal);
      case "timed-out":
        return this.#failUntold(request, outcome);
      case "lost":
        return this.#lose(request, outcome);
      case "replaced":
        return this.#later(request, () => this.#replace(request, outcome));
      default:
        return assertNever(outcome);
    }
  }

  // ---- the ways to end

  #succeed(request: Request, outcome: Of<"success">): void {
    const { callbacks, chain, chord } = request.decoded.embed;
    if (callbacks === null && chain === null && chord === null)
      return this.#storeSuccess(request, outcome, outcome.children);
    this.#later(request, () => this.#succeedAndGoOn(request, outcome));
  }

  async #succeedAndGoOn(request: Request, outcome: Of<"success">): Promise<void> {
    const { decoded } = request;
    let children: readonly unknown[];
    try {
      const followUps = afterSuccess(this.#app.sender, decoded, outcome.value);
      // Before anything is sent: a result that cannot be stored is a failure, of which the chain hears.
      if (this.#storesSuccess(request)) this.#encodeSuccess(request, outcome, []);
      if (decoded.embed.chord !== null) this.#chords.check(decoded, successState(outcome));
      children = [...outcome.children, ...followUps.children];
      for (const send of followUps.sends) await this.#settler.send(send, request);
    } catch (error) {
      if (this.#hurried) throw error;
      return this.#failures.fail(request, infoOf(request, error), { ...outcome, expected: false });
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
        return this.#fail(request, infoOf(request, error), { expected: false, children });
      }
    }
    this.#reportSuccess(request, outcome, this.#settler.finish(request, write));
    this.#end(request);
  }

  #reportSuccess(request: Request, outcome: Of<"success">, storing: Storing): void {
    if (this.#log.info) this.#log.succeeded(request, outcome);
    if (this.#events.tasks !== null)
      tellStored(this.#events, storing, (tasks) => tasks.succeeded(request, outcome));
  }

  #failOrGiveBack(request: Request, outcome: Of<"failure">): void {
    if (request.terminated !== null && isRevocation(outcome.error)) {
      return this.#revoke(request, "terminated", request.terminated);
    }
    const unsettled = request.strategy.acksLate && !request.settled;
    if (!(this.#hurried && unsettled && isShutdown(outcome.error))) {
      return this.#fail(request, outcome.error, outcome);
    }
    // It stays unsettled: the consumer puts it back when it closes.
    request.keepsUnique = true;
    this.#log.returned(request);
    this.#events.tasks?.cancelled(request);
    this.#end(request);
  }

  /** Its child, or its function, could not tell that it failed: the worker does. */
  #failUntold(request: Request, outcome: Of<"timed-out"> | Of<"lost">): void {
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
    this.#end(request);
  }

  /** The next attempt is published first: what dies in between is delivered again, never lost. */
  async #retry(request: Request, outcome: Of<"retry">): Promise<void> {
    // Told first: the next attempt may be over before its publish is answered, and monitors take what comes last.
    this.#events.tasks?.retried(request, outcome);
    try {
      await this.#settler.send(nextAttempt(this.#app.sender, request, outcome), request);
    } catch (error) {
      if (this.#hurried) throw error;
      return this.#failures.fail(request, infoOf(request, error), { ...outcome, expected: false });
    }
    request.keepsUnique = true;
    void this.#finish(request, retryState(outcome));
    if (this.#log.info) this.#log.retried(request, outcome.reason);
  }

  /** Another task has its id from here on: nothing is stored, as in Celery. */
  async #replace(request: Request, outcome: Of<"replaced">): Promise<void> {
    const { decoded } = request;
    const { sender } = this.#app;
    try {
      const plan = planReplacement(sender, decoded, outcome.signature);
      await this.#settler.send(() => sender.publish(plan, parentOf(decoded)), request);
    } catch (error) {
      if (this.#hurried) throw error;
      return this.#failures.fail(request, infoOf(request, error), { ...outcome, expected: false });
    }
    this.#settler.ack(request);
    if (this.#log.info) this.#log.ignored(request);
  }

  /** Only a message that is acked late can still be put back. */
  #reject(request: Request, outcome: Of<"rejected">): void {
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
    this.#end(request);
  }

  /** The broker was lost meanwhile: RETRY, as in Celery, and the next one to take it runs it. */
  async #cancel(request: Request): Promise<void> {
    request.keepsUnique = true;
    this.#log.returned(request);
    this.#events.tasks?.cancelled(request);
    if (!request.ignoreResult) await this.#states.update(request, "RETRY", CANCELLED);
    this.#settler.settle(request, { kind: "requeue" });
  }

  #ignore(request: Request): void {
    this.#settler.ack(request);
    if (this.#log.info) this.#log.ignored(request);
    this.#end(request);
  }

  #revoke(
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
      this.#end(request);
      return storing;
    }
    let storing: Promise<void> = Promise.resolve();
    this.#later(request, () => {
      storing = this.#revokePart(request, state);
      return storing;
    });
    return storing.catch(() => {});
  }

  /** The steps after it stay pending, as in Celery; but a chord that waits for one of them hears of it. */
  async #revokePart(request: Request, state: StoredState): Promise<void> {
    const { decoded, ignoreResult } = request;
    const stored = !ignoreResult && this.#settler.storesResults;
    const write = stored ? this.#settler.encode(this.#metas.state(decoded, state)) : null;
    const waited = (decoded.embed.chain ?? [])
      .flatMap((step) => neverRun(step))
      .filter((one) => one.chord !== null);
    if (!(await this.#chords.ended(decoded, state, write))) return this.#settler.afterLostResult(request);
    await this.#chords.never(waited, state, parentOf(decoded));
    this.#settler.ack(request);
  }

  /** Its process died. With `reject_on_worker_lost` another one tries; the transport counts how often. */
  #lose(request: Request, outcome: Of<"lost">): void {
    const { acksLate, definition } = request.strategy;
    if (!acksLate || !definition.options.rejectOnWorkerLost || request.settled) {
      return this.#failUntold(request, outcome);
    }
    request.keepsUnique = true;
    this.#settler.settle(request, { kind: "lost" });
    this.#events.tasks?.rejected(request, true);
    this.#end(request);
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
      .catch((err: unknown) => this.#endFailed(request, err))
      .finally(() => this.#end(request));
  }

  #end(request: Request): void {
    if (request.state === "ended") return;
    request.state = "ended";
    request.running = null;
    if (request.unique !== null && !request.keepsUnique) this.#unique.release(request.id, request.unique);
    this.#onEnd(request);
  }

  #endFailed(request: Request, err: unknown): void {
    request.keepsUnique = request.strategy.acksLate && !request.settled;
    this.#logger.error(
      { id: request.id, task: request.task, err },
      "the end of a task failed: unless it was acked early, it will be delivered again",
    );
  }

  // ---- ends without a run

  /** Its workers died of it too often: its message is on the dead list, and all that a failure does is left to do. */
  giveUp(request: Request, error: ExceptionInfo): void {
    request.settled = true;
    this.#fail(request, error, NOT_EXPECTED);
  }

  /** It could not be found out whether it may start. */
  failBefore(request: Request, error: unknown): void {
    this.#fail(request, infoOf(request, error), NOT_EXPECTED);
  }

  /** The task is not registered here: whoever waits for it hears of it. False: not stored, it will be delivered again. */
  failUnknown(
    task: DecodedTask,
    failure: { readonly error: ExceptionInfo; readonly write: StoredWrite | null },
  ): Promise<boolean> {
    return this.#failures.failUnknown(task, failure);
  }

  expire(request: Request): void {
    this.#revoke(request, "expired");
  }

  /** A newer call of a unique task took its place. Nobody is told but who waits for it. */
  replaced(request: Request): void {
    const storing = this.#finish(request, revokedState("replaced"));
    tellStored(this.#events, storing, (tasks) => tasks.revoked(request, { signum: null, expired: false }));
    this.#end(request);
  }

  /** It was revoked before it started. */
  revoke(request: Request): void {
    this.#revoke(request, "revoked");
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

  readonly #onBroken = (err: unknown): void => {
    this.#logger.error({ err }, "the pool broke its promise that an outcome never rejects");
  };

  readonly #onSignal = (err: unknown): void => {
    this.#logger.error({ err }, "a signal handler failed");
  };
}

/** Not by its own end: by a signal, or because it was asked to. */
function wasStopped({ kind }: Outcome): boolean {
  return kind === "terminated" || kind === "lost" || kind === "failure";
}

function successState({ value }: Of<"success">): { readonly status: string; readonly result: unknown } {
  return { status: "SUCCESS", result: value };
}

function isShutdown(error: ExceptionInfo): boolean {
  return error.type === "WorkerShutdown" && error.module === "celery.exceptions";
}

function isRevocation(error: ExceptionInfo): boolean {
  return error.type === "TaskRevokedError" && error.module === "celery.exceptions";
}

/** An error of the worker's own work for a task, as the task's failure. */
function infoOf(request: Request, error: unknown): ExceptionInfo {
  const dot = request.task.lastIndexOf(".");
  return exceptionInfo(error, dot <= 0 ? request.task : request.task.slice(0, dot));
}
