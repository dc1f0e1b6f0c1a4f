import { describe, expect, test } from "vitest";
import { RedisKeys } from "../../../../src/transports/redis/keys.ts";
import { readOptions } from "../../../../src/transports/redis/options.ts";
import {
  newestFirst,
  newNode,
  nodePrefix,
  parkedTag,
  parseTag,
} from "../../../../src/transports/redis/tags.ts";

const keys = (options: Record<string, unknown> = {}, db = 0): RedisKeys =>
  new RedisKeys(readOptions(options), db);

describe("keys", () => {
  test("are kombu's where kombu has them", () => {
    expect(keys()).toMatchObject({ unacked: "unacked", index: "unacked_index" });
    expect(keys().lists("celery")).toEqual([
      "celery",
      "celery\x06\x163",
      "celery\x06\x166",
      "celery\x06\x169",
    ]);
    expect(keys().binding("celery")).toBe("_kombu.binding.celery");
    expect(keys({}, 3).channel("celeryev", "")).toBe("/3.celeryev");
    expect(keys({}, 3).channel("celeryev", "worker.#")).toBe("/3.celeryev/worker.#");
    expect(keys({ fanout_patterns: false }).channel("celeryev", "worker.x")).toBe("/0.celeryev");
    expect(keys({ fanout_prefix: "x." }).channel("e", "")).toBe("x.e");
    expect(keys({ fanout_prefix: false }).channel("e", "")).toBe("e");
  });

  test("ours derive from unacked_key, so that two apps in one database stay apart", () => {
    const other = keys({ unacked_key: "mine", unacked_index_key: "mine_idx" });
    expect([other.unacked, other.index, other.lease, other.parked, other.started, other.sweep]).toEqual([
      "mine",
      "mine_idx",
      "mine_lease",
      "mine_parked",
      "mine_started",
      "mine_sweep",
    ]);
    expect(other.fence("n")).toBe("mine_fence:n");
  });

  test("global_keyprefix is in front of every key and channel, without a separator", () => {
    const prefixed = keys({ global_keyprefix: "app:" });
    const all = [
      prefixed.unacked,
      prefixed.index,
      prefixed.lease,
      prefixed.parked,
      prefixed.started,
      prefixed.sweep,
      prefixed.fence("n"),
      prefixed.probe("n"),
      prefixed.dead("q"),
      prefixed.binding("e"),
      prefixed.channel("e", "k"),
      ...prefixed.lists("q"),
    ];
    for (const key of all) expect(key.startsWith("app:")).toBe(true);
    expect(prefixed.channel("celery.pidbox", "")).toBe("app:/0.celery.pidbox");
  });

  test.each([
    [
      [0, 3, 6, 9],
      [0, 0, 0, 3, 3, 3, 6, 6, 6, 9],
    ],
    [
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ],
    [[0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    // Below the first step kombu's index wraps around to the last one.
    [
      [2, 5],
      [5, 5, 2, 2, 2, 5, 5, 5, 5, 5],
    ],
  ])("priority_steps %j", (steps, expected) => {
    const made = keys({ priority_steps: steps });
    expect(expected.map((_, priority) => made.stepOf(priority))).toEqual(expected);
    expect(made.stepOf(-7)).toBe(expected[0]);
    expect(made.stepOf(12)).toBe(expected[9]);
    expect(made.stepOf(Number.NaN)).toBe(expected[0]);
  });
});

describe("tags", () => {
  test("are read back, and strangers' are not", () => {
    const node = newNode();
    const held = `${nodePrefix(node)}12:3`;
    expect(parseTag(held)).toEqual({ step: null, node, call: 12, index: 3 });
    expect(parseTag(parkedTag(6, held))).toEqual({ step: 6, node, call: 12, index: 3 });
    for (const tag of [
      "",
      "e2d3f7a0-0000-4000-8000-000000000000",
      `ts1:${node}:1`,
      `ts2:${node}:1:1`,
      `${held}x`,
    ]) {
      expect(parseTag(tag)).toBeNull();
    }
  });

  test("are longer than the members that Redis keeps in a list", () => {
    expect(`${nodePrefix(newNode())}1:1`.length).toBeGreaterThan(64);
  });

  test("newest first: by call and index as numbers inside a node, nodes and strangers by their newest score", () => {
    const a = "a".repeat(16);
    const b = "b".repeat(16);
    const entries = [
      { tag: `ts1:${a}:9:2`, score: 5 },
      { tag: `ts1:${b}:1:1`, score: 9 },
      { tag: `ts1:${a}:10:1`, score: 5 },
      { tag: "stranger", score: 7 },
      { tag: `ts1:${a}:9:10`, score: 5 },
    ];
    expect(newestFirst(entries).map((one) => one.tag)).toEqual([
      `ts1:${b}:1:1`,
      "stranger",
      `ts1:${a}:10:1`,
      `ts1:${a}:9:10`,
      `ts1:${a}:9:2`,
    ]);
  });
});
