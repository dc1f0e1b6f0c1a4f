import { describe, expect, test } from "vitest";
import { OPTION_NAMES, readOptions } from "../../../../src/transports/redis/options.ts";

function failureOf(action: () => unknown): { code: string; message: string } {
  try {
    action();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error("it did not throw");
}

describe("options of the Redis transport", () => {
  test("defaults", () => {
    expect(readOptions({})).toMatchObject({
      leaseMs: 30_000,
      beatMs: 10_000,
      visibilityTimeoutMs: 3_600_000,
      sweepIntervalMs: 1500,
      sweepGraceMs: 10_000,
      workerStallLimitMs: 600_000,
      fetchBatch: 64,
      parkAfterMs: 2000,
      holdMax: 1000,
      wake: "auto",
      pollIntervalMs: 2000,
      wakeSpreadMs: 20,
      commandDeadlineMs: 5000,
      backoffCapMs: 2000,
      finishBatch: 500,
      deliveryLimit: 3,
      redeliveryBackoffMs: 2000,
      redeliveryBackoffMaxMs: 600_000,
      unackedKey: "unacked",
      unackedIndexKey: "unacked_index",
      sep: "\x06\x16",
      prioritySteps: [0, 3, 6, 9],
      globalKeyprefix: "",
      queueOrderStrategy: "round_robin",
      fanoutPrefix: true,
      fanoutPatterns: true,
      deadletterQueue: null,
    });
  });

  test("kombu's names and camelCase, seconds as numbers or text", () => {
    const snake = readOptions({
      visibility_timeout: 43_200,
      global_keyprefix: "app:",
      priority_steps: [9, 0, 5],
    });
    const camel = readOptions({
      visibilityTimeout: "43200",
      globalKeyprefix: "app:",
      prioritySteps: [9, 0, 5],
    });
    expect(camel).toEqual(snake);
    expect(snake).toMatchObject({ visibilityTimeoutMs: 43_200_000, prioritySteps: [0, 5, 9] });
  });

  test("every name that is listed is accepted", () => {
    for (const name of OPTION_NAMES) {
      const failure = ((): string => {
        try {
          readOptions({ [name]: Symbol("no value of any option") });
          return "";
        } catch (error) {
          return (error as { code: string }).code;
        }
      })();
      expect(["", "PET_CONFIG_INVALID"]).toContain(failure);
    }
    expect(readOptions({ socket_timeout: 3, max_connections: 10, max_retries: 3 })).toEqual(readOptions({}));
  });

  test("an unknown name is refused and the nearest named", () => {
    const failure = failureOf(() => readOptions({ visibility_timout: 5 }));
    expect(failure.code).toBe("PET_CONFIG_UNKNOWN");
    expect(failure.message).toContain('"visibility_timeout"');
    for (const name of ["__proto__x", "constructor", "toString"]) {
      expect(failureOf(() => readOptions({ [name]: 1 })).code).toBe("PET_CONFIG_UNKNOWN");
    }
  });

  test.each([
    ["lease", 4.9, "at least 5"],
    ["lease", "soon", "at least 5"],
    ["lease", Number.NaN, "at least 5"],
    ["visibility_timeout", 0, "at least 1"],
    ["fetch_batch", 65, "1 to 64"],
    ["fetch_batch", 1.5, "1 to 64"],
    ["wake", "magic", "tracking-redirect"],
    ["queue_order_strategy", "random", "round_robin"],
    ["priority_steps", [], "[0, 3, 6, 9]"],
    ["priority_steps", [0, "3"], "[0, 3, 6, 9]"],
    ["fanout_prefix", 5, "true, false or a text"],
    ["sep", "", "not empty"],
    ["global_keyprefix", 5, "a text"],
    ["body_encoding", "utf-8", "base64"],
    ["deadletter_queue", "", "not empty"],
  ])("%s = %j is refused, and the message says what is expected", (name, value, expected) => {
    const failure = failureOf(() => readOptions({ [name]: value }));
    expect(failure.code).toBe("PET_CONFIG_INVALID");
    expect(failure.message).toContain(`"${name}"`);
    expect(failure.message).toContain(expected);
  });

  test("a lease is renewed three times in the shorter of lease and visibility timeout", () => {
    expect(readOptions({ lease: 60, visibility_timeout: 12 }).beatMs).toBe(4000);
    expect(readOptions({ lease: 6 }).beatMs).toBe(2000);
  });

  test("grace is twice the lease, 10 s at most, and back-off never outlasts half of it", () => {
    expect(readOptions({ lease: 5 })).toMatchObject({ sweepGraceMs: 10_000, backoffCapMs: 2000 });
    expect(readOptions({ sweep_grace: 4 })).toMatchObject({ sweepGraceMs: 4000, backoffCapMs: 2000 });
    expect(readOptions({}, { leaseMs: 300 })).toMatchObject({ sweepGraceMs: 600, backoffCapMs: 300 });
  });
});
