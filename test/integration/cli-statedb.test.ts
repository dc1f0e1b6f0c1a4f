/** `petiole statedb` and `petiole/statedb`: what an operator does to the state of workers. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { installRedisStatedb, purgeOldRevokedTasks } from "../../src/app/statedb/index.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { Celery as SourceCelery } from "../../src/index.ts";
import { openStateDb } from "../../src/statedb/index.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { type Ended, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";

let redis: RedisServer;
let project: Project;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  const settings = `{ brokerUrl: "${redis.url}/0", redisStatedbUrl: "${redis.url}/0", redisStateKeyPrefix: "app:" }`;
  project.write(
    "tasks.mjs",
    `import { Celery } from ${petiole};\nexport const app = new Celery("shop", ${settings});\n`,
  );
  // Revoked an hour ago.
  const old = String(Math.floor(Date.now() / 1000) - 3600);
  const now = String(Math.floor(Date.now() / 1000));
  await redis.command("ZADD", "app:w1@host:revoked", old, "a", now, "b");
  await redis.command("ZADD", "app:w1@host:revoked_stamps", old, '["tenant","x"]');
  await redis.command("ZADD", "app:shared:revoked", old, "a");
});
afterEach(() => project.remove());

const statedb = (...words: readonly string[]): Promise<Ended> =>
  petioleRun(["-A", "tasks.mjs", "statedb", ...words], { cwd: project.dir });

test("list and show say what is kept, as text and as JSON", async () => {
  const text = await statedb("list");
  expect(text).toMatchObject({ code: 0, err: "" });
  expect(text.out).toContain("shared by all workers: 1 ids, 0 stamps");
  expect(text.out).toContain("w1@host: 2 ids, 1 stamps, clock 0, never seen by us");
  expect(JSON.parse((await statedb("list", "--json")).out)).toMatchObject({
    shared: { ids: 1, stamps: 0 },
    workers: [{ node: "w1@host", ids: 2, stamps: 1, clock: 0, blobBytes: 0, seenMs: null, alive: false }],
  });
  const lines = (await statedb("show", "w1@host", "--json")).out.trim().split("\n");
  expect(lines.map((line) => Object.entries(JSON.parse(line) as object)[0])).toEqual([
    ["id", "b"],
    ["id", "a"],
    ["stamp", ["tenant", "x"]],
  ]);
  expect((await statedb("show")).out).toMatch(/^\d{4}-\S+Z {2}a\n$/);
});

test("purge takes out what is old, and needs to be told how old", async () => {
  expect(await statedb("purge")).toMatchObject({
    code: 64,
    err: expect.stringContaining("--older-than 30d"),
  });
  expect((await statedb("purge", "--older-than", "2h")).out).toBe("0 no longer revoked.\n");
  expect(JSON.parse((await statedb("purge", "--older-than", "30m", "--json")).out)).toEqual({ purged: 2 });
  expect(await redis.command("ZRANGE", "app:w1@host:revoked", "0", "-1")).toBe("b");
  expect(await redis.command("EXISTS", "app:shared:revoked")).toBe("0");
});

test("forget-worker shares what a worker revoked, and deletes the rest", async () => {
  expect((await statedb("forget-worker", "w1@host")).out).toBe(
    "w1@host is forgotten; 3 of its revokes are shared now.\n",
  );
  expect(await redis.command("KEYS", "app:w1@host:*")).toBe("");
  expect(await redis.command("ZRANGE", "app:shared:revoked", "0", "-1")).toBe("a\nb");
  expect(await statedb("forget-worker", "w1@host", "--json")).toMatchObject({
    code: 1,
    out: '{"worker":"w1@host","found":false,"merged":0}\n',
  });
});

test("a file is looked at, too", async () => {
  const file = join(project.dir, "w.state");
  const db = await openStateDb({
    url: file,
    node: "w@host",
    prefix: "",
    ttlSeconds: null,
    shared: true,
    clock: systemClock,
    logger: silentLogger,
    clientName: null,
  });
  await db.start(new AbortController().signal);
  await db.revoke({ ids: ["in the file"], stamps: [] });
  await db.stop();
  expect((await statedb("show", "--statedb", file)).out).toContain("in the file");
  expect((await statedb("purge", "--statedb", file, "--older-than", "0")).out).toBe("1 no longer revoked.\n");
  expect(existsSync(`${file}.lock`)).toBe(false);
});

test("from a program: for all workers, for one, of a Redis that is named", async () => {
  const app = new SourceCelery("shop", { brokerUrl: `${redis.url}/0`, logger: silentLogger });
  installRedisStatedb(app, { keyPrefix: "app:" });
  try {
    // No URL anywhere: the broker's.
    expect(await purgeOldRevokedTasks(app, { olderThan: 1800, workerName: "w2@host" })).toBe(0);
    expect(await purgeOldRevokedTasks(app, { olderThan: 1800, redisUrl: `${redis.url}/7` })).toBe(0);
    expect(await purgeOldRevokedTasks(app, { olderThan: 1800, workerName: "w1@host" })).toBe(2);
    expect(await purgeOldRevokedTasks(app, { olderThan: 1800 })).toBe(1);
    await expect(purgeOldRevokedTasks(app, { olderThan: -1 })).rejects.toThrow(/0 or more, not -1/);
  } finally {
    await app.close();
  }
});
