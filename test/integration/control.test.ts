/** `app.control` and workers of ours, over both transports: who answers, what is left behind, how workers find each other. */
import { randomUUID } from "node:crypto";
import { type AsyncResult, Celery, type Logger } from "petiole";
import { Worker, type WorkerOptions } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { bestOf } from "../support/best-of.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { LogKeeper } from "../support/redis-transport.ts";

let server: RedisServer;
let opened: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const close of opened.toReversed()) await close();
  opened = [];
});

/** Opens the gate of every task that waits in this process. */
let gates: (() => void)[] = [];

function makeApp(url: string, logger: Logger = silentLogger): Celery {
  const backend = url.startsWith("memory:") ? url.replace("memory:", "cache+memory:") : `${url}/1`;
  const app = new Celery("control", {
    brokerUrl: url.startsWith("memory:") ? url : `${url}/0`,
    resultBackend: backend,
    logger,
  });
  app.task("c.add", (x: number, y: number) => x + y);
  app.task("c.hold", async () => new Promise<void>((resolve) => gates.push(resolve)));
  app.task(
    "c.obeys",
    { bind: true },
    (task) =>
      new Promise<never>((_, reject) => {
        task.signal.addEventListener("abort", () => reject(task.signal.reason as Error));
      }),
  );
  opened.push(() => app.close());
  return app;
}

async function start(app: Celery, options: WorkerOptions): Promise<Worker> {
  const worker = new Worker(app, { concurrency: 2, ...options });
  opened.push(() => worker.stop({ how: "cold" }));
  await worker.start();
  return worker;
}

