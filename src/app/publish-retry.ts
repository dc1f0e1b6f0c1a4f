/**
 * How a publish is tried again while the broker is away: the settings `task_publish_retry` and
 * `task_publish_retry_policy`. Python: kombu's `retry_over_time`.
 *
 * A retry after an attempt with outcome "unknown" may put the message into the broker twice (same task id); the
 * alternative is to lose it. The final error says "unknown" when any attempt may have arrived.
 */
import { OperationalError, type PublishOutcome } from "../errors.ts";
import type { RetryPolicy } from "../task/send-types.ts";

/** A policy in ms, complete. */
export interface PublishPolicy {
  /** Attempts after the first; null: no end. */
  readonly maxRetries: number | null;
  readonly intervalStartMs: number;
  readonly intervalStepMs: number;
  readonly intervalMaxMs: number;
  /** End of all attempts together; null: none. */
  readonly timeoutMs: number | null;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** No second attempt. */
export const ONE_ATTEMPT: PublishPolicy = {
  maxRetries: 0,
  intervalStartMs: 0,
  intervalStepMs: 0,
  intervalMaxMs: 0,
  timeoutMs: DEFAULT_TIMEOUT_MS,
};

/** Celery's defaults under the given policies; later ones win. */
export function publishPolicy(...given: readonly (RetryPolicy | null | undefined)[]): PublishPolicy {
  const merged: RetryPolicy = {};
  for (const one of given) {
    for (const [name, value] of Object.entries(one ?? {}))
      if (value !== undefined) (merged as Record<string, unknown>)[name] = value;
  }
  const maxRetries = merged.maxRetries === undefined ? 3 : merged.maxRetries;
  const timeout = merged.timeout === undefined ? null : merged.timeout * 1000;
  return {
    maxRetries,
    intervalStartMs: (merged.intervalStart ?? 0) * 1000,
    intervalStepMs: (merged.intervalStep ?? 0.2) * 1000,
    intervalMaxMs: (merged.intervalMax ?? 1) * 1000,
    timeoutMs: timeout ?? (maxRetries === null ? null : DEFAULT_TIMEOUT_MS),
  };
}

/** Wait before retry number `retry` (the first is 0). */
export function retryDelayMs(policy: PublishPolicy, retry: number): number {
  return Math.min(
    policy.intervalStartMs + retry * policy.intervalStepMs,
    Math.max(policy.intervalMaxMs, policy.intervalStartMs),
  );
}

/** Only an unreachable broker is worth another attempt. */
export function isRetryable(error: unknown): error is OperationalError {
  return error instanceof OperationalError && error.code === "PET_BROKER_UNREACHABLE";
}

/** What a publish that failed for good is told. */
export interface PublishFailure {
  /** Name and id of the first message, and how many more. */
  readonly what: string;
  readonly attempts: number;
  readonly outcome: PublishOutcome;
  readonly cause: OperationalError;
}

/** The error a send rejects with. */
export function publishError(failure: PublishFailure): OperationalError {
  const { what, attempts, outcome, cause } = failure;
  const tries = attempts === 1 ? "" : ` after ${attempts} attempts`;
  const known =
    outcome === "not sent" ? "it was not sent" : "it may have been sent: sending it again may run it twice";
  return new OperationalError(`${what} could not be sent${tries}, ${known}: ${cause.message}`, {
    code: cause.code,
    outcome,
    cause,
  });
}
