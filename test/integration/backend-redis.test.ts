import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { BackendOptions } from "../../src/backends/backend.ts";
import { RedisBackend } from "../../src/backends/redis/index.ts";
import { loadCodec } from "../../src/codecs/index.ts";
import { DEFAULT_LIMITS, type ResultMeta } from "../../src/protocol/wire.ts";
import { sameStore } from "../../src/transports/transport.ts";
import { meta } from "../conformance/backend/harness.ts";
import { backendOptions } from "../support/backend-options.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, type RedisServer, startRedis } from "../support/redis.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const PREFIX = "celery-task-meta-";

let server: RedisServer;
let opened: RedisBackend[] = [];

beforeAll(async () => {
  server = await startRedis({ aof: true });
});
afterEach(async () => {
  const all = opened;
  opened = [];
  await Promise.all(all.map((backend) => backend.stop()));
  await server.command("FLUSHALL");
});
afterAll(() => server.stop());

function create(changes: Partial<BackendOptions> = {}): RedisBackend {
  const backend = new RedisBackend(
    backendOptions(server.url, {
      retry: { maxRetries: Number.POSITIVE_INFINITY, baseMs: 10, capMs: 200 },
      ...changes,
    }),
  );
  opened.push(backend);
  return backend;
}

async function open(changes?: Partial<BackendOptions>): Promise<RedisBackend> {
  const backend = create(changes);
  await backend.start(new AbortController().signal);
  return backend;
}

function put(backend: RedisBackend, one: ResultMeta): Promise<void> {
  return backend.store(backend.encode(one), null);
}

async function getOne(backend: RedisBackend, id: string): Promise<ResultMeta | null> {
  return (await backend.get([id]))[0] ?? null;
}

/** Calls of a command since the server's start, those inside scripts too. */
async function calls(command: string): Promise<number> {
  const stats = await server.command("INFO", "commandstats");
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, "m").exec(stats)?.[1] ?? 0);
}

function many(count: number, changes: (index: number) => Partial<ResultMeta> = () => ({})): ResultMeta[] {
  return Array.from({ length: count }, (_, i) => meta(`many-${i}`, changes(i)));
}

test("results of one turn share a command, subscriptions too", async () => {
  // Its slow poll does not come in between, however slow the machine is.
  const backend = await open({ clock: new VirtualClock() });
  const watches = many(300).map((one) => backend.watch(one.taskId, () => {}));
  await Promise.all(watches.map((watch) => watch.ready));
  expect(await calls("subscribe")).toBe(1);
  const before = await calls("evalsha");
  await Promise.all(many(300).map((one) => put(backend, one)));
  expect((await calls("evalsha")) - before).toBe(1);
  const unsubscribed = await calls("unsubscribe");
  for (const watch of watches) watch.close();
  await eventually("unsubscribed", async () => (await server.command("PUBSUB", "CHANNELS")) === "");
  expect((await calls("unsubscribe")) - unsubscribed).toBe(1);
});

test("two connections serve any number of watches, gets and stores", async () => {
  const backend = await open({ clientName: "petiole-test" });
  for (let round = 0; round < 5; round++) {
    const metas = many(200, () => ({ result: round }));
    const watches = metas.map((one) => backend.watch(one.taskId, () => {}));
    await Promise.all([
      ...watches.map((watch) => watch.ready),
      ...metas.map((one) => put(backend, one)),
      backend.get(metas.map((one) => one.taskId)),
    ]);
    for (const watch of watches) watch.close();
  }
  const clients = await server.command("CLIENT", "LIST");
  expect(clients.split("\n").filter((line) => line.includes("name=petiole-test")).length).toBe(2);
});

test("the slow poll is one command for all ids that are watched, and none while nothing is", async () => {
  const clock = new VirtualClock();
  const backend = await open({ clock });
  const pollsIn = async (seconds: number): Promise<number> => {
    const before = await calls("evalsha");
    for (let i = 0; i < seconds; i++) {
      clock.advance(1000);
      // Its reply arms the next poll.
      await getOne(backend, "fence");
    }
    return (await calls("evalsha")) - before - seconds;
  };
  expect(await pollsIn(5)).toBe(0);
  const watches = many(700).map((one) => backend.watch(one.taskId, () => {}));
  await Promise.all(watches.map((watch) => watch.ready));
  expect(await pollsIn(5)).toBe(5);
  for (const watch of watches) watch.close();
  expect(await pollsIn(5)).toBe(0);
});

