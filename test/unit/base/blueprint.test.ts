import { expect, test } from "vitest";
import { Blueprint, orderSteps, type Step } from "../../../src/base/blueprint.ts";
import { silentLogger } from "../../../src/base/logger.ts";

interface Log {
  readonly events: string[];
}

function step(name: string, requires: readonly string[] = [], extra: Partial<Step<Log>> = {}): Step<Log> {
  return {
    name,
    requires,
    start: async (log) => void log.events.push(`start ${name}`),
    stop: async (log) => void log.events.push(`stop ${name}`),
    ...extra,
  };
}

function blueprint(steps: readonly Step<Log>[]): { log: Log; print: Blueprint<Log> } {
  const log: Log = { events: [] };
  return { log, print: new Blueprint({ name: "test", steps, context: log, logger: silentLogger }) };
}

test("a step starts after those it requires, whatever the order of declaration", () => {
  const ordered = orderSteps([
    step("consumer", ["pool", "broker"]),
    step("broker"),
    step("pool", ["broker"]),
  ]);
  expect(ordered.map((one) => one.name)).toEqual(["broker", "pool", "consumer"]);
});

test("steps stop in the reverse order of their start", async () => {
  const { log, print } = blueprint([step("a"), step("b", ["a"])]);
  await print.start(log, new AbortController().signal);
  await print.stop(log, { graceMs: 0 });
  expect(log.events).toEqual(["start a", "start b", "stop b", "stop a"]);
});

test("a cycle is named", () => {
  expect(() => orderSteps([step("a", ["b"]), step("b", ["a"])])).toThrow("a -> b -> a");
});

test("a missing requirement is named", () => {
  expect(() => orderSteps([step("a", ["nowhere"])])).toThrow("requires nowhere");
});

test("a step that is off is left out, and those that wanted to come after it still start", async () => {
  const { log, print } = blueprint([
    step("events", [], { enabled: () => false }),
    step("consumer", ["events"]),
  ]);
  await print.start(log, new AbortController().signal);
  expect(log.events).toEqual(["start consumer"]);
});

test("a failing start stops what had started, itself included, and is rethrown", async () => {
  const failing = step("b", ["a"], { start: () => Promise.reject(new Error("no port")) });
  const { log, print } = blueprint([step("a"), failing, step("c", ["b"])]);
  await expect(print.start(log, new AbortController().signal)).rejects.toThrow("no port");
  expect(log.events).toEqual(["start a", "stop b", "stop a"]);
});

test("a failing stop does not keep the others from stopping", async () => {
  const { log, print } = blueprint([
    step("a"),
    step("b", [], { stop: () => Promise.reject(new Error("stuck")) }),
  ]);
  await print.start(log, new AbortController().signal);
  await print.stop(log, { graceMs: 0 });
  expect(log.events).toEqual(["start a", "start b", "stop a"]);
});

test("an aborted start goes no further", async () => {
  const abort = new AbortController();
  const first = step("a", [], { start: async () => abort.abort() });
  const { log, print } = blueprint([first, step("b")]);
  await expect(print.start(log, abort.signal)).rejects.toThrow("abort");
  expect(log.events).toEqual([]);
});
