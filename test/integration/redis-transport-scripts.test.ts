/** The scripts by themselves, on a real server: order of steps, repeats, hostile keys, a full server. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import type { RedisArg } from "../../src/redis/connection.ts";
import type { RedisError } from "../../src/redis/errors.ts";
import { type LuaScript, luaScript } from "../../src/redis/scripts.ts";
import { RedisSession } from "../../src/redis/session.ts";
import { parseRedisUrl } from "../../src/redis/url.ts";
import { FETCH } from "../../src/transports/redis/scripts/fetch.lua.ts";
import { BEAT, SWEEP } from "../../src/transports/redis/scripts/lease.lua.ts";
import { ACK, FINISH, MOVE, PARK } from "../../src/transports/redis/scripts/settle.lua.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

let server: RedisServer;
let db: RedisSession;

beforeAll(async () => {
  server = await startRedis();
  db = new RedisSession({
    address: parseRedisUrl(server.url),
    clock: systemClock,
    logger: silentLogger,
    clientName: null,
  });
  await db.start(new AbortController().signal);
});
beforeEach(async () => {
  await db.command("flushall", []);
});
afterAll(async () => {
  db.stop();
  await server.stop();
});

const NODE = "0123456789abcdef";
const SEP = "\x06\x16";
const run = (script: LuaScript, keys: readonly string[], args: readonly RedisArg[]): Promise<unknown> =>
  db.script(script, { keys, args });
const tag = (call: number, index: number): string => `ts1:${NODE}:${call}:${index}`;
const envelope = (id: string, more: object = {}): string =>
  JSON.stringify({
    body: "W1td",
    headers: { id },
    properties: { delivery_tag: id, delivery_info: { exchange: "", routing_key: "q" } },
    ...more,
  });
const sha1 = (text: string): string => createHash("sha1").update(text).digest("hex");

interface FetchOptions {
  readonly n?: number;
  readonly replay?: number;
  readonly budget?: number;
  readonly queues?: readonly string[];
  readonly steps?: readonly number[];
  readonly strict?: boolean;
  readonly maxBytes?: number;
  readonly prefix?: string;
}

interface FetchReply {
  readonly now: number;
  readonly parked: string;
  readonly status: string;
  readonly rest: readonly (string | number)[];
  /** Ids of the messages, in their order. */
  readonly ids: readonly string[];
}

async function fetch(call: number, options: FetchOptions = {}): Promise<FetchReply> {
  const { n = 64, queues = ["q"], steps = [0, 3, 6, 9], prefix = "" } = options;
  const lists = steps.flatMap((step) =>
    queues.map((queue) => `${prefix}${queue}${step === 0 ? "" : `${SEP}${step}`}`),
  );
  const names = [
    "unacked",
    "unacked_index",
    "unacked_lease",
    "unacked_parked",
    "celery.dead",
    `fence:${NODE}`,
    "unacked_paused",
  ];
  const reply = (await run(
    FETCH,
    [...names.map((name) => prefix + name), ...lists],
    [
      `ts1:${NODE}:`,
      call,
      n,
      options.replay ?? n,
      options.budget ?? 4 * 1024 * 1024,
      30,
      SEP,
      86_400_000,
      queues.length,
      options.strict ? "1" : "",
      options.maxBytes ?? 16 * 1024 * 1024,
      prefix,
      ...queues.map((queue) => JSON.stringify(queue)),
    ],
  )) as (string | number)[];
  const rest = reply.slice(4);
  const ids = rest.flatMap((part) => {
    if (typeof part !== "string" || !part.includes('"headers"')) return [];
    const text = part.startsWith("[") ? part.slice(1, part.lastIndexOf(',"",')) : part;
    return [(JSON.parse(text) as { headers: { id: string } }).headers.id];
  });
  return { now: Number(reply[0]), parked: String(reply[1]), status: String(reply[3]), rest, ids };
}

