/** Workers and clients with a state DB: a revoke holds whoever was down, and whatever was lost. */
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect as shown } from "node:util";
import { Celery, type CeleryOptions } from "petiole";
import { Worker, type WorkerOptions } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { LogKeeper } from "../support/redis-transport.ts";

let broker: RedisServer;
/** Of its own, so that it can be away. */
let store: RedisServer;
let dir: string;
let opened: (() => Promise<unknown>)[] = [];
let ran: string[] = [];
let release = new AbortController();

beforeAll(async () => {
  [broker, store] = await Promise.all([startRedis(), startRedis({ aof: true })]);
});
beforeEach(async () => {
  await Promise.all([broker.command("FLUSHALL"), store.command("FLUSHALL")]);
  dir = mkdtempSync(join(tmpdir(), "statedb-"));
  ran = [];
  release = new AbortController();
});
afterEach(async () => {
  for (const close of opened.toReversed()) await close();
  opened = [];
  rmSync(dir, { recursive: true, force: true });
  delete process.env["CELERY_WORKER_REVOKES_MAX"];
});
afterAll(async () => {
  await Promise.all([broker.stop(), store.stop()]);
});

function makeApp(settings: CeleryOptions = {}): Celery {
  const app = new Celery("statedb", {
    brokerUrl: `${broker.url}/0`,
    resultBackend: `${broker.url}/1`,
    redisStatedbUrl: store.url,
    logger: silentLogger,
    ...settings,
  });
  app.task("s.note", { bind: true }, (task) => void ran.push(task.request.id));
  app.task("s.wait", { bind: true }, async (task) => {
    ran.push(task.request.id);
    await once(release.signal, "abort");
    return "done";
  });
  opened.push(() => app.close());
  return app;
}

async function start(options: WorkerOptions = {}, settings: CeleryOptions = {}): Promise<Worker> {
  const worker = new Worker(makeApp(settings), { hostname: "w1@host", ...options });
  opened.push(() => worker.stop({ how: "cold" }));
  await worker.start();
  return worker;
}

async function send(app: Celery, count: number, options: object = {}): Promise<readonly string[]> {
  const results = await Promise.all(Array.from({ length: count }, () => app.sendTask("s.note", [], options)));
  return results.map(({ id }) => id);
}

/** As a client of Python's stamps them. */
async function sendStamped(app: Celery, count: number, tenant: string): Promise<readonly string[]> {
  const data = {
    task: "s.note",
    args: [],
    kwargs: {},
    subtask_type: null,
    immutable: false,
    chord_size: null,
  };
  const options = { stamped_headers: ["tenant"], tenant };
  const calls = Array.from({ length: count }, () => app.signatureFrom({ ...data, options }).applyAsync([]));
  return (await Promise.all(calls)).map(({ id }) => id);
}

const textOf = (logger: LogKeeper): string => logger.lines.map(({ message }) => message).join("\n");

const stateOf = (app: Celery, id: string): Promise<string> => app.asyncResult(id).state();

test("what was revoked while all workers were down never runs: ids, lists, stamps", async () => {
  const app = makeApp();
  const ids = await send(app, 50);
  const stamped = await sendStamped(app, 20, "acme");
  const [alive] = await sendStamped(app, 1, "other");
  await app.control.revoke(ids[0] ?? "");
  await app.control.revoke(ids.slice(1));
  await app.control.revokeByStampedHeaders({ tenant: ["acme"] });
  // No worker is there to do it.
  expect(await stateOf(app, ids[49] ?? "")).toBe("REVOKED");
  await Promise.all([start(), start({ hostname: "w2@host" })]);
  await eventually("the other one ran", () => ran.includes(alive ?? ""));
  for (const id of [...ids, ...stamped]) {
    await eventually("it is revoked", async () => (await stateOf(app, id)) === "REVOKED");
  }
  expect(ran).toEqual([alive]);
});

test("a worker that died without a word keeps nobody from marking", async () => {
  const app = makeApp();
  const worker = await start();
  const bindings = "_kombu.binding.celery.pidbox";
  const bound = await broker.command("SMEMBERS", bindings);
  expect(bound).toContain("w1@host");
  await worker.stop();
  await broker.command("SADD", bindings, bound);
  const [plain, terminated] = await send(app, 2);
  await app.control.revoke(plain ?? "");
  expect(await stateOf(app, plain ?? "")).toBe("REVOKED");
  await app.control.terminate([terminated ?? ""], { reply: true, timeout: 0.1 });
  expect(await stateOf(app, terminated ?? "")).toBe("REVOKED");
});

test("what a worker runs a client does not mark", async () => {
  const app = makeApp();
  await start();
  const running = await app.sendTask("s.wait", []);
  await eventually("it runs", () => ran.includes(running.id));
  await app.control.revoke(running.id, { reply: true, limit: 1, timeout: 5 });
  release.abort();
  expect(await running.get({ timeout: 5 })).toBe("done");
});