describe.each(["memory", "redis"])("over %s", (kind) => {
  let url = "";
  let app: Celery;
  beforeEach(async () => {
    gates = [];
    if (kind === "redis") await server.command("FLUSHALL");
    url = kind === "redis" ? server.url : `memory://${randomUUID()}`;
    app = makeApp(url);
  });
  const pidboxKeys = async (): Promise<string> => (kind === "redis" ? server.command("KEYS", "*reply*") : "");

  test("a paused queue waits for all workers, and goes on when it is resumed", async () => {
    await start(makeApp(url), { hostname: "a@host", queues: ["celery", "mail"] });
    await start(makeApp(url), { hostname: "b@host", queues: ["celery", "mail"] });
    const from = Date.now();
    await app.control.pauseQueue("mail");
    const mail = await app.sendTask("c.add", [1, 2], { queue: "mail" });
    const others = Array.from({ length: 20 }, (_, i) => app.sendTask("c.add", [i, 1]));
    for (const other of await Promise.all(others)) await other.get({ timeout: 10 });
    expect(await mail.state()).toBe("PENDING");
    const [paused] = await app.control.pausedQueues();
    expect(paused?.queue).toBe("mail");
    expect(Math.abs((paused?.since.getTime() ?? 0) - from)).toBeLessThan(10_000);
    await app.control.resumeQueue(["mail"]);
    expect(await mail.get({ timeout: 10 })).toBe(3);
    expect(await app.control.pausedQueues()).toEqual([]);
    await expect(app.control.pauseQueue([])).rejects.toThrow("takes the name of a queue");
    await expect(app.control.resumeQueue("")).rejects.toThrow("app.control.resumeQueue takes the name");
  });

  test("everybody answers, or those who are named, or the first", async () => {
    for (const name of ["a", "b", "c"]) await start(makeApp(url), { hostname: `${name}@host` });
    const pong = { ok: "pong" };
    expect(await app.control.ping({ limit: 3 })).toEqual({ "a@host": pong, "b@host": pong, "c@host": pong });
    const started = performance.now();
    expect(await app.control.ping({ destination: ["b@host"], timeout: 5 })).toEqual({ "b@host": pong });
    expect(Object.keys(await app.control.ping({ limit: 1, timeout: 5 }))).toHaveLength(1);
    // Enough replies end the wait.
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(await app.control.ping({ pattern: "[ac]@*", matcher: "glob", limit: 2 })).toEqual({
      "a@host": pong,
      "c@host": pong,
    });
    expect(await pidboxKeys()).toBe("");
  });

  test("twenty questions at a time are answered, and Node warns of no leak", async () => {
    await start(makeApp(url), { hostname: "a@host" });
    const warnings: Error[] = [];
    const hear = (warning: Error): void => void warnings.push(warning);
    process.on("warning", hear);
    try {
      const asked = Array.from({ length: 20 }, () => app.control.ping({ limit: 1, timeout: 5 }));
      for (const one of await Promise.all(asked)) expect(one).toEqual({ "a@host": { ok: "pong" } });
      expect(warnings).toEqual([]);
    } finally {
      process.off("warning", hear);
    }
  });

  test("nobody there: empty after the timeout, and nothing is left", async () => {
    const started = performance.now();
    expect(await app.control.ping({ timeout: 0.2 })).toEqual({});
    expect(performance.now() - started).toBeGreaterThan(190);
    expect(await app.control.inspect({ timeout: 0.1 }).active()).toEqual({});
    expect(await pidboxKeys()).toBe("");
  });

  test("a command without reply resolves once it is sent", async () => {
    const worker = await start(makeApp(url), { hostname: "a@host" });
    expect(await app.control.rateLimit("c.add", "1/h")).toEqual({});
    expect(await app.control.rateLimit("c.nope", "1/h", { reply: true, limit: 1 })).toEqual({
      "a@host": { error: "unknown task" },
    });
    const one = app.control.inspect({ limit: 1 });
    expect(await one.registered("rate_limit")).toEqual({
      "a@host": ["c.add [rate_limit=1/h]", "c.hold", "c.obeys"],
    });
    expect(await one.activeQueues()).toEqual({
      "a@host": [{ name: "celery", routingKey: "celery", exchange: { name: "celery", type: "direct" } }],
    });
    await app.control.shutdown();
    await eventually("it has stopped", () => worker.state === "stopped");
    expect(worker.state).toBe("stopped");
  });

  test("a running task is seen, is not marked by any worker when it is revoked, and is stopped by terminate", async () => {
    await start(makeApp(url), { hostname: "a@host", queues: ["celery"] });
    await start(makeApp(url), { hostname: "b@host", queues: ["other"] });
    const held: AsyncResult<unknown> = await app.sendTask("c.hold");
    const obeys: AsyncResult<unknown> = await app.sendTask("c.obeys");
    const both = app.control.inspect({ limit: 2 });
    const active = await eventually("both run", async () => {
      const found = (await both.active())["a@host"] ?? [];
      return found.length === 2 && found;
    });
    expect(active.map(({ id }) => id)).toEqual([held.id, obeys.id]);
    expect(active[0]?.timeStart).toBeInstanceOf(Date);
    expect(await both.queryTask(held.id, "nope")).toMatchObject({
      "a@host": { [held.id]: ["active", { id: held.id, name: "c.hold" }] },
      "b@host": {},
    });
    // Worker b has never heard of it, and must not say that it is revoked.
    await held.revoke({ wait: 1 });
    await obeys.revoke({ terminate: true });
    expect((await obeys.outcome({ timeout: 10 })).state).toBe("REVOKED");
    expect(await held.state()).toBe("PENDING");
    for (const open of gates) open();
    expect((await held.outcome({ timeout: 10 })).state).toBe("SUCCESS");
  });

  test("with several workers a task that nobody runs is marked at once", async () => {
    await start(makeApp(url), { hostname: "a@host" });
    await start(makeApp(url), { hostname: "b@host" });
    const id = randomUUID();
    await app.control.revoke(id);
    const outcome = await app.asyncResult(id).outcome({ timeout: 5 });
    expect(outcome.state).toBe("REVOKED");
    const revoked = await app.control.inspect({ limit: 2 }).revoked();
    expect(revoked).toEqual({ "a@host": [id], "b@host": [id] });
  });

  test("a new worker learns what is revoked and what time it is, and is told at once when it is alone", async () => {
    // It would ask for a second.
    const aloneMs = bestOf(900, async () => {
      const from = performance.now();
      const worker = await start(makeApp(url), { hostname: "alone@host" });
      const took = performance.now() - from;
      await worker.stop();
      return took;
    });
    expect(await aloneMs).toBeLessThan(900);
    await start(makeApp(url), { hostname: "a@host" });
    const id = randomUUID();
    await app.control.revoke(id, { reply: true, limit: 1 });
    for (let n = 0; n < 20; n += 1) await app.control.ping({ limit: 1 });
    await start(makeApp(url), { hostname: "b@host" });
    await start(makeApp(url), { hostname: "c@host", withoutMingle: true });
    const inspect = app.control.inspect({ limit: 3 });
    expect(await inspect.revoked()).toEqual({ "a@host": [id], "b@host": [id], "c@host": [] });
    const clocks = await inspect.clock();
    expect(clocks["b@host"]?.clock).toBeGreaterThan(20);
  });

  test("a worker that died and is still bound holds up a start for a second at most", async () => {
    const dead = await makeRaw(url);
    await dead();
    const started = performance.now();
    const worker = await start(makeApp(url), { hostname: "a@host" });
    expect(performance.now() - started).toBeLessThan(2_500);
    expect(worker.state).toBe("running");
  });

  test("two workers of one name are warned of", async () => {
    const log = new LogKeeper();
    const client = makeApp(url, log);
    await start(makeApp(url), { hostname: "a@host" });
    await start(makeApp(url), { hostname: "a@host", withoutMingle: true });
    await client.control.ping({ limit: 2 });
    expect(log.lines.map(({ message }) => message)).toContain(
      "several workers replied under one node name: give each its own with -n",
    );
  });

  test("a closed app controls nothing, and a wait that was open ends", async () => {
    await app.control.ping({ timeout: 0 });
    const waiting = app.control.ping({ timeout: 30 });
    await eventually("it is asked", async () => kind === "memory" || (await pidboxKeys()) !== "");
    await app.close();
    expect(await waiting).toEqual({});
    await expect(app.control.ping()).rejects.toMatchObject({ code: "PET_CLOSED" });
  });

  test("commands of its own are an app's, and are called by broadcast", async () => {
    const own = makeApp(url);
    own.control.command("sum", { type: "inspect", args: ["x", "y"] }, ({ x, y }, { hostname }) => [
      hostname,
      Number(x) + Number(y),
    ]);
    await start(own, { hostname: "a@host" });
    expect(await app.control.broadcast("sum", { x: 1, y: 2 }, { reply: true, limit: 1 })).toEqual({
      "a@host": ["a@host", 3],
    });
  });

  test("purge empties the queues", async () => {
    await app.sendTask("c.add", [1, 2]);
    await app.sendTask("c.add", [1, 2]);
    expect([await app.control.purge(), await app.control.purge()]).toEqual([2, 0]);
  });
});

