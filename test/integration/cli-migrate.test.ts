/** Tasks leave a SQLite file for Redis. */
import { Redis } from "ioredis";
import { Celery } from "petiole";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { type SqliteRig, sqliteRig } from "../support/sqlite-rig.ts";
import { CliProcess, petioleRun } from "./cli-support.ts";

let redis: RedisServer;
let admin: Redis;
let rig: SqliteRig;
let app: Celery;

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.port);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await admin.flushall();
  rig = await sqliteRig();
  app = new Celery("m", { brokerUrl: rig.url, logger: silentLogger });
});
afterEach(async () => {
  await app.close();
  await rig.stop();
});

const migrate = async (...words: readonly string[]): Promise<Record<string, unknown>> => {
  const all = ["migrate", rig.url, `${redis.url}/0`, "-t", "0.1", "--json", ...words];
  const { code, out, err } = await petioleRun(all, { cwd: process.cwd() });
  if (code !== 0) throw new Error(`${code}: ${err}`);
  return JSON.parse(out) as Record<string, unknown>;
};
const left = (): number =>
  Number(rig.raw().prepare("SELECT count(*) AS n FROM petiole_messages").get()?.["n"]);
/** Ids of a list of Redis, next out first. */
async function ids(list: string): Promise<unknown[]> {
  const raws = (await admin.lrange(list, 0, -1)).toReversed();
  return raws.map((raw) => (JSON.parse(raw) as { headers: { id: unknown } }).headers.id);
}
const send = (id: string, options: object = {}, name = "m.a"): Promise<unknown> =>
  app.sendTask(name, [1], { taskId: id, ...options });

test("waiting and parked tasks move, in their order, with queue, priority and ETA", async () => {
  const many = Array.from({ length: 1203 }, (_, i) => `t${i}`);
  for (const id of many) void send(id);
  await send("low", { priority: 9 });
  await send("other", { queue: "mail" });
  await send("parked", { countdown: 3600 });
  // As a worker leaves it.
  rig.raw().exec('UPDATE petiole_messages SET state = 2, due = 4e12 WHERE raw LIKE \'%"id":"parked"%\'');
  rig
    .raw()
    .exec(
      "INSERT INTO petiole_messages (queue, step, state, pos, raw) VALUES ('celery.dead', 0, 0, 1, 'no task')",
    );
  expect(await migrate("-a")).toEqual({ migrated: 1206, parked: 1, held: 0, moved: true });
  expect(await ids("celery")).toEqual([...many, "parked"]);
  expect(await ids("celery\x06\x169")).toEqual(["low"]);
  expect(await ids("mail")).toEqual(["other"]);
  const [parked = ""] = await admin.lrange("celery", 0, 0);
  expect(Date.parse((JSON.parse(parked) as { headers: { eta: string } }).headers.eta)).toBeGreaterThan(
    Date.now(),
  );
  expect(left()).toBe(1);
});

test("without -a they are copied; names, queues and numbers choose", async () => {
  await send("a1");
  await send("b1", {}, "m.b");
  await send("a2");
  await send("m1", { queue: "mail" });
  expect(await migrate("-T", "m.a", "-Q", "celery:fresh", "-n", "1")).toMatchObject({
    migrated: 1,
    moved: false,
  });
  expect([await ids("fresh"), await ids("mail"), left()]).toEqual([["a1"], [], 4]);
  expect(await migrate("-a", "-T", "m.a", "-Q", "celery:fresh,mail")).toMatchObject({
    migrated: 3,
    moved: true,
  });
  expect([await ids("fresh"), await ids("mail"), left()]).toEqual([["a1", "a1", "a2"], ["m1"], 1]);
});

test("with -F it goes on, and says at Ctrl-C what it has moved", async () => {
  const words = ["migrate", "-a", "-F", "-t", "0.01", rig.url, `${redis.url}/0`, "--json"];
  const forever = new CliProcess(words, { cwd: process.cwd() });
  try {
    for (const id of ["first", "second"]) {
      await send(id);
      await eventually(`${id} is moved`, async () => (await ids("celery")).includes(id));
    }
    forever.kill("SIGINT");
    const { code, out, err } = await forever.ended;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toEqual({ migrated: 2, parked: 0, held: 0, moved: true });
    expect(left()).toBe(0);
  } finally {
    forever.kill("SIGKILL");
  }
});

test("a destination that is not there: nothing is lost, and the message says why", async () => {
  await send("a1");
  const words = ["migrate", "-a", rig.url, "redis://127.0.0.1:1/0"];
  const { code, err } = await petioleRun(words, { cwd: process.cwd() });
  expect([code, left()]).toEqual([69, 1]);
  expect(err).toContain("127.0.0.1:1");
  const refused = await petioleRun(["migrate", `${redis.url}/0`, rig.url], { cwd: process.cwd() });
  expect([refused.code === 0, refused.err]).toEqual([false, expect.stringContaining("out of sqlite://")]);
});
