import { beforeEach, expect, test } from "vitest";
import { LimitedSet } from "../../../src/statedb/limited-set.ts";

/** Seconds since the host's start when the process starts. */
const UPTIME = 5000.25;
let nowMs = 0;

function make(max = 3, expiresMs = 10_000): LimitedSet {
  return new LimitedSet({ max, expiresMs, now: () => nowMs, stamp: () => UPTIME + nowMs / 1000 });
}

beforeEach(() => {
  nowMs = 0;
});

test("a member is there until its time is over", () => {
  const set = make();
  set.add("a");
  nowMs = 9_999;
  expect(set.has("a")).toBe(true);
  nowMs = 10_000;
  expect([set.has("a"), set.entries(), set.size]).toEqual([false, [], 0]);
});

test("adding again starts its life anew, and makes it the newest", () => {
  const set = make(2);
  set.add("a");
  set.add("b");
  nowMs = 6_000;
  set.add("a");
  set.add("c");
  nowMs = 12_000;
  expect([set.has("a"), set.has("b"), set.has("c")]).toEqual([true, false, true]);
});

test("it never holds more than its bound: the oldest leave", () => {
  const set = make(3);
  for (let i = 0; i < 1000; i += 1) set.add(`id${i}`);
  expect([set.size, set.has("id999"), set.has("id997"), set.has("id996")]).toEqual([3, true, true, false]);
});

test("a stamp of this host shortens the life, any other does not", () => {
  const set = make(10);
  // Eight seconds ago by this host's clock; of a host that runs longer; of one that was just started.
  set.add("here", UPTIME - 8);
  set.add("older host", UPTIME + 90_000);
  set.add("younger host", 3.5);
  nowMs = 2_001;
  expect([set.has("here"), set.has("older host"), set.has("younger host")]).toEqual([false, true, true]);
});

test("stamps travel as they came, and are never whole numbers: to Python those are no floats", () => {
  const set = make(10);
  set.add("own");
  set.add("first", 12.5);
  set.add("whole", 20);
  const entries = set.entries();
  expect(entries.map(([member]) => member)).toEqual(["first", "whole", "own"]);
  expect(entries[0]?.[1]).toBe(12.5);
  expect(entries[1]?.[1]).toBeCloseTo(20, 5);
  expect(entries.every(([, stamp]) => !Number.isInteger(stamp))).toBe(true);
});

test("members can be taken out", () => {
  const set = make();
  set.add("a");
  set.add("b");
  expect([set.delete("a"), set.delete("a"), set.has("b")]).toEqual([true, false, true]);
  set.clear();
  expect(set.size).toBe(0);
});

test("ages are read bit by bit: what comes meanwhile is given, what goes is not", () => {
  const set = make(4);
  set.replace(
    new Map([
      ["a", 3],
      ["b", 2],
      ["c", 1],
    ]),
  );
  nowMs = 1_000;
  const ages = set.ages()[Symbol.iterator]();
  expect(ages.next().value).toEqual(["a", 4]);
  set.delete("b");
  set.add("d");
  const rest = [...{ [Symbol.iterator]: () => ages }];
  expect(rest).toEqual([
    ["c", 2],
    ["d", 0],
  ]);
  nowMs = 8_000;
  expect([...set.ages()].map(([member]) => member)).toEqual(["c", "d"]);
});

test("what replaces all leaves nothing of what was, and is held within the bound", () => {
  const set = make(2);
  let dropped = 0;
  set.onDrop = () => {
    dropped += 1;
  };
  set.add("old");
  set.replace(
    new Map([
      ["gone", 11],
      ["a", 3],
      ["b", 2],
      ["c", 1],
    ]),
  );
  expect([["old", "gone", "a", "b", "c"].filter((one) => set.has(one)), dropped]).toEqual([["b", "c"], 1]);
  for (const [, stamp] of set.entries()) expect(Number.isInteger(stamp)).toBe(false);
});