test("a state is handed on once, however often it is polled", async () => {
  const clock = new VirtualClock();
  const backend = await open({ clock });
  const seen: string[] = [];
  const watch = backend.watch("t", (one) => seen.push(one.status));
  await watch.ready;
  await put(backend, meta("t", { status: "STARTED" }));
  for (let i = 0; i < 4; i++) {
    clock.advance(1000);
    await getOne(backend, "fence");
  }
  await put(backend, meta("t"));
  await eventually("told", () => seen.includes("SUCCESS"));
  expect(seen).toEqual(["STARTED", "SUCCESS"]);
  watch.close();
});

test("after a gap all watched results are read at once, the poll is not waited for", async () => {
  const clock = new VirtualClock();
  const [client, worker] = [await open({ clock }), await open()];
  const seen: string[] = [];
  const watches = many(3).map((one) => client.watch(one.taskId, (found) => seen.push(found.taskId)));
  await Promise.all(watches.map((watch) => watch.ready));
  await server.command("CLIENT", "KILL", "TYPE", "pubsub");
  await Promise.all(many(3).map((one) => put(worker, one)));
  await eventually("all told", () => {
    // Runs the reconnect, whose first attempt has no delay.
    clock.advance(0);
    return seen.length >= 3;
  });
  expect(seen.toSorted()).toEqual(["many-0", "many-1", "many-2"]);
  for (const watch of watches) watch.close();
});

test("a server that is over maxmemory keeps results waiting, not lost", async () => {
  const backend = await open();
  await server.command("CONFIG", "SET", "maxmemory", "1");
  let stored = false;
  const storing = put(backend, meta("oom")).then(() => {
    stored = true;
  });
  const refusals = async (): Promise<number> =>
    Number(/errorstat_OOM:count=(\d+)/.exec(await server.command("INFO", "errorstats"))?.[1] ?? 0);
  await eventually("it was refused again and again", async () => (await refusals()) >= 6);
  // With pauses between, not in a busy loop.
  expect(await refusals()).toBeLessThan(30);
  expect(stored).toBe(false);
  await server.command("CONFIG", "SET", "maxmemory", "0");
  await storing;
  expect(await getOne(backend, "oom")).toEqual(meta("oom"));
});

test("what one result is refused for does not hold up the others of its turn", async () => {
  await server.command("ACL", "SETUSER", "narrow", "on", ">pw", "+@all", "~celery-task-meta-ok*", "&*");
  const url = server.url.replace("redis://", "redis://narrow:pw@");
  const backend = await open({ url });
  const writes = ["ok1", "no1", "ok2", "no2", "ok3"].map((id) => backend.encode(meta(id)));
  const outcomes = await Promise.allSettled(writes.map((write) => backend.store(write, null)));
  expect(outcomes.map((one) => one.status)).toEqual([
    "fulfilled",
    "rejected",
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  const refused = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason as Error] : []));
  for (const error of refused) {
    expect(error.name).toBe("BackendError");
    expect(error.message).toContain("celery-task-meta-no");
    expect(error.message).not.toContain("pw");
  }
  expect(await getOne(backend, "ok3")).toEqual(meta("ok3"));
  await server.command("ACL", "DELUSER", "narrow");
});

test("where SUBSCRIBE is refused, results are found by the poll", async () => {
  await server.command("ACL", "SETUSER", "deaf", "on", ">pw", "+@all", "-subscribe", "~*", "&*");
  const backend = await open({ url: server.url.replace("redis://", "redis://deaf:pw@") });
  const other = await open();
  const seen: ResultMeta[] = [];
  const watch = backend.watch("t", (one) => seen.push(one));
  await watch.ready;
  await put(other, meta("t"));
  await eventually("found", () => seen.length > 0, { timeoutMs: 4_000 });
  expect(seen).toEqual([meta("t")]);
  watch.close();
  await server.command("ACL", "DELUSER", "deaf");
});

test("a key that holds something else: a get says so, a store replaces it", async () => {
  const backend = await open();
  await server.command("RPUSH", `${PREFIX}list`, "x");
  await expect(backend.get(["list"])).rejects.toThrow("holds something else");
  await put(backend, meta("list"));
  expect(await getOne(backend, "list")).toEqual(meta("list"));
});

