import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type CallOptions,
  joinWireOptions,
  linkedList,
  mergeOptions,
  splitWireOptions,
} from "../../../src/canvas/wire-options.ts";
import { DecodeError } from "../../../src/errors.ts";
import { seed } from "../../support/seed.ts";

const callback = { task: "cb", args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false };

describe("splitWireOptions", () => {
  test("wire names become ours, null is left out", () => {
    const { options, extra } = splitWireOptions({
      task_id: "1",
      countdown: 3,
      routing_key: "rk",
      time_limit: 10,
      soft_time_limit: 5,
      link_error: callback,
      retry_policy: { max_retries: null, interval_step: 1, interval_max: null },
      eta: null,
    });
    expect(options).toEqual({
      taskId: "1",
      countdown: 3,
      routingKey: "rk",
      timeLimit: 10,
      softTimeLimit: 5,
      linkError: [callback],
      retryPolicy: { maxRetries: null, intervalStep: 1 },
    });
    expect(extra).toBeNull();
  });

  test("what only the wire knows is kept apart, stamps by their names", () => {
    const { options, extra } = splitWireOptions({
      retries: 2,
      chain: [callback],
      stamped_headers: ["tenant", "absent"],
      tenant: "x",
      visitor: 1,
    });
    expect(options).toEqual({});
    expect(extra).toMatchObject({
      retries: 2,
      chain: [callback],
      stampedHeaders: ["tenant", "absent"],
      stamps: { tenant: "x" },
      rest: { visitor: 1 },
    });
  });

  test.each([
    ["task_id", 1],
    ["priority", "3"],
    ["countdown", Number.NaN],
    ["link", "cb"],
    ["headers", []],
    ["eta", 5],
    ["retries", 1.5],
    ["stamped_headers", [1]],
    ["delivery_mode", 3],
  ])("%s: %j is refused by name", (name, value) => {
    expect(() => splitWireOptions({ [name]: value })).toThrow(DecodeError);
    expect(() => splitWireOptions({ [name]: value })).toThrow(new RegExp(`option ${name} `, "u"));
  });

  test("a name like __proto__ pollutes nothing", () => {
    const wire = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 1}') as Record<string, unknown>;
    splitWireOptions(wire);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

test("reading and writing options changes nothing", () => {
  const wire = fc.record(
    {
      task_id: fc.string(),
      countdown: fc.double({ noNaN: true, noDefaultInfinity: true }),
      expires: fc.oneof(fc.integer(), fc.constant("2030-01-02T03:04:05")),
      queue: fc.string(),
      priority: fc.integer(),
      headers: fc.dictionary(fc.constantFrom("a", "b"), fc.integer()),
      link: fc.array(fc.constant(callback)),
      group_index: fc.nat(),
      retries: fc.nat(),
      chain: fc.array(fc.constant(callback)),
      stamped_headers: fc.constant(["stamp"]),
      stamp: fc.integer(),
      other: fc.string(),
      retry_policy: fc.record({ max_retries: fc.constant(null), interval_max: fc.nat() }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(wire, (options) => {
      const { options: ours, extra } = splitWireOptions(options);
      expect(joinWireOptions(ours, extra)).toEqual(options);
    }),
    { seed },
  );
});

describe("mergeOptions", () => {
  const split = (options: CallOptions, extra: object | null = null) => ({ options, extra });

  test("given options win, undefined ones do not count", () => {
    const merged = mergeOptions(
      split({ queue: "a", priority: 1 }),
      split({ queue: "b", priority: undefined }),
    );
    expect(merged.options).toEqual({ queue: "b", priority: 1 });
  });

  test("a group id does not change once it is set", () => {
    expect(mergeOptions(split({ groupId: "g" }), split({ groupId: "h" })).options.groupId).toBe("g");
    expect(mergeOptions(split({}), split({ groupId: "h" })).options.groupId).toBe("h");
  });

  test("stamps do not change once they are set", () => {
    const base = split({}, { stampedHeaders: ["a"], stamps: { a: 1 } });
    const over = split({}, { stampedHeaders: ["b"], stamps: { a: 2, b: 3 }, retries: 1 });
    expect(mergeOptions(base, over).extra).toEqual({
      stampedHeaders: ["a"],
      stamps: { a: 1, b: 3 },
      retries: 1,
    });
  });
});

test("Temporal's instants become dates", () => {
  expect(joinWireOptions({ eta: { epochMilliseconds: 0 } }, null)["eta"]).toEqual(new Date(0));
});

test("no callbacks are null, one is a list of one", () => {
  expect(linkedList(undefined)).toBeNull();
  expect(linkedList([])).toBeNull();
  expect(linkedList(callback)).toEqual([callback]);
  expect(linkedList({ toJSON: () => callback })).toEqual([callback]);
});