const KEYS = ["unacked", "unacked_index", "unacked_lease"] as const;
const ack = (tags: readonly string[]): Promise<unknown> =>
  run(ACK, [...KEYS, "unacked_started"], ["", ...tags]);
const beat = (tags: readonly string[], leaseS = 30): Promise<unknown> =>
  run(BEAT, ["unacked_index", "unacked_lease"], [leaseS, ...tags]);
const park = (...args: readonly RedisArg[]): Promise<unknown> =>
  run(PARK, [...KEYS, "unacked_parked", "unacked_started"], args);
const move = (of: string, value: string, text: string, end = "r"): Promise<unknown> =>
  run(MOVE, [...KEYS, "unacked_started", "unacked_parked", "q"], [of, sha1(value), text, end]);
const sweep = async (visibilityS = 3600, gateMs = 0, bytes = 1 << 20): Promise<string[]> =>
  (await run(
    SWEEP,
    [...KEYS, "unacked_started", "unacked_sweep"],
    [visibilityS, 1000, gateMs, bytes],
  )) as string[];
const push = (list: string, ...ids: readonly string[]): Promise<unknown> =>
  db.command("lpush", [list, ...ids.map((id) => envelope(id))]);
const value = async (of: string): Promise<string> => String(await db.command("hget", ["unacked", of]));

async function counts(): Promise<Record<string, unknown>> {
  const [list, unacked, index, lease, parked] = await db.pipeline([
    ["llen", "q"],
    ["hlen", "unacked"],
    ["zcard", "unacked_index"],
    ["zcard", "unacked_lease"],
    ["zcard", "unacked_parked"],
  ]);
  return { list, unacked, index, lease, parked };
}

async function failureOf(promise: Promise<unknown>): Promise<RedisError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error)) throw new Error("it did not reject");
  return error as RedisError;
}