test("keys and channels have the prefix", async () => {
  const backend = await open({ options: { global_keyprefix: "myapp" } });
  const plain = await open();
  const seen: ResultMeta[] = [];
  const watch = backend.watch("t", (one) => seen.push(one));
  await watch.ready;
  await put(plain, meta("t", { result: "other" }));
  await put(backend, meta("t"));
  await eventually("told", () => seen.length > 0);
  expect(seen).toEqual([meta("t")]);
  expect(await server.command("KEYS", "*")).toContain(`myapp_${PREFIX}t`);
  watch.close();
});

test("msgpack results are bytes: read, watched, guarded", async () => {
  await loadCodec("msgpack");
  const changes = { serializer: "msgpack", accept: ["json", "msgpack"] };
  const [worker, client] = [await open(changes), await open(changes)];
  const seen: ResultMeta[] = [];
  const watch = client.watch("t", (one) => seen.push(one));
  await watch.ready;
  const one = meta("t", { result: { bytes: Uint8Array.from([0, 255, 128]), text: "ü" } });
  await put(worker, one);
  await eventually("told", () => seen.length > 0, { timeoutMs: 900 });
  expect(seen[0]?.status).toBe("SUCCESS");
  await put(worker, meta("t", { status: "REVOKED", result: null }));
  const read = await getOne(client, "t");
  expect(read?.status).toBe("SUCCESS");
  expect(Buffer.from((read!.result as { bytes: Uint8Array }).bytes)).toEqual(Buffer.from([0, 255, 128]));
  watch.close();
  // As Python wrote it.
  const python =
    "hqZzdGF0dXOnU1VDQ0VTU6ZyZXN1bHSBoWGSAcCpdHJhY2ViYWNrwKhjaGlsZHJlbsCpZGF0ZV9kb25l2SAyMDI2LTExLTIxVDAwOjUyOjE1LjUzNTY5NyswMDowMKd0YXNrX2lkpHRpZDE=";
  await worker.store({ ...worker.encode(meta("tid1")), value: Buffer.from(python, "base64") }, null);
  expect(await getOne(client, "tid1")).toMatchObject({ status: "SUCCESS", result: { a: [1, null] } });
});

test("a SUCCESS in yaml is kept", async () => {
  const backend = await open();
  const yaml =
    "children: null\ndate_done: '2026-11-21T00:52:17.055082+00:00'\nresult:\n  a:\n  - 1\nstatus: SUCCESS\ntask_id: t\n";
  await server.command("SET", `${PREFIX}t`, yaml);
  await put(backend, meta("t", { status: "REVOKED" }));
  expect(await server.command("GET", `${PREFIX}t`)).toBe(yaml);
});

test("a flushed script cache is no obstacle", async () => {
  const backend = await open();
  await server.command("SCRIPT", "FLUSH");
  await Promise.all([put(backend, meta("a")), backend.get(["b"])]);
  expect(await getOne(backend, "a")).toEqual(meta("a"));
});

test("a value beyond the limit does not leave the server", async () => {
  const backend = await open({ limits: { ...DEFAULT_LIMITS, maxDecompressedBytes: 100_000 } });
  await put(backend, meta("big", { result: "x".repeat(3_000_000) }));
  const sent = async (): Promise<number> =>
    Number(/total_net_output_bytes:(\d+)/.exec(await server.command("INFO", "stats"))?.[1]);
  const before = await sent();
  await expect(backend.get(["big"])).rejects.toThrow("at most 100000 are read");
  expect((await sent()) - before).toBeLessThan(100_000);
});

test("many big values in one get come in several replies", async () => {
  const backend = await open();
  const metas = many(40, (i) => ({ result: `${i}`.padEnd(1_000_000, "x") }));
  await Promise.all(metas.map((one) => put(backend, one)));
  const before = await calls("evalsha");
  expect(await backend.get(metas.map((one) => one.taskId))).toEqual(metas);
  expect((await calls("evalsha")) - before).toBeGreaterThan(2);
});

test("the location is the server's first run id, over restarts too", async () => {
  const [one, two] = [await open(), await open({ url: `${server.url}/1` })];
  const runId = /^run_id:(\S+)/m.exec(await server.command("INFO", "server"))?.[1];
  expect(one.location).toEqual({ kind: "redis", runId, db: 0, selectAllowed: true });
  expect(two.location).toMatchObject({ db: 1 });
  expect(sameStore(one.location, two.location)).toBe(true);
  expect(create().location).toEqual({ kind: "other" });
  await server.restart();
  await put(one, meta("t"));
  const later = /^run_id:(\S+)/m.exec(await server.command("INFO", "server"))?.[1];
  expect(later).not.toBe(runId);
  expect(one.location).toEqual({ kind: "redis", runId, db: 0, selectAllowed: true });
});

