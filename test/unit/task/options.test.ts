import { describe, expect, test } from "vitest";
import { Config } from "../../../src/app/config.ts";
import { ImproperlyConfigured } from "../../../src/errors.ts";
import {
  annotate,
  checkTaskName,
  checkTaskOptions,
  resolveTaskOptions,
  type TaskDefaults,
} from "../../../src/task/options.ts";

function defaults(settings: Record<string, unknown> = {}): TaskDefaults {
  return new Config(settings, { env: {} }).freeze();
}

describe("checkTaskOptions", () => {
  test("an unknown option is an error that suggests the nearest", () => {
    expect(() => checkTaskOptions('task "a"', { ackLate: true })).toThrow(
      'task "a": there is no option "ackLate", did you mean "acksLate"?',
    );
  });

  test.each([
    ["acksLate", "yes"],
    ["maxRetries", -1],
    ["maxRetries", 1.5],
    ["defaultRetryDelay", Number.NaN],
    ["timeLimit", "10"],
    ["rateLimit", "10 per second"],
    ["rateLimit", "10/d"],
    ["autoretryFor", "Error"],
    ["retryBackoff", -1],
    ["priority", 1.5],
    ["input", {}],
    ["params", [1]],
    ["beforeStart", "fn"],
    ["queue", ""],
    ["expires", null],
    ["globalRateLimit", "fast"],
    ["globalRateLimit", { rate: null }],
    ["globalRateLimit", { rate: "1/s", burst: 0 }],
    ["globalRateLimit", { rate: "1/s", keys: String }],
    ["maxConcurrency", 0],
    ["maxConcurrency", 1.5],
    ["maxConcurrency", { limit: 1, key: "tenant" }],
    ["maxConcurrency", {}],
  ])("%s: %j is refused with what it accepts", (name, value) => {
    expect(() => checkTaskOptions("t", { [name]: value })).toThrow(new RegExp(`option ${name} must be`, "u"));
  });

  test.each([
    ["maxRetries", null],
    ["rateLimit", null],
    ["rateLimit", "100/m"],
    ["rateLimit", 0.5],
    ["globalRateLimit", "100/m"],
    ["globalRateLimit", { rate: 5, burst: 10, key: String }],
    ["globalRateLimit", null],
    ["maxConcurrency", 1],
    ["maxConcurrency", { limit: 2, key: String }],
    ["retryBackoff", true],
    ["retryBackoff", 2],
    ["expires", new Date()],
    ["expires", 10],
    ["queue", undefined],
    ["throws", [TypeError]],
  ])("%s: %j is accepted", (name, value) => {
    expect(() => checkTaskOptions("t", { [name]: value })).not.toThrow();
  });
});

test.each(["", " a", "a ", "a\nb", "a".repeat(256), 3])("%j is no task name", (name) => {
  expect(() => checkTaskName(name)).toThrow(ImproperlyConfigured);
});

describe("annotate", () => {
  test("annotations win over the task's own options, those of its name over those of *", () => {
    const annotations = { "*": { rateLimit: "1/s", maxRetries: 1 }, "shop.add": { rate_limit: "2/s" } };
    const own = annotate("shop.add", { rateLimit: "9/s" }, defaults({ taskAnnotations: annotations }));
    expect(own).toMatchObject({ rateLimit: "2/s", maxRetries: 1 });
    const other = annotate("shop.other", { rateLimit: "9/s" }, defaults({ taskAnnotations: annotations }));
    expect(other.rateLimit).toBe("1/s");
  });

  test("an unknown option in an annotation is an error that says where", () => {
    const wrong = defaults({ taskAnnotations: { "*": { rate: 1 } } });
    expect(() => annotate("a", {}, wrong)).toThrow(/taskAnnotations\["\*"\]/u);
  });

  test("a task named as a property of every object has no annotations by accident", () => {
    expect(annotate("constructor", {}, defaults({ taskAnnotations: {} }))).toEqual({});
  });
});

describe("resolveTaskOptions", () => {
  test("acks of failures and of time limits: the task's own option, then the setting of each, then that of both", () => {
    const acks = (options: object, settings: Record<string, unknown>): readonly boolean[] => {
      const { acksOnFailure, acksOnTimeout } = resolveTaskOptions(options, defaults(settings));
      return [acksOnFailure, acksOnTimeout];
    };
    expect(acks({}, { taskAcksOnFailureOrTimeout: false })).toEqual([false, false]);
    expect(acks({}, { taskAcksOnFailure: false })).toEqual([false, true]);
    expect(acks({}, { taskAcksOnFailureOrTimeout: false, taskAcksOnFailure: true })).toEqual([true, false]);
    expect(acks({ acksOnFailureOrTimeout: true }, { taskAcksOnTimeout: false })).toEqual([true, true]);
  });

  test("what nobody said is Celery's default", () => {
    expect(resolveTaskOptions({}, defaults())).toMatchObject({
      acksLate: false,
      acksOnFailure: true,
      acksOnTimeout: true,
      rejectOnWorkerLost: false,
      ignoreResult: false,
      maxRetries: 3,
      defaultRetryDelay: 180,
      retryBackoff: 0,
      retryBackoffMax: 600,
      retryJitter: true,
      rateLimit: null,
      priority: null,
      serializer: "json",
      compression: null,
      hasHooks: false,
    });
  });

  test("the settings give defaults, the task's options win", () => {
    const settings = defaults({ taskAcksLate: true, taskIgnoreResult: true, taskDefaultRateLimit: "5/s" });
    expect(resolveTaskOptions({}, settings)).toMatchObject({
      acksLate: true,
      ignoreResult: true,
      rateLimit: "5/s",
    });
    expect(resolveTaskOptions({ acksLate: false, rateLimit: null }, settings)).toMatchObject({
      acksLate: false,
      rateLimit: null,
    });
  });

  test("maxRetries: null is no end, retryBackoff: true is one second", () => {
    expect(resolveTaskOptions({ maxRetries: null, retryBackoff: true }, defaults())).toMatchObject({
      maxRetries: null,
      retryBackoff: 1,
    });
  });

  test("limits over all workers in either form", () => {
    expect(resolveTaskOptions({}, defaults())).toMatchObject({ globalRateLimit: null, maxConcurrency: null });
    const short = resolveTaskOptions({ globalRateLimit: "5/s", maxConcurrency: 3 }, defaults());
    expect(short.globalRateLimit).toEqual({ rate: "5/s", burst: 1, key: null });
    expect(short.maxConcurrency).toEqual({ limit: 3, key: null });
    const long = {
      globalRateLimit: { rate: 5, burst: 9, key: String },
      maxConcurrency: { limit: 2, key: String },
    };
    expect(resolveTaskOptions(long, defaults())).toMatchObject(long);
  });

  test("one hook is enough to have hooks", () => {
    expect(resolveTaskOptions({ onFailure: () => {} }, defaults()).hasHooks).toBe(true);
  });
});
