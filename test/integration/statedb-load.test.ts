/** What a worker reads of Redis at its start, and writes at a checkpoint, when it is a lot. */
import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { decodeRevokedBlob } from "../../src/statedb/blob.ts";
import { openStateDb } from "../../src/statedb/index.ts";
import { writeBlob } from "../../src/statedb/redis/blob-store.ts";
import type { StateDb, StateDbOptions } from "../../src/statedb/state-db.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const blobKey = "app:state:w1@host:zrevoked";

let server: RedisServer;
let redis: Redis;
let opened: StateDb[];

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port);
});
beforeEach(async () => {
  opened = [];
  await redis.flushall();
});
afterEach(async () => {
  await Promise.all(opened.map((db) => db.stop()));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function worker(options: Partial<StateDbOptions> = {}): Promise<StateDb> {
  const db = await openStateDb({
    url: server.url,
    node: "w1@host",
    prefix: "app:state:",
    ttlSeconds: null,
    shared: true,
    clock: systemClock,
    logger: silentLogger,
    clientName: "statedb",
    ...options,
  });
  opened.push(db);
  await db.start(new AbortController().signal);
  return db;
}

async function blobIds(): Promise<readonly string[]> {
  const blob = await redis.getBuffer(blobKey);
  return [...(await decodeRevokedBlob(blob ?? Buffer.alloc(0))).members.keys()];
}

test("our own blob is not read again; of another, or when the sets have lost something, it is", async () => {
  const first = await worker();
  await first.revoke({ ids: ["a", "b"], stamps: [] });
  await first.checkpoint({
    ids: new Map([
      ["a", 2],
      ["b", 1],
    ]),
    clock: 1,
  });
  await first.stop();
  const sum = (await redis.get(`${blobKey}_sum`)) ?? "";
  const damaged = Buffer.from("if this were read it would be set aside");
  const sha = createHash("sha1").update(damaged).digest("hex");
  const blob = (await redis.getBuffer(blobKey)) ?? "";
  await redis.mset(blobKey, damaged, `${blobKey}_sum`, `${sha} 2`);
  const second = await worker();
  expect([...(await second.load(10)).ids.keys()]).toEqual(["a", "b"]);
  expect(await redis.exists(`${blobKey}_corrupt`)).toBe(0);
  await second.checkpoint({ ids: new Map([["a", 2]]), clock: 1 });
  expect(await blobIds()).toEqual(["a"]);
  await second.stop();
  await redis.mset(blobKey, blob, `${blobKey}_sum`, sum);
  await redis.del("app:state:w1@host:revoked", "app:state:shared:revoked");
  expect([...(await (await worker()).load(10)).ids.keys()].sort()).toEqual(["a", "b"]);
});

test("other work has its turn while a checkpoint of many ids is written", async () => {
  const ids = new Map(Array.from({ length: 50_000 }, (_, n) => [`id-${n}`, 50_000 - n] as const));
  let turns = 0;
  let done = false;
  const count = (): void => {
    turns += 1;
    if (!done) setImmediate(count);
  };
  count();
  const { bytes, sum } = await writeBlob(ids);
  done = true;
  expect(turns).toBeGreaterThanOrEqual(50);
  expect(sum.endsWith(" 50000")).toBe(true);
  expect((await decodeRevokedBlob(bytes)).members.size).toBe(50_000);
});

test("what is only the worker's own is loaded beside what is shared, oldest first", async () => {
  const alone = await worker({ shared: false });
  const member = async (from: number): Promise<void> => {
    await redis.zadd("app:state:shared:revoked", from, `shared-${from}`, from + 2, `both-${from}`);
    await redis.zadd("app:state:w1@host:revoked", from + 1, `own-${from}`, from + 2, `both-${from}`);
  };
  await member(1000);
  await member(2000);
  await alone.stop();
  const names = [1000, 2000].flatMap((from) => [`shared-${from}`, `own-${from}`, `both-${from}`]);
  for (const ttlSeconds of [null, 3e9]) {
    const db = await worker({ ttlSeconds });
    expect([...(await db.load(10)).ids.keys()]).toEqual(names);
    expect(await db.load(4)).toMatchObject({ complete: false });
    expect([...(await db.load(2)).ids.keys()]).toEqual(names.slice(-2));
    await db.stop();
  }
});

test("over a unix socket, too", async () => {
  const db = await worker({ url: `unix://${server.socketPath}?virtual_host=0` });
  await db.revoke({ ids: ["a"], stamps: [] });
  expect(await redis.zrange("app:state:w1@host:revoked", "0", "-1")).toEqual(["a"]);
  expect([...(await (await worker()).load(10)).ids.keys()]).toEqual(["a"]);
});
