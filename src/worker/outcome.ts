/** What is stored of each way a task can end. Python: `celery/app/trace.py`, `celery/backends/base.py`. */
import { constants } from "node:os";
import type { Clock } from "../base/clock.ts";
import { encodeException, exceptionInfo } from "../protocol/exceptions.ts";
import { toIso } from "../protocol/iso8601.ts";
import type { Outcome } from "../protocol/job.ts";
import { revokedError, revokedMeta } from "../protocol/meta.ts";
import { isReady } from "../protocol/states.ts";
import type { DecodedTask, ExceptionInfo, ResultMeta } from "../protocol/wire.ts";

const NO_EXTRA: Readonly<Record<string, unknown>> = Object.freeze({});
const NO_CHILDREN: readonly unknown[] = Object.freeze([]);

/** One result to store. */
export interface StoredState {
  readonly status: string;
  readonly result: unknown;
  readonly traceback?: string | null;
  readonly children?: readonly unknown[];
}

export interface MetaMakerOptions {
  readonly hostname: string;
  /** `result_extended`. */
  readonly extended: boolean;
  readonly clock: Clock;
}

/** Makes the meta of a task's states. One for each worker. */
export class MetaMaker {
  readonly #hostname: string;
  readonly #extended: boolean;
  readonly #clock: Clock;

  constructor(options: MetaMakerOptions) {
    this.#hostname = options.hostname;
    this.#extended = options.extended;
    this.#clock = options.clock;
  }

  success(task: DecodedTask, value: unknown, children: readonly unknown[]): ResultMeta {
    return {
      taskId: task.id,
      status: "SUCCESS",
      result: value,
      traceback: null,
      children,
      dateDone: toIso(this.#clock.now()),
      extra: this.extra(task),
      task,
    };
  }

  state(task: DecodedTask, stored: StoredState): ResultMeta {
    return {
      taskId: task.id,
      status: stored.status,
      result: stored.result,
      traceback: stored.traceback ?? null,
      children: stored.children ?? NO_CHILDREN,
      dateDone: isReady(stored.status) ? toIso(this.#clock.now()) : null,
      extra: this.extra(task),
      task,
    };
  }

  /** A failure under an id of which no more is known: a message that cannot be read, a later step of a chain. */
  bareFailure(id: string, error: ExceptionInfo): ResultMeta {
    return {
      taskId: id,
      status: "FAILURE",
      result: encodeException(error),
      traceback: error.traceback,
      children: NO_CHILDREN,
      dateDone: toIso(this.#clock.now()),
      extra: NO_EXTRA,
    };
  }

  /** A ready state under an id of which no more is known: of a task that will not run. */
  bare(id: string, state: Pick<StoredState, "status" | "result" | "traceback">): ResultMeta {
    return {
      taskId: id,
      status: state.status,
      result: state.result,
      traceback: state.traceback ?? null,
      children: NO_CHILDREN,
      dateDone: toIso(this.#clock.now()),
      extra: NO_EXTRA,
    };
  }

  /** REVOKED of a task of which no more is known than its id: stored outside of it, so without children. */
  bareRevoked(id: string): ResultMeta {
    return revokedMeta(id, this.#clock.now());
  }

  /** `group_id` and `parent_id` where there are any; with `result_extended` what the task was. Python's order. */
  extra(task: DecodedTask): Readonly<Record<string, unknown>> {
    if (task.group === null && task.parentId === null && !this.#extended) return NO_EXTRA;
    const extra: Record<string, unknown> = {};
    if (task.group !== null) extra["group_id"] = task.group;
    if (task.parentId !== null) extra["parent_id"] = task.parentId;
    if (!this.#extended) return extra;
    extra["name"] = task.task;
    extra["args"] = task.args;
    extra["kwargs"] = task.kwargs;
    extra["worker"] = this.#hostname;
    extra["retries"] = task.retries;
    extra["queue"] = task.deliveryInfo.routingKey;
    if (task.stampedHeaders.length === 0) return extra;
    extra["stamped_headers"] = task.stampedHeaders;
    for (const name of task.stampedHeaders) {
      if (Object.hasOwn(task.stamps, name) && !Object.hasOwn(extra, name)) extra[name] = task.stamps[name];
    }
    return extra;
  }
}

/** `FAILURE` of an exception. */
export function failureState(error: ExceptionInfo, children?: readonly unknown[]): StoredState {
  return {
    status: "FAILURE",
    result: encodeException(error),
    traceback: error.traceback,
    children: children ?? NO_CHILDREN,
  };
}

/** `REVOKED` for a reason of Celery's: `expired`, `terminated`, `revoked`. */
export function revokedState(reason: string): StoredState {
  return { status: "REVOKED", result: revokedError(reason) };
}

export function retryState(outcome: Outcome & { readonly kind: "retry" }): StoredState {
  const { cause, children, reason } = outcome;
  return {
    status: "RETRY",
    result: cause === null ? null : encodeException(cause),
    traceback: cause === null ? null : `${cause.traceback ?? ""}celery.exceptions.Retry: ${reason}\n`,
    children,
  };
}

/** The failure of an outcome that is not the function's own doing. */
export function lostInfo(outcome: Outcome & { readonly kind: "timed-out" | "lost" }): ExceptionInfo {
  if (outcome.kind === "timed-out") {
    return {
      type: "TimeLimitExceeded",
      module: "billiard.exceptions",
      args: [outcome.limitMs / 1000],
      traceback: null,
    };
  }
  const how =
    outcome.signal === null
      ? `exitcode ${outcome.exitCode ?? "unknown"}`
      : `signal ${constants.signals[outcome.signal]} (${outcome.signal})`;
  return workerLost(`Worker exited prematurely: ${how}.`);
}

export function workerLost(text: string): ExceptionInfo {
  return { type: "WorkerLostError", module: "billiard.exceptions", args: [text], traceback: null };
}

export function notRegistered(task: string): ExceptionInfo {
  return { type: "NotRegistered", module: "celery.exceptions", args: [task], traceback: null };
}

/** Of a task that is cancelled because the broker was lost. */
export const CANCELLED: Readonly<Record<string, unknown>> = encodeException({
  type: "Retry",
  module: "celery.exceptions",
  args: ["cancelled: the connection to the broker was lost"],
  traceback: null,
});

export function isShutdown(error: ExceptionInfo): boolean {
  return error.type === "WorkerShutdown" && error.module === "celery.exceptions";
}

export function isRevocation(error: ExceptionInfo): boolean {
  return error.type === "TaskRevokedError" && error.module === "celery.exceptions";
}

/** An error of the worker's own work for a task, as the task's failure. */
export function infoOf(task: string, error: unknown): ExceptionInfo {
  const dot = task.lastIndexOf(".");
  return exceptionInfo(error, dot <= 0 ? task : task.slice(0, dot));
}