test("a wrong password is refused, without the password in the message", async () => {
  await server.command("ACL", "SETUSER", "someone", "on", ">right", "+@all", "~*", "&*");
  const backend = create({ url: server.url.replace("redis://", "redis://someone:wrongsecret@") });
  const failure = await backend.start(new AbortController().signal).then(
    () => null,
    (error: unknown) => error as Error,
  );
  expect(failure?.name).toBe("BackendError");
  expect(failure?.message).not.toContain("wrongsecret");
  await server.command("ACL", "DELUSER", "someone");
});

test("a start that found no server may be tried again", async () => {
  const port = await freePort();
  const backend = create({ url: `redis://127.0.0.1:${port}` });
  await expect(backend.start(new AbortController().signal)).rejects.toThrow(String(port));
  const late = await startRedis({ args: ["--port", String(port)] });
  try {
    await backend.start(new AbortController().signal);
    await put(backend, meta("t"));
    expect(await getOne(backend, "t")).toEqual(meta("t"));
  } finally {
    await backend.stop();
    await late.stop();
  }
});

test("a server that hangs costs a deadline, not a result", async () => {
  const backend = await open({ options: { command_deadline: 0.5 } });
  await server.kill("SIGSTOP");
  const storing = put(backend, meta("hung"));
  const reading = getOne(backend, "never");
  const started = performance.now();
  // Both have met their deadline when the connection was given up.
  await eventually("given up", () => performance.now() - started > 700);
  await server.kill("SIGCONT");
  await storing;
  expect(await reading).toBeNull();
  expect(await getOne(backend, "hung")).toEqual(meta("hung"));
});

test("a server that became a replica keeps results waiting until it is a master again", async () => {
  const backend = await open();
  await server.command("REPLICAOF", "127.0.0.1", String(await freePort()));
  let stored = false;
  const storing = put(backend, meta("t")).then(() => {
    stored = true;
  });
  await eventually("it was refused", async () =>
    /errorstat_READONLY/.test(await server.command("INFO", "errorstats")),
  );
  expect(stored).toBe(false);
  await server.command("REPLICAOF", "NO", "ONE");
  await storing;
  expect(await getOne(backend, "t")).toEqual(meta("t"));
});

test("thousands of stores may share a signal, which ends those that wait", async () => {
  const backend = await open();
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.name);
  process.on("warning", onWarning);
  const abort = new AbortController();
  const store = (one: ResultMeta): Promise<void> => backend.store(backend.encode(one), abort.signal);
  await Promise.all(many(3000).map(store));
  await server.command("CONFIG", "SET", "maxmemory", "1");
  const waiting = Promise.allSettled(many(3000, () => ({ status: "FAILURE" })).map(store));
  abort.abort();
  const outcomes = await waiting;
  expect(outcomes.every((one) => one.status === "rejected")).toBe(true);
  await server.command("CONFIG", "SET", "maxmemory", "0");
  await put(backend, meta("after"));
  expect(warnings).toEqual([]);
  process.off("warning", onWarning);
});

test("stop sends what is waiting first", async () => {
  const [backend, other] = [await open(), await open()];
  const stores = many(1500).map((one) => put(backend, one));
  await backend.stop();
  await Promise.all(stores);
  expect((await other.get(many(1500).map((one) => one.taskId))).every((one) => one !== null)).toBe(true);
});

test("stop without a server ends stores with PET_CLOSED", async () => {
  const own = await startRedis();
  const backend = await open({ url: own.url });
  await own.stop();
  const storing = put(backend, meta("t")).catch((error: unknown) => error);
  await backend.stop();
  expect(await storing).toMatchObject({ code: "PET_CLOSED" });
});

test("connections that are cut all the time: the last state of every task is the stored one", async () => {
  const [backend, other] = [await open(), await open()];
  const stores: Promise<void>[] = [];
  for (let round = 0; round < 20; round++) {
    for (let task = 0; task < 20; task++) {
      const last = round === 19;
      const status = last ? "SUCCESS" : "PROGRESS";
      stores.push(put(backend, meta(`cut-${task}`, { status, result: round, dateDone: null })));
    }
    await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(stores);
  const ids = Array.from({ length: 20 }, (_, task) => `cut-${task}`);
  expect((await other.get(ids)).map((one) => one?.result)).toEqual(ids.map(() => 19));
});
