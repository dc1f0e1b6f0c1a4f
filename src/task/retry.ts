/** When and how a task is tried again. Python: `Task.retry`, `celery/app/autoretry.py`, `celery/utils/time.py`. */
import { joinWireOptions } from "../canvas/wire-options.ts";
import { MaxRetriesExceededError, PetioleError, Retry } from "../errors.ts";
import { parseIso } from "../protocol/iso8601.ts";
import { repr } from "../protocol/python-repr.ts";
import type { ExceptionInfo } from "../protocol/wire.ts";
import type { RetryOptions, TaskRequest } from "./context-types.ts";
import type { ResolvedTaskOptions, TaskDefinition } from "./definition.ts";
import type { Instant } from "./sendable-types.ts";

/** What a task asked for with `task.retry`: the `request` of the {@link Retry} error. */
export interface RetryRequest {
  /** Either a delay or an instant, ms. */
  readonly delayMs: number | null;
  readonly etaMs: number | null;
  /** undefined: none was given. */
  readonly cause: unknown;
  /** `args`, `kwargs`, and `options` by their wire names; only those that change. */
  readonly overrides: Readonly<Record<string, unknown>>;
}

/** Options of {@link retryError}, with what only autoretry says. */
export interface RetryParts {
  readonly definition: TaskDefinition;
  readonly request: TaskRequest;
  readonly options: RetryOptions;
}

/**
 * The error that makes the worker send the next attempt; to be thrown.
 *
 * @throws the cause, or MaxRetriesExceededError, when no attempt is left
 */
export function retryError({ definition, request, options }: RetryParts): Retry {
  const { cause } = options;
  const maxRetries = options.maxRetries === undefined ? definition.options.maxRetries : options.maxRetries;
  if (request.calledDirectly) {
    if (cause !== undefined) throw cause as Error;
    throw new PetioleError(
      "PET_RETRY",
      `${definition.name} asked for a retry, and was called directly: only a worker can send it again`,
    );
  }
  if (maxRetries !== null && request.retries + 1 > maxRetries) {
    if (cause !== undefined) throw cause as Error;
    throw noAttemptLeft(definition, request, options);
  }
  const etaMs = options.eta === undefined ? null : instantMs(options.eta);
  const delayMs = etaMs === null ? (options.countdown ?? definition.options.defaultRetryDelay) * 1000 : null;
  const wanted: RetryRequest = { delayMs, etaMs, cause, overrides: overridesOf(options) };
  return new Retry(`task ${definition.name} is to be tried again`, wanted, { cause });
}

function noAttemptLeft(
  definition: TaskDefinition,
  request: TaskRequest,
  options: RetryOptions,
): MaxRetriesExceededError {
  const args = repr(options.args ?? request.args);
  const kwargs = repr(options.kwargs ?? request.kwargs);
  return new MaxRetriesExceededError({
    type: "MaxRetriesExceededError",
    module: "celery.exceptions",
    args: [`Can't retry ${definition.name}[${request.id}] args:${args} kwargs:${kwargs}`],
    traceback: null,
  });
}

function overridesOf(options: RetryOptions): Readonly<Record<string, unknown>> {
  const overrides: Record<string, unknown> = {};
  if (options.args !== undefined) overrides["args"] = options.args;
  if (options.kwargs !== undefined) overrides["kwargs"] = options.kwargs;
  if (options.options !== undefined) overrides["options"] = joinWireOptions(options.options, null);
  return overrides;
}

/** Ms since the epoch. */
export function instantMs(instant: Instant): number {
  const ms =
    typeof instant === "string"
      ? parseIso(instant)
      : instant instanceof Date
        ? instant.getTime()
        : instant.epochMilliseconds;
  if (!Number.isFinite(ms)) throw new TypeError("eta is not a valid point in time");
  return ms;
}

/** Whether `autoretryFor` names the error and `dontAutoretryFor` does not. */
export function isAutoretried(options: ResolvedTaskOptions, error: unknown): boolean {
  if (options.autoretryFor.length === 0) return false;
  if (options.dontAutoretryFor.some((one) => error instanceof one)) return false;
  return options.autoretryFor.some((one) => error instanceof one);
}

/**
 * Seconds before the next attempt of an autoretry: `min(max, factor * 2^retries)`, with jitter a whole number of
 * [0, that]. undefined without `retryBackoff`: the task's `defaultRetryDelay`.
 *
 * @param random - returns [0, 1)
 */
export function backoffSeconds(
  options: ResolvedTaskOptions,
  retries: number,
  random: () => number = Math.random,
): number | undefined {
  if (options.retryBackoff <= 0) return undefined;
  const factor = Math.trunc(Math.max(1, options.retryBackoff));
  const ceiling = Math.min(options.retryBackoffMax, factor * 2 ** Math.min(retries, 64));
  return options.retryJitter ? Math.floor(random() * (Math.trunc(ceiling) + 1)) : Math.max(0, ceiling);
}

/** `Retry in 3s: ValueError('try again')`: what Python's `Retry` prints. */
export function retryReason(wanted: RetryRequest, cause: ExceptionInfo | null): string {
  const when =
    wanted.etaMs === null
      ? `in ${(wanted.delayMs ?? 0) / 1000}s`
      : `at ${new Date(wanted.etaMs).toISOString().replace("T", " ").replace("Z", "+00:00")}`;
  return cause === null ? `Retry ${when}` : `Retry ${when}: ${exceptionRepr(cause)}`;
}

/** `ValueError('try again')`: Python's repr of an exception. */
export function exceptionRepr(info: Pick<ExceptionInfo, "type" | "args">): string {
  return `${info.type}(${info.args.map((arg) => repr(arg)).join(", ")})`;
}
