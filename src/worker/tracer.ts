/**
 * The life of one task in this worker, as a table of contents. Python: `celery/app/trace.py`, `celery/worker/request.py`.
 *
 *   receive (receiver) -> checkExpired -> checkRevoked -> start -> run -> classify
 *     -> succeed | fail | retry | replace | reject | ignore | revoke | lose | cancel (endings)
 *     -> follow-ups -> store and ack (settler) -> report
 *
 * Callbacks and the next step of a chain are published before the result is stored, as in Celery: a stored result always
 * knows its children, and what died in between is delivered and run again under the same ids.
 * A synchronous task without follow-ups goes through all of it in one call.
 */
import { assertNever } from "../base/assert-never.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Pool } from "../pool/pool.ts";
import type { Outcome } from "../protocol/job.ts";
import type { Endings } from "./endings.ts";
import type { Request, RequestHost } from "./request.ts";
import type { Revoked } from "./revoked.ts";
import type { Settler } from "./settler.ts";
import type { StateStore } from "./states.ts";
import type { EventSwitch } from "./task-events.ts";

export interface TracerOptions {
  readonly hostname: string;
  readonly pool: Pool;
  readonly settler: Settler;
  readonly states: StateStore;
  readonly endings: Endings;
  readonly revoked: Revoked;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventSwitch & {
    /** An event of a task's own. */
    custom(id: string, type: string, fields: string): void;
  };
  /** A run that took time is over: a slot of the pool is free. */
  onSlot(): void;
}

export class Tracer implements RequestHost {
  readonly hostname: string;
  readonly #pool: Pool;
  readonly #settler: Settler;
  readonly #states: StateStore;
  readonly #endings: Endings;
  readonly #revoked: Revoked;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #events: TracerOptions["events"];
  readonly #onSlot: () => void;
  /** The request whose function began last. Written by `onStart`. */
  #begun: Request | null = null;

  constructor(options: TracerOptions) {
    this.hostname = options.hostname;
    this.#pool = options.pool;
    this.#settler = options.settler;
    this.#states = options.states;
    this.#endings = options.endings;
    this.#revoked = options.revoked;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#events = options.events;
    this.#onSlot = () => options.onSlot();
  }

  // ---- start and run

  /** Runs a request for which the pool has a slot, unless it has expired, or was revoked. */
  trace(request: Request): void {
    const nowMs = this.#clock.now();
    if (this.isExpired(request, nowMs)) return this.#endings.revoke(request, "expired");
    if (this.isRevoked(request)) return this.#endings.revoke(request, "revoked");
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
      this.#endings.endFailed(request, err);
      this.#endings.end(request);
    }
  }

  #conclude(request: Request, outcome: Outcome): void {
    if (request.cancelled && !request.settled && wasStopped(outcome)) {
      return this.#endings.cancel(request);
    }
    switch (outcome.kind) {
      case "success":
        return this.#endings.succeed(request, outcome);
      case "failure":
        return this.#endings.failOrGiveBack(request, outcome);
      case "retry":
        return this.#endings.retry(request, outcome);
      case "rejected":
        return this.#endings.reject(request, outcome);
      case "ignored":
        return this.#endings.ignore(request);
      case "terminated":
        return this.#endings.revoke(request, "terminated", outcome.signal);
      case "timed-out":
        return this.#endings.failUntold(request, outcome);
      case "lost":
        return this.#endings.lose(request, outcome);
      case "replaced":
        return this.#endings.replace(request, outcome);
      default:
        return assertNever(outcome);
    }
  }

  readonly #onBroken = (err: unknown): void => {
    this.#logger.error({ err }, "the pool broke its promise that an outcome never rejects");
  };
}

/** Not by its own end: by a signal, or because it was asked to. */
function wasStopped({ kind }: Outcome): boolean {
  return kind === "terminated" || kind === "lost" || kind === "failure";
}