test("a revoke that a worker acknowledged is known to all that start later, whatever their names", async () => {
  const app = makeApp({ redisStatedbUrl: null });
  const first = await start();
  const reply = await app.control.revoke("a", { reply: true, timeout: 5, limit: 1 });
  expect(reply["w1@host"]).toEqual({ ok: "tasks {'a'} flagged as revoked" });
  expect(await store.command("ZRANGE", "celery:worker:state:w1@host:revoked", "0", "-1")).toBe("a");
  await first.stop();
  await start({ hostname: "other@pod-2" });
  const { "other@pod-2": known } = await app.control.inspect({ timeout: 5, limit: 1 }).revoked();
  expect(known).toEqual(["a"]);
});

test("a running worker follows what a client writes, without a broadcast", async () => {
  await start();
  const elsewhere = makeApp({ brokerUrl: `${broker.url}/5` });
  await elsewhere.control.revoke(["a", "b"]);
  const app = makeApp();
  const heard = await eventually("it has heard", async () => {
    const { "w1@host": known } = await app.control.inspect().revoked();
    return known?.length === 2 && known;
  });
  expect([...heard].sort()).toEqual(["a", "b"]);
});

test("with the shared set switched off a state is its worker's own", async () => {
  const settings = { workerStateDbShared: false };
  const app = makeApp(settings);
  const first = await start({}, settings);
  await app.control.revoke("a", { reply: true, timeout: 5, limit: 1 });
  await first.stop();
  const other = await start({ hostname: "w2@host" }, settings);
  const inspect = app.control.inspect({ timeout: 5, limit: 1 });
  expect((await inspect.revoked())["w2@host"]).toEqual([]);
  await other.stop();
  await start({}, settings);
  expect((await app.control.inspect({ timeout: 5, limit: 1 }).revoked())["w1@host"]).toEqual(["a"]);
});

test("memory holds so many; the store knows the others", async () => {
  process.env["CELERY_WORKER_REVOKES_MAX"] = "5";
  const app = makeApp();
  const ids = await send(app, 30);
  const [alive] = await send(app, 1);
  await app.control.revoke(ids);
  await start();
  await eventually("the other one ran", () => ran.includes(alive ?? ""));
  // And in a worker whose memory overflows while it runs.
  const more = await send(app, 12, { countdown: 3 });
  await Promise.all(more.map((id) => app.control.revoke(id, { reply: true, limit: 1, timeout: 5 })));
  for (const id of [...ids, ...more]) {
    await eventually("it is revoked", async () => (await stateOf(app, id)) === "REVOKED");
  }
  expect(ran).toEqual([alive]);
});

test("while the store is away revokes are queued, the reply says so, and they are written when it is back", async () => {
  const app = makeApp({ redisStatedbUrl: null });
  const logger = new LogKeeper();
  await start({ logger });
  await store.kill();
  await eventually("it is noticed", () => textOf(logger).includes("the state DB is away"));
  const reply = await app.control.revoke("a", { reply: true, timeout: 5, limit: 1 });
  expect(reply["w1@host"]).toEqual({
    ok: "tasks {'a'} flagged as revoked (not in the state DB yet: it cannot be reached, and has it when it is back)",
  });
  await store.restart();
  await eventually("it is written", async () => {
    return (await store.command("ZRANGE", "celery:worker:state:shared:revoked", "0", "-1")) === "a";
  });
});

test("a client whose store is away tells the workers, and says that it is not kept", async () => {
  await start({}, { redisStatedbUrl: null });
  await store.kill();
  const app = makeApp();
  try {
    await expect(app.control.revoke("a")).rejects.toThrow(/the state DB does not have it: .*call again/);
    await eventually("the worker knows", async () => {
      return (await app.control.inspect().revoked())["w1@host"]?.includes("a") ?? false;
    });
  } finally {
    await store.restart();
  }
});

test("policy warn: a worker starts without its store, and takes its state in when it is there", async () => {
  const app = makeApp({ redisStatedbUrl: null });
  const before = makeApp();
  const [id] = await send(app, 1, { countdown: 4 });
  await before.control.revoke(id ?? "");
  await store.kill();
  const logger = new LogKeeper();
  await start({ logger });
  expect(textOf(logger)).toContain("the worker starts without it");
  const [runs] = await send(app, 1);
  await eventually("it runs all the same", () => ran.includes(runs ?? ""));
  await store.restart();
  await eventually("what was revoked is known", async () => {
    return (await app.control.inspect().revoked())["w1@host"]?.includes(id ?? "") ?? false;
  });
  expect(await store.command("ZRANGE", "celery:worker:state:shared:revoked", "0", "-1")).toBe(id);
});