describe("FETCH", () => {
  test("takes the oldest, records them as kombu would, with bytes untouched", async () => {
    const odd = `{ "body" : "x", "headers": {"id": "m1"}, "n": 1.50, "properties": {"delivery_tag": 1, "delivery_info": {}} }`;
    await push("q", "m0");
    await db.command("lpush", ["q", odd]);
    await push("q", "m2");
    const reply = await fetch(1, { n: 2 });
    expect(reply.ids).toEqual(["m0", "m1"]);
    expect(reply.status).toBe("1");
    expect(await value(tag(1, 2))).toBe(`[${odd},"","q"]`);
    expect(await counts()).toEqual({ list: 1, unacked: 2, index: 2, lease: 2, parked: 0 });
    const [index, lease] = await db.pipeline([
      ["zscore", "unacked_index", tag(1, 1)],
      ["zscore", "unacked_lease", tag(1, 1)],
    ]);
    expect(Number(index)).toBeCloseTo(reply.now, 3);
    expect(Number(lease) - Number(index)).toBeCloseTo(30, 3);
  });

  test("the same call again takes nothing and answers what it took", async () => {
    await push("q", ...Array.from({ length: 10 }, (_, i) => `m${i}`));
    expect((await fetch(1, { n: 4 })).ids).toEqual(["m0", "m1", "m2", "m3"]);
    const again = await fetch(1, { n: 4 });
    expect([again.status, ...again.ids]).toEqual(["r", "m0", "m1", "m2", "m3"]);
    await ack([tag(1, 2)]);
    expect((await fetch(1, { n: 4 })).ids).toEqual(["m0", "m2", "m3"]);
    expect(await counts()).toMatchObject({ list: 6, unacked: 3 });
  });

  test("a call that may only learn what it took takes nothing, and keeps its late copy from taking anything", async () => {
    expect((await fetch(1, { n: 0, replay: 3 })).ids).toEqual([]);
    await push("q", "m0");
    expect((await fetch(1, { n: 3 })).status).toBe("r");
    expect(await counts()).toMatchObject({ list: 1, unacked: 0 });
    expect((await fetch(2, { n: 3 })).ids).toEqual(["m0"]);
  });

  test("an older call is a repeat too, a call that took nothing is not remembered", async () => {
    expect((await fetch(1)).status).toBe("0");
    await push("q", "m0", "m1");
    expect((await fetch(1, { n: 1 })).ids).toEqual(["m0"]);
    expect((await fetch(3, { n: 1 })).ids).toEqual(["m1"]);
    await push("q", "m2");
    expect((await fetch(2, { n: 1 })).status).toBe("r");
    expect(await counts()).toMatchObject({ list: 1 });
  });

  test("a late copy after a restore takes nothing, and the ack of the lost delivery ends no other", async () => {
    await push("q", "m0", "m1");
    await fetch(1, { n: 2 });
    // Lease over, put back by another worker.
    for (const index of [2, 1])
      await move(tag(1, index), await value(tag(1, index)), envelope(`m${index - 1}`));
    expect(await counts()).toMatchObject({ list: 2, unacked: 0 });
    const late = await fetch(1, { n: 2 });
    expect([late.status, late.ids]).toEqual(["r", []]);
    expect((await fetch(2, { n: 2 })).ids).toEqual(["m0", "m1"]);
    expect(await ack([tag(1, 1), tag(1, 2)])).toEqual([0, 1]);
    expect(await counts()).toMatchObject({ list: 0, unacked: 2 });
  });

  test("n = 0 takes nothing, but a repeat still answers what was taken", async () => {
    await push("q", "m0", "m1");
    await fetch(1, { n: 1 });
    expect((await fetch(1, { n: 0, replay: 1 })).ids).toEqual(["m0"]);
    const none = await fetch(2, { n: 0, replay: 1 });
    expect([none.status, none.ids]).toEqual(["1", []]);
    expect(await counts()).toMatchObject({ list: 1, unacked: 1 });
  });

  test("steps in their order, one message per list and pass inside a step", async () => {
    await push("a", "a0", "a1", "a2");
    await push("b", "b0");
    await push("c", "c0", "c1");
    await push(`b${SEP}3`, "b3");
    const queues = ["a", "b", "c"];
    expect((await fetch(1, { queues })).ids).toEqual(["a0", "b0", "c0", "a1", "c1", "a2", "b3"]);
    await push("a", "a0", "a1");
    await push("b", "b0", "b1");
    expect((await fetch(2, { queues: ["b", "a"], strict: true })).ids).toEqual(["b0", "b1", "a0", "a1"]);
  });

  test("other priority steps and a global key prefix", async () => {
    await push(`app:q${SEP}5`, "m5");
    await push("app:q", "m0");
    const reply = await fetch(1, { steps: [0, 5], prefix: "app:" });
    expect(reply.ids).toEqual(["m0", "m5"]);
    expect(await db.command("hlen", ["app:unacked"])).toBe(2);
    expect(await db.command("hget", ["app:unacked", tag(1, 2)])).toContain('"","q"]');
  });

  test("stops at the byte budget, but takes one message of any size", async () => {
    const big = (id: string): string => envelope(id, { pad: "x".repeat(30_000) });
    for (const id of ["m0", "m1", "m2"]) await db.command("lpush", ["q", big(id)]);
    const first = await fetch(1, { budget: 65_000 });
    expect([first.status, ...first.ids]).toEqual(["1", "m0", "m1"]);
    expect((await fetch(2, { budget: 1000 })).ids).toEqual(["m2"]);
  });

  test("what is no envelope goes to the dead list in the same step, with a line that says why", async () => {
    const bad: [string, string][] = [
      ["", "not a JSON object"],
      ["hello", "not a JSON object"],
      ["5", "not a JSON object"],
      ['{"a":1}', "no properties"],
      ['{"properties":[]}', "no properties.delivery_tag"],
      ['{"properties":{"delivery_tag":null}}', "no properties.delivery_tag"],
      ['{"properties":{"delivery_tag":"t"}}', "no properties.delivery_info"],
      [`{"x":${"[".repeat(5000)}${"]".repeat(5000)}}`, "not a JSON object"],
      [`{"x":"${"y".repeat(70_000)}"}`, "not a message envelope"],
      [`{"delivery_tag":"${"y".repeat(3000)}"}`, "larger than 2000 bytes"],
    ];
    for (const [raw] of bad) await db.command("lpush", ["q", raw]);
    await push("q", "good");
    const normal = await fetch(1, { maxBytes: 2000, n: 1 });
    const told = normal.rest.filter((part) => part !== -1);
    expect(normal.ids).toEqual(["good"]);
    const dead = (await db.command("lrange", ["celery.dead", 0, -1])) as string[];
    expect(dead.length).toBe(bad.length);
    for (const [i, line] of dead.toReversed().entries()) {
      const cut = line.indexOf("\n");
      const header = JSON.parse(line.slice(0, cut)) as {
        queue: string;
        reason: string;
        at: number;
        count: number;
      };
      const expected = (bad[i]?.[0].length ?? 0) > 2000 ? "larger than 2000 bytes" : bad[i]?.[1];
      expect(header).toEqual({ queue: "q", reason: expected, at: Math.floor(normal.now), count: 0 });
      expect(line.slice(cut + 1)).toBe(bad[i]?.[0]);
      expect(told[2 * i]).toBe(expected);
    }
    expect(await counts()).toMatchObject({ list: 0, unacked: 1 });
  });

  test("what begins and ends like an envelope is not parsed here: its consumer finds out at once", async () => {
    const parts = ['{"body":"x"', '"properties":{"delivery_info":{}', '"delivery_tag":"0-1"}}'];
    const broken = parts.join(",oops,");
    await db.command("lpush", ["q", broken, ...parts.map((part) => broken.replace(part, "true"))]);
    const reply = await fetch(1);
    expect(reply.rest.filter((part) => part === "not a JSON object")).toHaveLength(parts.length);
    expect(reply.rest).toContain(broken);
    expect(await counts()).toMatchObject({ list: 0, unacked: 1 });
  });

  test("a hundred bad ones end a call, the next goes on", async () => {
    await db.command("lpush", ["q", ...Array.from({ length: 150 }, (_, i) => `bad ${i}`)]);
    await push("q", "good");
    expect((await fetch(1)).status).toBe("1");
    expect((await fetch(2)).ids).toEqual(["good"]);
    expect(await db.command("llen", ["celery.dead"])).toBe(150);
  });

  test("a list of a wrong type is named, the others are served", async () => {
    await db.command("set", ["a", "text"]);
    await push("b", "b0");
    const reply = await fetch(1, { queues: ["a", "b"] });
    expect(reply.ids).toEqual(["b0"]);
    expect(reply.rest.slice(0, 2)).toEqual([0, 1]);
    expect(reply.rest[2]).toContain("WRONGTYPE");
  });

  test("a paused queue is left alone in every step, and named", async () => {
    await push("a", "a0");
    await push("b", "b0");
    await db.command("zadd", ["unacked_paused", 1, "a"]);
    const reply = await fetch(5, { queues: ["a", "b"] });
    expect(reply.ids).toEqual(["b0"]);
    expect(reply.rest.slice(0, 3)).toEqual([0, 1, ""]);
    expect(await db.command("llen", ["a"])).toBe(1);
    await db.command("zrem", ["unacked_paused", "a"]);
    expect((await fetch(6, { queues: ["a", "b"] })).ids).toEqual(["a0"]);
  });

  test.each(["unacked", "unacked_index", "unacked_lease", "unacked_parked", "celery.dead", `fence:${NODE}`])(
    "a wrong type of %s loses nothing",
    async (key) => {
      await db.command("lpush", ["q", "bad"]);
      await push("q", "m0");
      await db.command(
        key === "unacked_lease" ? "lpush" : "zadd",
        key === "unacked_lease" ? [key, "x"] : [key, 1, "x"],
      );
      const wrong = key.startsWith("unacked_") && key !== "unacked_lease";
      if (wrong) {
        await db.command("del", [key]);
        await db.command("set", [key, "text"]);
      }
      expect((await failureOf(fetch(1))).kind).toBe("wrongtype");
      expect(await db.command("llen", ["q"])).toBe(2);
      await db.command("del", [key, "unacked", "celery.dead"]);
      expect((await fetch(2)).ids).toEqual(["m0"]);
    },
  );

  test("a server that became a replica refuses even when there is nothing to take", async () => {
    const own = await startRedis();
    const session = new RedisSession({
      address: parseRedisUrl(own.url),
      clock: systemClock,
      logger: silentLogger,
      clientName: null,
    });
    await session.start(new AbortController().signal);
    await own.command("REPLICAOF", "127.0.0.1", "1");
    const call = {
      keys: [...KEYS, "p", "d", "f", "z", "q"],
      args: [`ts1:${NODE}:`, 1, 1, 1, 1, 1, SEP, 1, 1, "", 1, "", '"q"'],
    };
    expect((await failureOf(session.script(FETCH, call))).kind).toBe("readonly");
    session.stop();
    await own.stop();
  });
});

