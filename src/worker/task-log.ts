/**
 * The worker's lines about tasks. Messages are constant and the rest is fields; `logging.ts` writes Celery's sentences of
 * them. At a level that is off nothing is made: callers look at `info` first.
 */
import type { Logger } from "../base/logger.ts";
import { silentLogger } from "../base/logger.ts";
import { stderrLogger } from "../base/stderr-logger.ts";
import type { Outcome } from "../protocol/job.ts";
import { repr } from "../protocol/python-repr.ts";
import type { ExceptionInfo } from "../protocol/wire.ts";
import { exceptionRepr } from "../task/retry.ts";
import type { Request } from "./request.ts";

/** A logger that can say whether a level is on: pino's, and the worker's own. */
interface LevelLogger extends Logger {
  isLevelEnabled?(level: string): boolean;
}

/** The messages that `logging.ts` has a sentence for. */
export const LINES = {
  received: "task received",
  parked: "task waits for its ETA",
  succeeded: "task succeeded",
  retried: "task is tried again",
  failed: "task failed",
  failedAsExpected: "task failed as expected",
  rejected: "task rejected",
  ignored: "task ignored",
  revoked: "task revoked",
  unregistered: "message of a task that is not registered",
  dead: "message that is no task",
  returned: "task put back",
  lost: "task lost",
} as const;

/** Characters of a result that are shown. */
const MAX_RESULT = 200;

export class TaskLog {
  /** Whether lines of everyday life are wanted. */
  readonly info: boolean;
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.info = isInfoEnabled(logger);
  }

  received({ id, task }: Request): void {
    this.#logger.info({ task, id }, LINES.received);
  }

  /** It is received again once its ETA has come, here or elsewhere. */
  parked({ id, task }: Request, etaMs: number): void {
    this.#logger.info({ task, id, eta: new Date(etaMs).toISOString() }, LINES.parked);
  }

  succeeded({ id, task }: Request, outcome: Outcome & { readonly kind: "success" }): void {
    const runtime = seconds(outcome.runtimeMs);
    const result = repr(outcome.value, { maxLength: MAX_RESULT });
    this.#logger.info({ task, id, runtime, result }, LINES.succeeded);
  }

  retried({ id, task }: Request, reason: string): void {
    this.#logger.info({ task, id, reason }, LINES.retried);
  }

  /** Written at any level but above ERROR; errors that the task `throws` at INFO and without a traceback. */
  failed({ id, task }: Request, error: ExceptionInfo, expected: boolean): void {
    const exception = exceptionRepr(error);
    if (expected) {
      if (this.info) this.#logger.info({ task, id, exception }, LINES.failedAsExpected);
      return;
    }
    this.#logger.error({ task, id, exception, traceback: error.traceback }, LINES.failed);
  }

  rejected({ id, task }: Request, reason: string | null): void {
    this.#logger.info({ task, id, reason }, LINES.rejected);
  }

  ignored({ id, task }: Request): void {
    this.#logger.info({ task, id }, LINES.ignored);
  }

  revoked({ id, task }: Request): void {
    this.#logger.info({ task, id }, LINES.revoked);
  }

  unregistered(task: string, id: string, queue: string): void {
    this.#logger.error({ task, id, queue }, LINES.unregistered);
  }

  dead(queue: string, reason: string, id: string | null): void {
    this.#logger.error({ queue, reason, id }, LINES.dead);
  }

  returned({ id, task }: Request): void {
    this.#logger.warn({ task, id }, LINES.returned);
  }

  lost({ id, task }: Request): void {
    this.#logger.error({ task, id }, LINES.lost);
  }
}

function seconds(ms: number): number {
  return Math.round(ms * 1000) / 1_000_000;
}

function isInfoEnabled(logger: LevelLogger): boolean {
  if (logger.isLevelEnabled !== undefined) return logger.isLevelEnabled("info");
  return logger !== silentLogger && logger !== stderrLogger;
}
