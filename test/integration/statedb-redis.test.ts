/** The state DB on Redis: what workers share, the name of a worker, and keys that Python reads and writes. */
import { deflateSync } from "node:zlib";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { hostUptimeSeconds, systemClock } from "../../src/base/clock.ts";
import { type Logger, silentLogger } from "../../src/base/logger.ts";
import { decodeRevokedBlob, encodeRevokedBlob } from "../../src/statedb/blob.ts";
import { openStateDb } from "../../src/statedb/index.ts";
import type { Revocations, StateDb, StateDbOptions } from "../../src/statedb/state-db.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

let server: RedisServer;
let redis: Redis;
let opened: StateDb[];
const errors: string[] = [];
const logger: Logger = {
  ...silentLogger,
  error: (_fields: unknown, text?: string) => void errors.push(text ?? ""),
};

beforeAll(async () => {
  server = await startRedis({ aof: true });
  redis = new Redis(server.port);
});
beforeEach(async () => {
  opened = [];
  errors.length = 0;
  await redis.flushall();
});
afterEach(async () => {
  await Promise.all(opened.map((db) => db.stop()));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function create(options: Partial<StateDbOptions> = {}): Promise<StateDb> {
  const db = await openStateDb({
    url: server.url,
    node: "w1@host",
    prefix: "app:state:",
    ttlSeconds: null,
    shared: true,
    clock: systemClock,
    logger,
    clientName: "statedb",
    ...options,
  });
  opened.push(db);
  return db;
}

/** What a follower was told, in order. */
class Told {
  readonly events: string[] = [];
  readonly changes: Revocations[] = [];

  has(event: string): () => boolean {
    return () => this.events.includes(event);
  }

  /** Every id it heard of. */
  get ids(): readonly string[] {
    return this.changes.flatMap(({ ids }) => ids);
  }
}

async function worker(options: Partial<StateDbOptions> = {}): Promise<{ db: StateDb; told: Told }> {
  const db = await create(options);
  const told = new Told();
  db.follow({
    onChange: (revoked) => void told.changes.push(revoked),
    onGap: () => void told.events.push("gap"),
    onAway: () => void told.events.push("away"),
    onRival: () => void told.events.push("rival"),
  });
  await db.start(new AbortController().signal);
  return { db, told };
}

const a: Revocations = { ids: ["a"], stamps: [] };

test("the keys are celery-redis-statedb's", async () => {
  const { db } = await worker();
  const before = Date.now() / 1000;
  await db.revoke({ ids: ["a"], stamps: ['["h","v"]'] });
  await db.checkpoint({ ids: new Map([["a", 0]]), clock: 17 });
  const keys = await redis.keys("app:state:*");
  for (const name of ["revoked", "zrevoked", "clock"]) expect(keys).toContain(`app:state:w1@host:${name}`);
  expect(await redis.zrange("app:state:w1@host:revoked", "0", "-1")).toEqual(["a"]);
  expect(Math.abs(Number(await redis.zscore("app:state:w1@host:revoked", "a")) - before)).toBeLessThan(5);
  expect(await redis.get("app:state:w1@host:clock")).toBe("17");
  expect(await Promise.all(keys.map((key) => redis.ttl(key)))).toEqual(
    keys.map((key) => (key.endsWith("owner") ? 90 : -1)),
  );
});

test("with a time to live the keys end, too", async () => {
  const { db } = await worker({ ttlSeconds: 500 });
  await db.revoke(a);
  await db.checkpoint({ ids: new Map([["a", 0]]), clock: 17 });
  for (const key of ["w1@host:revoked", "w1@host:zrevoked", "w1@host:clock", "shared:revoked"]) {
    expect(await redis.ttl(`app:state:${key}`)).toBeGreaterThan(490);
  }
});

test("what one worker or a client revokes all others hear, and those that start later know", async () => {
  const first = await worker();
  const second = await worker({ node: "w2@host" });
  const client = await create({ node: null });
  await first.db.revoke(a);
  await client.revoke({ ids: ["b"], stamps: ['["h","v"]'] });
  await eventually("both are heard of", () => second.told.ids.includes("b"));
  expect(second.told.ids).toEqual(["a", "b"]);
  expect(second.told.changes.flatMap(({ stamps }) => stamps)).toEqual(['["h","v"]']);
  const third = await worker({ node: "w3@elsewhere" });
  expect([...(await third.db.load(100)).ids.keys()].sort()).toEqual(["a", "b"]);
  expect((await third.db.lookUp({ ids: ["a", "c"], stamps: ['["h","v"]'] })).ids).toEqual(["a"]);
  expect(await redis.exists("app:state:w2@host:revoked")).toBe(0);
});

test("a state that is not shared is the worker's own", async () => {
  const first = await worker({ shared: false });
  await first.db.revoke(a);
  expect(await redis.exists("app:state:shared:revoked")).toBe(0);
  const second = await worker({ node: "w2@host" });
  expect((await second.db.load(10)).ids.size).toBe(0);
  await second.db.revoke({ ids: ["b"], stamps: [] });
  expect([...(await first.db.load(10)).ids.keys()]).toEqual(["a"]);
  expect((await first.db.lookUp({ ids: ["b"], stamps: [] })).ids).toEqual([]);
});

test("prefixes and databases keep apps apart, whatever their characters", async () => {
  const odd = await worker({ prefix: "x[*]?:" });
  const other = await worker({ prefix: "xyz:" });
  const elsewhere = await worker({ prefix: "x[*]?:", url: `${server.url}/3` });
  await odd.db.revoke(a);
  await elsewhere.db.revoke({ ids: ["c"], stamps: [] });
  await eventually("it heard itself", () => odd.told.ids.includes("a"));
  await eventually("it heard itself", () => elsewhere.told.ids.includes("c"));
  expect([odd.told.ids, other.told.ids, elsewhere.told.ids]).toEqual([["a"], [], ["c"]]);
  expect((await odd.db.overview()).nodes.map(({ node }) => node)).toEqual(["w1@host"]);
  expect((await other.db.overview()).nodes).toEqual([]);
});

test("a lost connection is told, and that something may have been missed", async () => {
  const { db, told } = await worker();
  await db.load(10);
  told.events.length = 0;
  await server.command("CLIENT", "KILL", "TYPE", "pubsub");
  await eventually("it is back", told.has("gap"));
  expect(told.events).toEqual(["away", "gap"]);
  await (await create({ node: null })).revoke(a);
  await eventually("it hears again", () => told.ids.includes("a"));
});

test("a store that is away rejects at once, and is told when it is there", async () => {
  const { db, told } = await worker();
  await server.kill();
  await eventually("it is away", told.has("away"));
  await expect(db.revoke(a)).rejects.toMatchObject({ code: "PET_BROKER_UNREACHABLE" });
  told.events.length = 0;
  await server.restart();
  await eventually("it is back", told.has("gap"));
  await db.revoke(a);
  expect([...(await db.load(10)).ids.keys()]).toEqual(["a"]);
});

test("a change that was published and never came is noticed", async () => {
  const { db, told } = await worker();
  await db.load(10);
  told.events.length = 0;
  await redis.incr("app:state:shared:seq");
  await db.checkpoint({ ids: null, clock: 1 });
  expect(told.events).toEqual([]);
  await db.checkpoint({ ids: null, clock: 1 });
  expect(told.events).toEqual(["gap"]);
  // And one that comes after a missing one, at once.
  await db.load(10);
  await redis.incr("app:state:shared:seq");
  await (await create({ node: null })).revoke(a);
  await eventually("the gap is seen", () => told.events.length === 2);
  expect(told.ids).toEqual(["a"]);
});

test("nonsense on the channel is nobody's business", async () => {
  const { db, told } = await worker();
  const channel = (await redis.pubsub("CHANNELS", "app:state:*"))[0] as string;
  for (const text of [
    "",
    "{",
    "[]",
    "null",
    '{"ids":["x"]}',
    '{"seq":"1","ids":["x"]}',
    '{"claimed":1,"token":"t"}',
  ]) {
    await redis.publish(channel, text);
  }
  await redis.publish(channel, '{"seq":1,"ids":["good",7,null,"",{"a":1}],"stamps":"x","__proto__":{"y":1}}');
  await eventually("the last one came", () => told.changes.length > 0);
  expect(told.changes).toEqual([{ kind: "revoked", seq: 1, ids: ["good"], stamps: [] }]);
  await db.revoke(a);
  await eventually("it goes on", () => told.ids.includes("a"));
});

test("of two workers with one name both are told, and the earlier one writes no checkpoint", async () => {
  const first = await worker();
  const second = await worker();
  await eventually("both know", () => first.told.has("rival")() && second.told.has("rival")());
  await second.db.checkpoint({ ids: new Map([["b", 0]]), clock: 5 });
  expect(await first.db.checkpoint({ ids: new Map([["a", 0]]), clock: 99 })).toBe("fenced");
  expect(await redis.get("app:state:w1@host:clock")).toBe("5");
  // A revoke is one all the same.
  await first.db.revoke(a);
  expect([...(await second.db.load(10)).ids.keys()]).toContain("a");
  // It does not take the name back when its connection is made anew.
  await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await eventually("the second is there again", async () => {
    return (await second.db.checkpoint({ ids: null, clock: 6 })) === "done";
  });
  await eventually(
    "and the first",
    async () => (await first.db.checkpoint({ ids: null, clock: 6 })) === "fenced",
  );
});

test("a worker that starts again after a crash is no rival", async () => {
  const first = await worker();
  await first.db.revoke(a);
  // Dead, and its lease stands.
  await redis.set("app:state:w1@host:owner", "host:1:dead", "PX", 80_000);
  await first.db.stop();
  const second = await worker();
  expect(await second.db.checkpoint({ ids: null, clock: 1 })).toBe("done");
  expect(second.told.events).not.toContain("rival");
});

// ---- the blob

const blobKey = "app:state:w1@host:zrevoked";

async function blobIds(): Promise<readonly string[]> {
  const blob = await redis.getBuffer(blobKey);
  return [...(await decodeRevokedBlob(blob ?? Buffer.alloc(0))).members.keys()];
}

function pickled(members: readonly (readonly [string, number])[]): Promise<Uint8Array> {
  return encodeRevokedBlob({ maxlen: 50_000, expires: 10_800, members: new Map(members) });
}

test("a blob of Python's is loaded, written to the journal, and not lost at the next checkpoint", async () => {
  await redis.set(blobKey, Buffer.from(await pickled([["theirs", 12.5]])));
  const { db } = await worker();
  const { ids } = await db.load(100);
  expect([...ids]).toEqual([["theirs", 0]]);
  expect(await redis.zrange("app:state:shared:revoked", "0", "-1")).toEqual(["theirs"]);
  await db.checkpoint({ ids: new Map([["ours", 3]]), clock: 1 });
  // Python wrote in the meantime.
  await redis.set(blobKey, Buffer.from(await pickled([["late", 13.5]])));
  await db.checkpoint({ ids: new Map([["ours", 3]]), clock: 1 });
  expect([...(await blobIds())].sort()).toEqual(["late", "ours"]);
});

test("stamps of another host's clock never make an id old; of a wall clock they say its age", async () => {
  const now = Date.now() / 1000;
  const members = [
    ["uptime of years", 1e8],
    ["uptime of an hour", 3600.5],
    ["wall, an hour ago", now - 3600],
  ] as const;
  await redis.set(blobKey, Buffer.from(await pickled(members)));
  const { db } = await worker();
  const { ids } = await db.load(100);
  expect(ids.get("uptime of years")).toBe(0);
  expect(ids.get("uptime of an hour")).toBe(0);
  expect(Math.round((ids.get("wall, an hour ago") ?? 0) / 100)).toBe(36);
});

test("what we write no Celery takes for expired, however old it is", async () => {
  const { db } = await worker();
  await db.checkpoint({
    ids: new Map([
      ["old", 9e6],
      ["new", 1],
    ]),
    clock: 1,
  });
  const { members, expires } = await decodeRevokedBlob((await redis.getBuffer(blobKey)) ?? Buffer.alloc(0));
  const uptime = hostUptimeSeconds();
  for (const stamp of members.values()) expect(uptime - stamp).toBeLessThan((expires ?? 0) - 3600);
  expect(members.get("old")).toBeLessThan(members.get("new") ?? 0);
});

test.each([
  ["not zlib", Buffer.from("garbage")],
  ["another pickle", deflateSync(Buffer.from("cos\nsystem\n(S'true'\ntR."))],
])("a blob that cannot be read (%s) is kept aside, and said", async (_name, bytes) => {
  await redis.set(blobKey, bytes);
  const { db } = await worker();
  expect((await db.load(10)).ids.size).toBe(0);
  await db.checkpoint({ ids: new Map([["a", 0]]), clock: 1 });
  expect(await redis.getBuffer(`${blobKey}_corrupt`)).toEqual(bytes);
  expect(await blobIds()).toEqual(["a"]);
  expect(errors[0]).toMatch(/cannot be read/);
});

// ---- operators

test("the state of a worker that never came back is found, merged, and removed", async () => {
  const gone = await worker({ node: "pod-1@host", shared: false });
  await gone.db.revoke({ ids: ["a"], stamps: ['["h","v"]'] });
  await gone.db.checkpoint({
    ids: new Map([
      ["a", 0],
      ["only in the blob", 0],
    ]),
    clock: 3,
  });
  const operator = await create({ node: null });
  await expect(operator.forget("pod-1@host", { merge: true })).rejects.toThrow(/stop it first/);
  await gone.db.stop();
  const { told } = await worker();
  expect((await operator.overview()).nodes).toEqual([
    expect.objectContaining({ node: "pod-1@host", ids: 1, stamps: 1, clock: 3, alive: false }),
  ]);
  expect(await operator.forget("pod-1@host", { merge: true })).toEqual({ found: true, merged: 3 });
  expect(await operator.forget("pod-1@host", { merge: true })).toEqual({ found: false, merged: 0 });
  await eventually("workers are told to load anew", told.has("gap"));
  expect((await redis.zrange("app:state:shared:revoked", "0", "-1")).sort()).toEqual([
    "a",
    "only in the blob",
  ]);
  expect(await redis.zrange("app:state:shared:revoked_stamps", "0", "-1")).toEqual(['["h","v"]']);
  expect(await redis.keys("app:state:pod-1@host:*")).toEqual([]);
});

test("a purge counts an id once for each worker, takes it out of blobs, and can be for one worker", async () => {
  for (const node of ["w1@host", "w2@host"]) {
    const { db } = await worker({ node });
    await db.revoke({ ids: ["a", node], stamps: [] });
    await db.checkpoint({
      ids: new Map([
        ["a", 0],
        [node, 0],
      ]),
      clock: 1,
    });
  }
  const client = await create({ node: null });
  await client.revoke({ ids: ["c"], stamps: [] });
  const age =
    "for _, k in ipairs(redis.call('KEYS', '*revoked')) do if redis.call('TYPE', k).ok == 'zset' then redis.call('ZINCRBY', k, -100, 'a') end end";
  await redis.eval(age, 0);
  expect(await client.purge({ olderThanSeconds: 50, node: "w2@host" })).toBe(1);
  expect((await client.lookUp({ ids: ["a"], stamps: [] })).ids).toEqual(["a"]);
  expect(await client.purge({ olderThanSeconds: 50, node: null })).toBe(1);
  expect((await client.lookUp({ ids: ["a", "c"], stamps: [] })).ids).toEqual(["c"]);
  expect(await blobIds()).toEqual(["w1@host"]);
});