/** Registers a worker that is not there. */
async function makeRaw(url: string): Promise<() => Promise<void>> {
  const { openTransport } = await import("../../src/transports/index.ts");
  const { DEFAULT_LIMITS } = await import("../../src/protocol/wire.ts");
  const { systemClock } = await import("../../src/base/clock.ts");
  const { built } = await import("../support/built.ts");
  // The memory broker is the build's.
  const { openTransport: open } = (await import(built("transports/index.js"))) as {
    openTransport: typeof openTransport;
  };
  const transport = await open({
    url: url.startsWith("memory:") ? url : `${url}/0`,
    tls: null,
    options: {},
    role: "producer",
    logger: silentLogger,
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    defaultQueue: "celery",
    clientName: null,
  });
  await transport.start(new AbortController().signal);
  await transport.declare([
    { name: "dead@host.celery.pidbox", exchange: "celery.pidbox", type: "fanout", routingKey: "" },
  ]);
  return () => transport.stop();
}

describe("over redis alone", () => {
  beforeEach(async () => {
    await server.command("FLUSHALL");
  });

  test("a worker asks for what it missed while it could not listen", async () => {
    await start(makeApp(server.url), { hostname: "a@host" });
    await start(makeApp(server.url), { hostname: "b@host" });
    const app = makeApp(server.url);
    const id = randomUUID();
    await app.control.revoke(id, { reply: true, destination: ["a@host"] });
    const inspect = app.control.inspect({ limit: 2 });
    expect((await inspect.revoked())["b@host"]).toEqual([]);
    await server.command("CLIENT", "KILL", "TYPE", "pubsub");
    const revoked = await eventually("b knows", async () => {
      const found = await inspect.revoked();
      return (found["b@host"] ?? []).includes(id) && found;
    });
    expect(revoked["b@host"]).toEqual([id]);
  });

  test("a revoked task that waits for its ETA in the broker is dropped when it is due", async () => {
    await start(makeApp(server.url), { hostname: "a@host" });
    const app = makeApp(server.url);
    const result = await app.sendTask("c.add", [1, 2], { countdown: 6 });
    await eventually("it is parked", async () => (await server.command("ZCARD", "unacked_parked")) === "1");
    await result.revoke({ wait: 1 });
    expect(await result.state()).toBe("REVOKED");
    await eventually("it is gone", async () => (await server.command("HLEN", "unacked")) === "0", {
      timeoutMs: 15_000,
    });
    expect((await app.asyncResult(result.id).outcome({ timeout: 5 })).state).toBe("REVOKED");
  });

  test("another exchange is another cluster", async () => {
    const app = makeApp(server.url);
    const other = makeApp(server.url);
    other.conf.controlExchange = "other";
    await start(other, { hostname: "a@host" });
    expect(await app.control.ping({ timeout: 0.2 })).toEqual({});
    const same = makeApp(server.url);
    same.conf.controlExchange = "other";
    expect(await same.control.ping({ limit: 1 })).toEqual({ "a@host": { ok: "pong" } });
  });

  test("workers and clients that write msgpack understand each other", async () => {
    const make = (): Celery => {
      const app = makeApp(server.url);
      app.conf.taskSerializer = "msgpack";
      app.conf.acceptContent = ["msgpack"];
      return app;
    };
    await start(make(), { hostname: "a@host" });
    await start(make(), { hostname: "b@host" });
    const app = make();
    const id = randomUUID();
    await app.control.revoke(id, { reply: true, limit: 2 });
    expect(await app.control.inspect({ limit: 2 }).revoked()).toEqual({ "a@host": [id], "b@host": [id] });
  });
});
