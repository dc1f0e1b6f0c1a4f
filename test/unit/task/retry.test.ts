import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MaxRetriesExceededError, PetioleError, Retry } from "../../../src/errors.ts";
import { requestData } from "../../../src/task/context.ts";
import type { RetryOptions, TaskRequest } from "../../../src/task/context-types.ts";
import type { ResolvedTaskOptions, TaskDefinition } from "../../../src/task/definition.ts";
import { resolveTaskOptions } from "../../../src/task/options.ts";
import {
  backoffSeconds,
  exceptionRepr,
  instantMs,
  isAutoretried,
  type RetryRequest,
  retryError,
  retryReason,
} from "../../../src/task/retry.ts";
import { seed } from "../../support/seed.ts";

const DEFAULTS = {
  taskAcksLate: null,
  taskAcksOnFailureOrTimeout: null,
  taskRejectOnWorkerLost: null,
  taskIgnoreResult: null,
  taskStoreErrorsEvenIfIgnored: null,
  taskTrackStarted: null,
  taskAcksOnFailure: null,
  taskAcksOnTimeout: null,
  taskDefaultRateLimit: null,
  taskTimeLimit: null,
  taskSoftTimeLimit: null,
  taskDefaultPriority: null,
  taskSerializer: null,
  taskCompression: null,
  taskAnnotations: null,
};

function optionsOf(given: Parameters<typeof resolveTaskOptions>[0] = {}): ResolvedTaskOptions {
  return resolveTaskOptions(given, DEFAULTS);
}

function asked(
  options: RetryOptions,
  parts: { retries?: number; given?: object; request?: Partial<TaskRequest> } = {},
): Retry {
  const definition = { name: "shop.f", options: optionsOf(parts.given) } as TaskDefinition;
  const request = requestData({
    id: "t1",
    args: [1],
    kwargs: { a: "b" },
    retries: parts.retries ?? 0,
    ...parts.request,
  });
  return retryError({ definition, request: request as unknown as TaskRequest, options });
}

const wanted = (error: Retry): RetryRequest => error.request as RetryRequest;

describe("task.retry", () => {
  test("waits for defaultRetryDelay, a countdown, or until an eta", () => {
    expect(wanted(asked({}))).toMatchObject({ delayMs: 180_000, etaMs: null });
    expect(wanted(asked({}, { given: { defaultRetryDelay: 2 } })).delayMs).toBe(2000);
    expect(wanted(asked({ countdown: 0.5 })).delayMs).toBe(500);
    expect(wanted(asked({ countdown: 0 })).delayMs).toBe(0);
    expect(wanted(asked({ eta: new Date(5000) }))).toMatchObject({ delayMs: null, etaMs: 5000 });
  });

  test("gives on what changes, options by their wire names", () => {
    const { overrides } = wanted(
      asked({ args: [2], kwargs: {}, options: { queue: "slow", softTimeLimit: 3 } }),
    );
    expect(overrides).toEqual({ args: [2], kwargs: {}, options: { queue: "slow", soft_time_limit: 3 } });
    expect(wanted(asked({})).overrides).toEqual({});
  });

  test("throws the cause when no attempt is left", () => {
    const cause = new RangeError("again");
    expect(asked({ cause }, { retries: 2 })).toBeInstanceOf(Retry);
    expect(() => asked({ cause }, { retries: 3 })).toThrow(cause);
  });

  test("throws MaxRetriesExceededError when there is no cause either", () => {
    let error: unknown;
    try {
      asked({}, { retries: 3 });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(MaxRetriesExceededError);
    expect((error as MaxRetriesExceededError).args).toEqual([
      "Can't retry shop.f[t1] args:[1] kwargs:{'a': 'b'}",
    ]);
    expect((error as MaxRetriesExceededError).module).toBe("celery.exceptions");
  });

  test("never ends with maxRetries null, and ends where the call says", () => {
    expect(asked({ maxRetries: null }, { retries: 1000 })).toBeInstanceOf(Retry);
    expect(asked({}, { retries: 1000, given: { maxRetries: null } })).toBeInstanceOf(Retry);
    expect(() => asked({ maxRetries: 0 })).toThrow(MaxRetriesExceededError);
  });

  test("throws the cause of a task that was called directly", () => {
    const cause = new Error("no worker");
    expect(() => asked({ cause }, { request: { calledDirectly: true } })).toThrow(cause);
    expect(() => asked({}, { request: { calledDirectly: true } })).toThrow(PetioleError);
  });

  test("refuses an eta that is no point in time", () => {
    expect(() => asked({ eta: new Date(Number.NaN) })).toThrow(TypeError);
    expect(instantMs("2026-01-01T00:00:00")).toBe(Date.UTC(2026, 0, 1));
    expect(instantMs({ epochMilliseconds: 7 })).toBe(7);
  });

  test("says when, and why, in Python's words", () => {
    const cause = { type: "ValueError", module: "builtins", args: ["try again"], traceback: null };
    expect(retryReason(wanted(asked({ countdown: 3 })), cause)).toBe("Retry in 3s: ValueError('try again')");
    expect(retryReason(wanted(asked({ eta: new Date(0) })), null)).toBe(
      "Retry at 1970-01-01 00:00:00.000+00:00",
    );
    expect(exceptionRepr({ type: "MyError", args: ["boom", 42] })).toBe("MyError('boom', 42)");
    expect(exceptionRepr({ type: "KeyError", args: [] })).toBe("KeyError()");
  });
});

describe("autoretry", () => {
  class Soft extends Error {}
  class Softer extends Soft {}

  test("is for the classes of autoretryFor without those of dontAutoretryFor", () => {
    const options = optionsOf({ autoretryFor: [Soft], dontAutoretryFor: [Softer] });
    expect(isAutoretried(options, new Soft())).toBe(true);
    expect(isAutoretried(options, new Softer())).toBe(false);
    expect(isAutoretried(options, new Error())).toBe(false);
    expect(isAutoretried(options, "text")).toBe(false);
    expect(isAutoretried(optionsOf(), new Error())).toBe(false);
  });

  test("waits for defaultRetryDelay without retryBackoff", () => {
    expect(backoffSeconds(optionsOf(), 3)).toBeUndefined();
  });

  test("doubles the delay up to the maximum", () => {
    const options = optionsOf({ retryBackoff: 3, retryJitter: false, retryBackoffMax: 20 });
    expect([0, 1, 2, 3, 4].map((retries) => backoffSeconds(options, retries))).toEqual([3, 6, 12, 20, 20]);
    expect(backoffSeconds(optionsOf({ retryBackoff: true, retryJitter: false }), 10)).toBe(600);
  });

  test("takes at least one second as its factor, and whole ones", () => {
    expect(backoffSeconds(optionsOf({ retryBackoff: 0.2, retryJitter: false }), 0)).toBe(1);
    expect(backoffSeconds(optionsOf({ retryBackoff: 2.9, retryJitter: false }), 1)).toBe(4);
  });

  test("draws a whole number from nought to the delay, both included", () => {
    const options = optionsOf({ retryBackoff: true, retryBackoffMax: 8 });
    expect(backoffSeconds(options, 3, () => 0)).toBe(0);
    expect(backoffSeconds(options, 3, () => 0.999_999)).toBe(8);
    fc.assert(
      fc.property(
        fc.nat({ max: 2000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (retries, random) => {
          const delay = backoffSeconds(options, retries, () => random) ?? -1;
          expect(Number.isInteger(delay) && delay >= 0 && delay <= 8).toBe(true);
        },
      ),
      { seed },
    );
  });
});