describe("PARK and release", () => {
  async function parkOne(call: number, etaS: number, step = 0): Promise<void> {
    await park(tag(call, 1), `ts1:p:${step}:${NODE}:${call}:1`, etaS.toFixed(6), "", "");
  }

  test("a parked message waits under its time, and goes to the front of its list byte for byte", async () => {
    await push(`q${SEP}3`, "later");
    const { now } = await fetch(1, { n: 1 });
    const before = await value(tag(1, 1));
    await parkOne(1, now + 3600, 3);
    expect(await counts()).toEqual({ list: 0, unacked: 1, index: 1, lease: 0, parked: 1 });
    expect(await value(`ts1:p:3:${NODE}:1:1`)).toBe(before);
    const waiting = await fetch(2);
    expect([waiting.ids, Number(waiting.parked).toFixed(3)]).toEqual([[], (now + 3600).toFixed(3)]);
    await db.command("zadd", ["unacked_parked", now - 1, `ts1:p:3:${NODE}:1:1`]);
    await push(`q${SEP}3`, "newer");
    expect((await fetch(3)).ids).toEqual(["later", "newer"]);
    expect(await counts()).toMatchObject({ parked: 0, unacked: 2, index: 2 });
  });

  test("several that are due: the earliest is next out; 64 a call", async () => {
    const ids = Array.from({ length: 70 }, (_, i) => `m${i}`);
    await push("q", ...ids);
    const { now } = await fetch(1, { n: 70 });
    const args = ids.flatMap((_, i) => [
      tag(1, i + 1),
      `ts1:p:0:${NODE}:1:${i + 1}`,
      (now - 1000 + ((i * 37) % 70)).toFixed(6),
      "",
      "",
    ]);
    expect(await park(...args)).toBe(0);
    expect((await fetch(2, { n: 0 })).status).toBe("1");
    expect(await counts()).toMatchObject({ list: 64, parked: 6 });
    const order = [...ids.keys()].sort((a, b) => ((a * 37) % 70) - ((b * 37) % 70)).map((i) => `m${i}`);
    // What a later call releases goes in front of what an earlier one did.
    expect((await fetch(3, { n: 64 })).ids).toEqual([...order.slice(64), ...order.slice(0, 58)]);
  });

  test("parking twice is parking once; what is gone is told", async () => {
    await push("q", "m0");
    const { now } = await fetch(1);
    const args = [tag(1, 1), `ts1:p:0:${NODE}:1:1`, (now + 9).toFixed(6), "", ""];
    expect(await park(...args)).toBe(0);
    expect(await park(...args)).toBe(0);
    expect(await park(tag(9, 9), `ts1:p:0:${NODE}:9:9`, "1", "", "", ...args)).toEqual([0]);
    expect(await counts()).toEqual({ list: 0, unacked: 1, index: 1, lease: 0, parked: 1 });
  });

  test("with a hash only an unchanged value is parked, as the new one", async () => {
    await push("q", "m0");
    const { now } = await fetch(1);
    const old = await value(tag(1, 1));
    const to = `ts1:p:0:${NODE}:1:1`;
    expect(await park(tag(1, 1), to, now + 9, sha1("other"), "new")).toEqual([0]);
    expect(await park(tag(1, 1), to, now + 9, sha1(old), '[{"new":1},"","q"]')).toBe(0);
    expect(await value(to)).toBe('[{"new":1},"","q"]');
  });

  test("one bad parked entry stops nobody: unreadable ones go to the dead list, ones of a wrong list wait, stale ones vanish", async () => {
    await db.command("set", ["wrong", "text"]);
    await db.pipeline([
      [
        "hset",
        "unacked",
        "ts1:p:0:x:1:1",
        "rubbish",
        "no-tag-of-ours",
        '[{},"","q"]',
        "ts1:p:0:x:1:2",
        '[{},"","wrong"]',
      ],
      [
        "zadd",
        "unacked_parked",
        1,
        "ts1:p:0:x:1:1",
        2,
        "no-tag-of-ours",
        3,
        "ts1:p:0:x:1:2",
        4,
        "ts1:p:0:x:1:3",
      ],
    ]);
    await push("q", "m0");
    const reply = await fetch(1);
    expect(reply.ids).toEqual(["m0"]);
    expect(await db.command("llen", ["celery.dead"])).toBe(2);
    expect(await db.command("zrange", ["unacked_parked", 0, -1])).toEqual(["ts1:p:0:x:1:2"]);
    expect(Number(reply.parked) - reply.now).toBeCloseTo(60, 1);
  });

  test("a queue's name may hold any character", async () => {
    const name = 'ü "x",""\\ ,\n';
    await db.command("lpush", [name, envelope("m0")]);
    const { now } = await fetch(1, { queues: [name] });
    await parkOne(1, now - 1);
    expect((await fetch(2, { queues: [name] })).ids).toEqual(["m0"]);
  });
});

