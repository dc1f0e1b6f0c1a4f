import { expect, test } from "vitest";
import { MemoryResults } from "../../../../src/transports/memory/results.ts";
import type { StoredWrite } from "../../../../src/transports/transport.ts";

function write(key: string, changes: Partial<StoredWrite> = {}): StoredWrite {
  return {
    location: { kind: "memory", name: "" },
    key,
    value: `{"status":"SUCCESS","key":"${key}"}`,
    ttlSeconds: 10,
    keepSuccess: false,
    ...changes,
  };
}

test("expired results do not pile up, read or not", () => {
  const results = new MemoryResults();
  for (let i = 0; i < 50_000; i++) results.write(write(`k${i}`), i);
  // Ten seconds of results at one per millisecond.
  expect(results.size).toBeLessThanOrEqual(10_001);
});

test("a result ends at its time to the millisecond", () => {
  const results = new MemoryResults();
  results.write(write("k"), 1000);
  expect(results.read("k", 10_999)).not.toBeNull();
  expect(results.ttl("k", 6000)).toBe(5);
  expect(results.read("k", 11_000)).toBeNull();
  expect(results.ttl("k", 11_000)).toBe(-2);
});

test("an expired SUCCESS guards nothing", () => {
  const results = new MemoryResults();
  results.write(write("k", { keepSuccess: true }), 0);
  const later = write("k", { keepSuccess: true, value: '{"status":"STARTED"}' });
  results.write(later, 5_000);
  expect(results.read("k", 5_000)).toContain("SUCCESS");
  results.write(later, 10_000);
  expect(results.read("k", 10_000)).toContain("STARTED");
});

test("listeners hear in the order of writing, and nothing after they ended", async () => {
  const results = new MemoryResults();
  const heard: string[] = [];
  const end = results.listen("k", (value) => heard.push(value.toString()));
  for (const value of ["1", "2", "3"]) results.write(write("k", { value }), 0);
  expect(heard).toEqual([]);
  await Promise.resolve();
  expect(heard).toEqual(["1", "2", "3"]);
  results.write(write("k", { value: "4" }), 0);
  end();
  end();
  await Promise.resolve();
  expect(heard).toEqual(["1", "2", "3"]);
  expect(results.listening).toBe(0);
});
