import fc from "fast-check";
import { expect, test } from "vitest";
import {
  compileSubscription,
  compileTopic,
  hears,
  matchesTopic,
} from "../../../../src/transports/memory/topic.ts";
import { cpuMs } from "../../../support/best-of.ts";
import { seed } from "../../../support/seed.ts";

/** kombu's way: a regular expression, with the rest escaped. */
function reference(bindingKey: string, routingKey: string): boolean {
  const words = bindingKey
    .split(".")
    .map((word) =>
      word === "*" ? ".*?[^.]" : word === "#" ? ".*?" : word.replace(/[\\^$.*+?()[\]{}|#/-]/g, "\\$&"),
    );
  return new RegExp(`^${words.join("\\.")}$`, "s").test(routingKey);
}

test("bindings match what kombu's regular expression matches", () => {
  const piece = fc.constantFrom("a", "b", ".", ".", "*", "#", "*.", ".#", "+", "aa");
  const bindingKey = fc.array(piece, { maxLength: 10 }).map((parts) => parts.join(""));
  const routingKey = fc
    .array(fc.constantFrom("a", "b", ".", "*", "#", "+"), { maxLength: 14 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(bindingKey, routingKey, (binding, key) => {
      expect(matchesTopic(compileTopic(binding), key)).toBe(reference(binding, key));
    }),
    { seed, numRuns: 20_000 },
  );
});

test("a pattern made to backtrack costs no more than its length times the key's", () => {
  const pattern = compileTopic(Array.from({ length: 200 }, () => "#").join(".a."));
  const costMs = cpuMs(() => {
    expect(matchesTopic(pattern, "a.".repeat(5_000))).toBe(true);
    expect(matchesTopic(compileTopic(`${"#.".repeat(500)}x`), "a.".repeat(5_000))).toBe(false);
  });
  expect(costMs).toBeLessThan(1_000);
});

test("a subscription's # and * take any run of characters", () => {
  expect(hears(compileSubscription("worker.#"), "worker.a.b")).toBe(true);
  expect(hears(compileSubscription("*"), "a.b")).toBe(true);
  expect(hears(compileSubscription("worker.#"), "task.a")).toBe(false);
});

test("a routing key on one side only is not heard", () => {
  expect(hears(compileSubscription(""), "")).toBe(true);
  expect(hears(compileSubscription("#"), "")).toBe(false);
  expect(hears(compileSubscription(""), "a")).toBe(false);
});