describe("ACK, FINISH, MOVE, BEAT, SWEEP", () => {
  test("ACK ends holds, tells which were gone, and is the same a second time", async () => {
    await push("q", "m0", "m1", "m2");
    await fetch(1);
    await db.command("sadd", ["unacked_started", tag(1, 1)]);
    expect(await ack([tag(1, 1), tag(1, 3)])).toBe(0);
    expect(await db.command("scard", ["unacked_started"])).toBe(1);
    expect(await run(ACK, [...KEYS, "unacked_started"], ["1", tag(1, 1), tag(1, 2), "ts1:none"])).toEqual([
      0, 2,
    ]);
    expect(await db.command("exists", [...KEYS, "unacked_started"])).toBe(0);
  });

  test("FINISH stores in another database, publishes, and the connection stays where it was", async () => {
    await push("q", "m0", "m1");
    await fetch(1);
    const keys = [...KEYS, "unacked_started"];
    const args = ["", 2, 1, "1", tag(1, 1), tag(1, 2), "r0", 60, "v0", "r1", 0, "v1"];
    expect(await run(FINISH, keys, args)).toBe(0);
    expect(await db.command("exists", [...KEYS, "r0", "r1"])).toBe(0);
    const read = luaScript(
      "other-db",
      "redis.call('SELECT', 1) return {redis.call('GET', 'r0'), redis.call('TTL', 'r1')}",
    );
    expect(await run(read, [], [])).toEqual(["v0", -1]);
    expect(await run(FINISH, keys, args)).toEqual([0, 1]);
  });

  test("FINISH leaves a stored SUCCESS alone, wherever the word stands in other results", async () => {
    const keys = [...KEYS, "unacked_started"];
    const finish = (text: string, keep = "1"): Promise<unknown> =>
      run(FINISH, keys, ["", 1, "", keep, "t", "r", 60, text]);
    const stored = (): Promise<unknown> => db.command("get", ["r"]);
    await finish('{"status": "RETRY", "result": {"status": "SUCCESS"}}');
    await finish('{"result": 1, "status": "SUCCESS"}');
    expect(await stored()).toContain('"result": 1');
    await finish('{"status": "FAILURE"}');
    expect(await stored()).toContain('"result": 1');
    await finish('{"status": "FAILURE"}', "");
    expect(await stored()).toBe('{"status": "FAILURE"}');
    await db.command("del", ["r"]);
    await db.command("lpush", ["r", "of a wrong type"]);
    await finish('{"status": "FAILURE"}');
    expect(await stored()).toBe('{"status": "FAILURE"}');
  });

  test("MOVE moves once, and only what has not changed", async () => {
    await push("q", "m0");
    await fetch(1);
    const old = await value(tag(1, 1));
    expect(await move(tag(1, 1), "other", "x")).toBe(0);
    expect(await move(tag(1, 1), old, "x", "l")).toBe(1);
    expect(await move(tag(1, 1), old, "x")).toBe(0);
    expect(await counts()).toEqual({ list: 1, unacked: 0, index: 0, lease: 0, parked: 0 });
    await db.command("set", ["q", "text"]);
    await db.command("hset", ["unacked", "t", "v"]);
    expect((await failureOf(move("t", "v", "x"))).kind).toBe("wrongtype");
    expect(await db.command("hget", ["unacked", "t"])).toBe("v");
  });

  test("BEAT renews what is there and tells what is gone", async () => {
    await push("q", "m0", "m1");
    const { now } = await fetch(1);
    await db.pipeline([
      ["zadd", "unacked_index", now - 100, tag(1, 1)],
      ["zadd", "unacked_lease", now - 50, tag(1, 1)],
    ]);
    expect(await beat([tag(1, 1), tag(7, 7), tag(1, 2)], 60)).toEqual([1]);
    const [index, lease] = await db.pipeline([
      ["zscore", "unacked_index", tag(1, 1)],
      ["zscore", "unacked_lease", tag(1, 1)],
    ]);
    expect(Number(index)).toBeGreaterThanOrEqual(now);
    expect(Number(lease) - Number(index)).toBeCloseTo(60, 3);
    expect(await db.command("zcard", ["unacked_lease"])).toBe(2);
  });

  test("SWEEP finds leases that ran out and entries older than the visibility timeout, newest first, and drops orphans", async () => {
    await push("q", "m0", "m1", "m2");
    const { now } = await fetch(1);
    await db.pipeline([
      ["zadd", "unacked_lease", now - 5, tag(1, 1), now - 3, tag(1, 2), now - 9, "orphan"],
      ["hset", "unacked", "young", "v1", "old", "v2"],
      ["zadd", "unacked_index", now - 10, "young", now - 100, "old", now - 100, "orphan2"],
      ["sadd", "unacked_started", tag(1, 2)],
    ]);
    const found = await sweep(60);
    expect(found[1]).toBe("0");
    const rows = Array.from({ length: (found.length - 2) / 4 }, (_, i) => found.slice(2 + 4 * i, 6 + 4 * i));
    expect(rows.map(([of, , started]) => [of, started])).toEqual([
      [tag(1, 2), "1"],
      [tag(1, 1), "0"],
      ["old", "0"],
    ]);
    expect(await db.command("zmscore", ["unacked_lease", "orphan"])).toEqual([null]);
    expect(await db.command("zmscore", ["unacked_index", "orphan2"])).toEqual([null]);
  });

  test("SWEEP keeps to its gate, and to its bytes", async () => {
    expect((await sweep(60, 1000))[1]).toBe("0");
    expect((await sweep(60, 1000))[1]).toBe("");
    await db.pipeline([
      ["hset", "unacked", "a", "x".repeat(100), "b", "x".repeat(100), "c", "x".repeat(100)],
      ["zadd", "unacked_lease", 1, "a", 2, "b", 3, "c"],
    ]);
    const found = await sweep(3600, 0, 150);
    expect([found[1], found[2], found[6], found.length]).toEqual(["1", "c", "b", 10]);
  });
});