test("policy fail: no start without the store, and no task starts while it is away", async () => {
  const settings = { workerStateDbPolicy: "fail" } as const;
  const app = makeApp({ redisStatedbUrl: null });
  await start({}, settings);
  await store.kill();
  try {
    await expect(start({ hostname: "w2@host" }, settings)).rejects.toThrow(/the state DB .* cannot be used/);
    const [id] = await send(app, 1);
    await eventually("it waits for its turn", async () => {
      const active = (await app.control.inspect().active())["w1@host"] ?? [];
      return active.some((one) => one.id === id);
    });
    expect(ran).toEqual([]);
  } finally {
    await store.restart();
  }
  await eventually("it ran", () => ran.length === 1);
});

test("and a worker that is told to stop meanwhile gives the task back", async () => {
  const settings = { workerStateDbPolicy: "fail" } as const;
  const app = makeApp({ redisStatedbUrl: null });
  const worker = await start({}, settings);
  await store.kill();
  try {
    await send(app, 1);
    await eventually("it was taken", async () => (await broker.command("LLEN", "celery")) === "0");
    await worker.stop();
    expect(await broker.command("LLEN", "celery")).toBe("1");
  } finally {
    await store.restart();
  }
  expect(ran).toEqual([]);
});

test("a file keeps what was revoked, and the clock; beside Redis, too", async () => {
  const file = join(dir, "%n.state");
  const app = makeApp({ redisStatedbUrl: null });
  const options = { statedb: file };
  const settings = { redisStatedbUrl: null };
  const first = await start(options, settings);
  await app.control.revoke("a", { reply: true, timeout: 5, limit: 1 });
  const { "w1@host": clock } = await app.control.inspect({ timeout: 5, limit: 1 }).clock();
  await first.stop();
  expect(readdirSync(dir)).toEqual(["w1.state"]);
  const second = await start(options, settings);
  const inspect = app.control.inspect({ timeout: 5, limit: 1 });
  expect((await inspect.revoked())["w1@host"]).toEqual(["a"]);
  expect((await inspect.clock())["w1@host"]?.clock).toBeGreaterThan(clock?.clock ?? 0);
  await second.stop();
  await start(options);
  await app.control.revoke("b", { reply: true, timeout: 5, limit: 1 });
  expect((await inspect.revoked())["w1@host"]).toEqual(["a", "b"]);
  expect(await store.command("ZRANGE", "celery:worker:state:shared:revoked", "0", "-1")).toBe("b");
});

test("a file is taken over once", async () => {
  const file = join(dir, "old.state");
  writeFileSync(file, '{"petiole":"statedb","version":1}\n{"id":"a","at":1}\n{"stamp":["h",1],"at":1}\n');
  const app = makeApp({ redisStatedbUrl: null });
  const worker = await start({ migrateStatedb: file });
  expect((await app.control.inspect({ timeout: 5, limit: 1 }).revoked())["w1@host"]).toEqual(["a"]);
  expect(await store.command("ZRANGE", "celery:worker:state:shared:revoked", "0", "-1")).toBe("a");
  expect(await store.command("ZRANGE", "celery:worker:state:shared:revoked_stamps", "0", "-1")).toBe(
    '["h",1]',
  );
  expect(existsSync(file)).toBe(false);
  expect(readdirSync(dir)[0]).toMatch(/^old\.state\.migrated\.\d{8}T\d{6}Z$/);
  await worker.stop();
  const again = await start({ migrateStatedb: file });
  await again.stop();
  writeFileSync(file, "\u0000shelve");
  await expect(start({ migrateStatedb: file })).rejects.toThrow(/Python's shelve cannot be read/);
  expect(existsSync(file)).toBe(true);
});

test.each([
  [{ redisStatedb: "redis://localhost:nonsense" }, /cannot be read/],
  [{ statedb: "sentinel://:secret@host/0" }, /^(?!.*secret).*add \?master_name=/],
  [{ statedb: "s3://bucket" }, /is not served/],
  [{ redisStatedb: "/var/lib/state" }, /--redis-statedb takes a URL of Redis/],
  [{ statedb: "/dev/null/x.state" }, /cannot be used: E(?:EXIST|NOTDIR)/],
])("%o ends the start with a clear error", async (options, message) => {
  await expect(start(options, { redisStatedbUrl: null })).rejects.toThrow(message);
});

test("nothing that is logged has the password", async () => {
  await store.command("ACL", "SETUSER", "worker", "on", ">hush", "~*", "&*", "+@all");
  const logger = new LogKeeper();
  const redisStatedb = store.url.replace("//", "//worker:hush@");
  const worker = await start({ redisStatedb }, { logger, redisStatedbUrl: null });
  await store.kill();
  await eventually("it is said", () => textOf(logger).includes("the state DB is away"));
  await worker.stop();
  await store.restart();
  expect(logger.lines.length).toBeGreaterThan(0);
  expect(shown(logger.lines, { depth: 9 })).not.toContain("hush");
});

test("a wrong password is an error whatever the policy", async () => {
  const url = store.url.replace("//", "//nobody:secret@");
  await expect(start({ redisStatedb: url })).rejects.toThrow(/^(?!.*secret).*the state DB/);
});
