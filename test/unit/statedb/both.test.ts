import { beforeEach, expect, test } from "vitest";
import { BothStateDbs } from "../../../src/statedb/both.ts";
import { HandDb, NOTHING } from "./hand-db.ts";

const signal = new AbortController().signal;
let main: HandDb;
let file: HandDb;
let both: BothStateDbs;

beforeEach(() => {
  main = new HandDb("redis:");
  file = new HandDb("file:");
  both = new BothStateDbs(main, file);
});

test("what either holds is revoked, with the younger age, oldest first, and the later clock", async () => {
  main.snapshot = {
    ...NOTHING,
    ids: new Map([
      ["both", 50],
      ["main", 10],
    ]),
    stamps: new Map([["s", 1]]),
    clock: 7,
  };
  file.snapshot = {
    ...NOTHING,
    ids: new Map([
      ["file", 30],
      ["both", 20],
    ]),
    clock: 9,
  };
  const { ids, stamps, clock, complete } = await both.load(10);
  expect([...ids]).toEqual([
    ["file", 30],
    ["both", 20],
    ["main", 10],
  ]);
  expect([[...stamps], clock, complete]).toEqual([[["s", 1]], 9, true]);
});

test("no more than asked for, the newest; then, or when one of them has more, it is not all", async () => {
  main.snapshot = { ...NOTHING, ids: new Map([["a", 3]]) };
  file.snapshot = {
    ...NOTHING,
    ids: new Map([
      ["b", 2],
      ["c", 1],
    ]),
  };
  const found = await both.load(2);
  expect([[...found.ids.keys()], found.complete]).toEqual([["b", "c"], false]);
  expect((await both.load(3)).complete).toBe(true);
  file.snapshot = { ...NOTHING, complete: false };
  expect((await both.load(3)).complete).toBe(false);
});

test("a revoke is written when both have it, and is found in either", async () => {
  const release = file.hold();
  let written = false;
  const revoking = both.revoke({ ids: ["a"], stamps: ["s"] }).then(() => {
    written = true;
  });
  await Promise.resolve();
  expect([main.calls, file.calls, written]).toEqual([["revoke a,s"], ["revoke a,s"], false]);
  release();
  await revoking;
  main.ids.add("main");
  file.ids.add("file");
  const found = await both.lookUp({ ids: ["a", "main", "file", "none"], stamps: ["s"] });
  expect([new Set(found.ids), found.stamps]).toEqual([new Set(["a", "main", "file"]), ["s"]]);
  file.away = true;
  await expect(both.revoke({ ids: ["b"], stamps: [] })).rejects.toThrow(/away/);
});

test("the file is opened first: a lock that another has is final, an absent server is not", async () => {
  file.away = true;
  await expect(both.start(signal)).rejects.toThrow(/away/);
  expect([file.calls, main.calls]).toEqual([["start"], []]);
  file.away = false;
  main.away = true;
  await expect(both.start(signal)).rejects.toThrow(/away/);
  expect(main.calls).toEqual(["start"]);
});

test("a checkpoint goes to both, and says whether one is fenced", async () => {
  const ids = new Map([["a", 1]]);
  expect(await both.checkpoint({ ids, clock: 3 })).toBe("done");
  expect([main.checkpoints, file.checkpoints]).toEqual([
    [{ ids: ["a"], clock: 3 }],
    [{ ids: ["a"], clock: 3 }],
  ]);
  file.fenced = true;
  expect(await both.checkpoint({ ids: null, clock: 4 })).toBe("fenced");
});

test("a purge takes out of both; the rest is the shared one's", async () => {
  main.ids.add("a").add("b");
  file.ids.add("a");
  expect(await both.purge({ olderThanSeconds: 0, node: null })).toBe(2);
  expect([main.ids.size, file.ids.size, both.shared, both.location]).toEqual([
    0,
    0,
    true,
    "redis: and file:",
  ]);
  await both.stop();
  expect([main.calls.at(-1), file.calls.at(-1)]).toEqual(["stop", "stop"]);
});