describe("a server over maxmemory", () => {
  test("refuses publishing and nothing else", async () => {
    const own = await startRedis();
    const full = new RedisSession({
      address: parseRedisUrl(own.url),
      clock: systemClock,
      logger: silentLogger,
      clientName: null,
    });
    await full.start(new AbortController().signal);
    const kept = db;
    db = full;
    try {
      await push("q", "m0", "m1", "m2", "m3");
      await db.command("lpush", ["q", "bad"]);
      const { now } = await fetch(1, { n: 1 });
      await own.command("CONFIG", "SET", "maxmemory", "1");
      expect((await failureOf(push("q", "no"))).kind).toBe("oom");
      expect((await fetch(2, { n: 3 })).ids).toEqual(["m1", "m2", "m3"]);
      expect((await fetch(3)).rest).toContain("not a JSON object");
      expect(await beat([tag(1, 1)])).toEqual([]);
      expect(await park(tag(2, 1), `ts1:p:0:${NODE}:2:1`, now - 1, "", "")).toBe(0);
      expect((await fetch(4)).ids).toEqual(["m1"]);
      expect((await sweep(60, 1000))[1]).toBe("0");
      expect(await move(tag(2, 2), await value(tag(2, 2)), envelope("m2"))).toBe(1);
      const keys = [...KEYS, "unacked_started"];
      expect(await run(FINISH, keys, ["", 1, 1, "1", tag(2, 3), "r", 60, "v"])).toBe(0);
      expect(await ack([tag(1, 1), tag(4, 1)])).toBe(0);
      expect(await counts()).toMatchObject({ list: 1, unacked: 0 });
    } finally {
      db = kept;
      full.stop();
      await own.stop();
    }
  });
});

