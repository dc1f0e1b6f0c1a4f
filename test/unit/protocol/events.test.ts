import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EncodeError } from "../../../src/errors.ts";
import { encodeOwnEvent, eventGroup, readEvents, routingKeyOf } from "../../../src/protocol/events.ts";
import { parseJson } from "../../../src/protocol/json.ts";
import { seed } from "../../support/seed.ts";
import { envelopesOf, vectorEntries } from "../../support/vectors.ts";

const HEAD = {
  type: "task-started",
  hostname: "w@h",
  timestamp: 1.5,
  clock: 3,
  pid: 9,
  utcoffset: -1,
  uuid: "t1",
};

/** Bodies of events that Celery was recorded with. */
const recorded = ["events", "execution", "extra", "mingle_gossip", "worker_startup"].flatMap((file) =>
  vectorEntries(file).flatMap((entry) =>
    envelopesOf(entry, "PUBLISH")
      .map(
        (text) =>
          JSON.parse(text) as {
            body: string;
            properties: { delivery_info: { exchange: string; routing_key: string } };
          },
      )
      .filter(({ properties }) => properties.delivery_info.exchange === "celeryev")
      .map(({ body, properties }) => ({
        key: properties.delivery_info.routing_key,
        body: JSON.parse(Buffer.from(body, "base64").toString()) as Record<string, unknown>,
      })),
  ),
);

test("every recorded event of Celery is read as it is", () => {
  expect(recorded.length).toBeGreaterThan(200);
  for (const { key, body } of recorded) {
    const { events, invalid } = readEvents(body);
    const given = [body].flat<Record<string, unknown>[]>();
    expect(invalid).toBe(0);
    for (const [index, event] of events.entries()) expect(event).toMatchObject(given[index] ?? {});
    expect(key).toBe(Array.isArray(body) ? "task.multi" : routingKeyOf(String(body["type"])));
  }
});

test("the group of a type is what stands before its first dash", () => {
  expect(["task-sent", "worker-elect-ack", "plain"].map(eventGroup)).toEqual(["task", "worker", "plain"]);
});

describe("what strangers send", () => {
  test.each([
    ["no object", 5],
    ["null", null],
    ["a list in a list", [[HEAD]]],
    ["no type", { ...HEAD, type: undefined }],
    ["an empty type", { ...HEAD, type: "" }],
    ["a type of a megabyte", { ...HEAD, type: "x".repeat(1e6) }],
    ["no node name", { ...HEAD, hostname: null }],
    ["a timestamp that is none", { ...HEAD, timestamp: "now" }],
    ["an endless timestamp", { ...HEAD, timestamp: Number.POSITIVE_INFINITY }],
    ["a task event without an id", { ...HEAD, uuid: 7 }],
  ])("is no event: %s", (_, value) => {
    expect(readEvents(value)).toEqual({ events: [], invalid: 1 });
  });

  test("a field of a wrong kind is read as null, and the rest stays", () => {
    const { events } = readEvents([
      { ...HEAD, type: "task-received", name: { a: 1 }, args: "()", clock: -1, pid: "9" },
      3,
    ]);
    expect(events).toEqual([
      expect.objectContaining({ name: null, args: "()", clock: null, pid: null, eta: null, retries: null }),
    ]);
  });

  test("fields of a type of their own are theirs", () => {
    const { events } = readEvents({ ...HEAD, type: "task-custom", progress: 0.5, result: { deep: [1] } });
    expect(events).toEqual([{ ...HEAD, type: "task-custom", progress: 0.5, result: { deep: [1] } }]);
  });

  test("no prototype is changed", () => {
    const text = `{"type":"task-x","hostname":"h","timestamp":1,"uuid":"u","__proto__":{"polluted":1},"constructor":1}`;
    const [event] = readEvents(parseJson(text)).events;
    expect(event).toMatchObject({ type: "task-x" });
    expect(Object.getPrototypeOf(event)).toBe(Object.prototype);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test("whatever comes, reading does not throw", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.dictionary(fc.constantFrom(...Object.keys(HEAD), "name", "args"), fc.jsonValue()),
        (a, b) => {
          expect(readEvents(a).events.length).toBeLessThanOrEqual(Array.isArray(a) ? a.length : 1);
          expect(readEvents([b, { ...HEAD, ...b }]).invalid).toBeLessThanOrEqual(2);
        },
      ),
      { seed, numRuns: 300 },
    );
  });
});

describe("events of a task's own", () => {
  test("fields become the inside of an object", () => {
    expect(encodeOwnEvent("task-progress", { done: 0.5, note: "ü\n" })).toBe(`,"done":0.5,"note":"ü\\n"`);
    expect(encodeOwnEvent("task-progress", {})).toBe("");
  });

  test.each(["worker-online", "task-", "progress", "task-a b", `task-${"x".repeat(200)}`])(
    "%s is no type",
    (type) => {
      expect(() => encodeOwnEvent(type, {})).toThrow(/"task-" and a name/);
    },
  );

  test("fields that every event has cannot be given", () => {
    expect(() => encodeOwnEvent("task-x", { clock: 1 })).toThrow(/the field clock is filled in/);
  });

  test("a value that cannot travel is named", () => {
    expect(() => encodeOwnEvent("task-x", { call: () => 1 })).toThrow(EncodeError);
  });
});