describe("FINISH over a stored SUCCESS", () => {
  const packed = (status: string): Buffer =>
    Buffer.concat([
      Buffer.from([0x82, 0xa6]),
      Buffer.from("status"),
      Buffer.from([0xa0 + status.length]),
      Buffer.from(status),
      Buffer.from([0xa6]),
      Buffer.from("result"),
      Buffer.from([0x01]),
    ]);
  const cases: readonly (readonly [string, RedisArg, RedisArg])[] = [
    ["json", '{"status": "SUCCESS", "result": 1}', '{"status": "FAILURE", "result": 1}'],
    ["msgpack", packed("SUCCESS"), packed("FAILURE")],
    ["yaml", "status: SUCCESS\nresult: 1\n", "status: FAILURE\nresult: SUCCESS\n"],
    ["sorted yaml", "result: 1\nstatus: SUCCESS\n", "result: 1\nstatus: FAILURE\n"],
  ];
  const holds = ["unacked", "unacked_index", "unacked_lease", "unacked_started"];

  test.each(cases)("keeps it in %s, and overwrites another state", async (_name, success, failure) => {
    const finish = (): Promise<unknown> =>
      run(FINISH, holds, ["0", 1, "", "1", tag(1, 1), "meta", 60, "new"]);
    await db.command("set", ["meta", success]);
    await finish();
    expect(await db.command("get", ["meta"], "bytes")).toEqual(Buffer.from(success as string));
    await db.command("set", ["meta", failure]);
    await finish();
    expect(await db.command("get", ["meta"])).toBe("new");
  });
});
