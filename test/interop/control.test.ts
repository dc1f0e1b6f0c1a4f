/**
 * Remote control both ways: Python's own `celery inspect|control|status` steers our worker, our command line steers
 * Python's; revokes and mingle in either direction.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Ran } from "./command-lines.ts";
import * as lines from "./command-lines.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet();
});
afterAll(() => fleet?.stop());

const celery = (...words: string[]): Promise<Ran> => lines.celery(fleet, ...words);
const petiole = (...words: string[]): Promise<Ran> => lines.petiole(fleet, ...words);

describe("Python's command line and our worker", () => {
  const node = "ts@control";
  beforeAll(async () => {
    await fleet.worker({ hostname: node, queues: ["ts"], concurrency: 4 });
  });

  test("status, inspect ping and registered", async () => {
    const status = await celery("status");
    expect([status.code, status.out]).toEqual([0, `->  ${node}: OK\n\n1 node online.\n`]);
    const ping = await celery("inspect", "ping", "-d", node);
    expect(ping.out).toBe(`->  ${node}: OK\n        pong\n\n1 node online.\n`);
    const { out } = await celery("inspect", "registered", "-j");
    expect((JSON.parse(out) as Record<string, string[]>)[node]).toContain("demo.whoami");
    const nobody = await celery("inspect", "ping", "-d", "nobody@here");
    expect([nobody.code, nobody.err + nobody.out]).toEqual([
      69,
      expect.stringContaining("No nodes replied within time constraint"),
    ]);
  });

  test("inspect stats, conf, active_queues and report are read by Python", async () => {
    const replies = await fleet.python.value<Record<string, Record<string, Record<string, unknown>>>>(
      `
      i = app.control.inspect([args])
      conf = {node: {name: one[name] for name in ("task_serializer", "broker_password")}
              for node, one in i.conf(with_defaults=True).items()}
      return {"stats": i.stats(), "conf": conf, "report": i.report()}
      `,
      node,
    );
    expect(replies["stats"]?.[node]).toMatchObject({
      pid: process.pid,
      pool: { "max-concurrency": 4 },
      broker: { transport: "redis", hostname: "127.0.0.1" },
    });
    expect(replies["conf"]?.[node]).toMatchObject({ task_serializer: "json", broker_password: null });
    expect(String(replies["report"]?.[node]?.["ok"])).toContain("software -> petiole:");
    const queues = await celery("inspect", "active_queues", "-j");
    expect((JSON.parse(queues.out) as Record<string, { name: string }[]>)[node]?.[0]?.name).toBe("ts");
  });

  test("control rate_limit, pool_grow, add_consumer and cancel_consumer take effect", async () => {
    const limited = await celery("control", "rate_limit", "demo.echo", "7/m", "-d", node);
    expect(limited.out).toBe(`->  ${node}: OK\n        new rate limit set successfully\n`);
    const wrong = await celery("control", "rate_limit", "demo.echo", "abc");
    expect(wrong.out).toContain(
      "Invalid rate limit string: ValueError(\"could not convert string to float: 'abc'\")",
    );
    await celery("control", "pool_grow", "2", "-d", node);
    await celery("control", "add_consumer", "late-queue", "-d", node);
    const { registered, stats } = await fleet.python.value<{
      registered: Record<string, string[]>;
      stats: Record<string, { pool: Record<string, number>; prefetch_count: number }>;
    }>(
      `
      i = app.control.inspect([args])
      return {"registered": i.registered(), "stats": i.stats()}
      `,
      node,
    );
    expect(registered[node]).toContain("demo.echo [rate_limit=7/m]");
    expect([stats[node]?.pool["max-concurrency"], stats[node]?.prefetch_count]).toEqual([6, 6]);
    const ran = await fleet.python.value(
      "return app.send_task('demo.whoami', queue='late-queue').get(timeout=10)",
    );
    expect(ran).toEqual(["ts", node, null]);
    const cancelled = await celery("control", "cancel_consumer", "late-queue", "-d", node);
    expect(cancelled.out).toContain("no longer consuming from late-queue");
    const { out } = await celery("inspect", "active_queues", "-j");
    expect((JSON.parse(out) as Record<string, { name: string }[]>)[node]?.map(({ name }) => name)).toEqual([
      "ts",
    ]);
    await celery("control", "rate_limit", "demo.echo", "0", "-d", node);
  });

  test("a task that Python revokes before it comes does not run, and its result says REVOKED at once", async () => {
    const state = await fleet.python.value(`
      result = app.send_task("demo.record", ("revoked", 1), queue="ts", countdown=2)
      result.revoke()
      try:
          result.get(timeout=10)
      except Exception as error:
          return [type(error).__name__, result.state]
    `);
    expect(state).toEqual(["TaskRevokedError", "REVOKED"]);
    await eventually("the task was due and is gone", async () => (await fleet.unacked()) === 0);
    expect(await fleet.seen("revoked")).toEqual([]);
  });

  test("a task that runs is shown as active, goes on when revoked, and keeps its own result", async () => {
    const id = await fleet.python.value<string>(
      "return app.send_task('demo.hold', ('gate-active',), queue='ts').id",
    );
    await fleet.waiting("gate-active");
    const active = await fleet.python.value<Record<string, Record<string, unknown>[]>>(
      "return app.control.inspect([args]).active()",
      node,
    );
    expect(active[node]).toMatchObject([
      {
        id,
        name: "demo.hold",
        args: ["gate-active"],
        hostname: node,
        acknowledged: true,
        worker_pid: process.pid,
      },
    ]);
    const reply = await fleet.python.value("return app.control.revoke(args, reply=True)", id);
    expect(reply).toEqual([{ [node]: { ok: `tasks {'${id}'} flagged as revoked` } }]);
    await fleet.open("gate-active");
    expect(await fleet.python.value("return AsyncResult(args).get(timeout=10)", id)).toBe("gate-active");
  });

  test("revoke with terminate aborts the signal of a task that runs", async () => {
    const stopped = await fleet.python.value(`
      result = app.send_task("demo.until_aborted", queue="ts")
      while not any(one["id"] == result.id for one in (app.control.inspect(["ts@control"]).active() or {}).get("ts@control", [])):
          pass
      reply = app.control.revoke(result.id, terminate=True, reply=True)
      try:
          result.get(timeout=10)
      except Exception as error:
          return [reply == [{"ts@control": {"ok": "terminate: " + result.id}}], type(error).__name__, str(error)]
    `);
    expect(stopped).toEqual([true, "TaskRevokedError", "terminated"]);
  });

  test("tasks with a stamp that was revoked do not run", async () => {
    const reply = await fleet.python.value(
      "return app.control.revoke_by_stamped_headers({'tenant': ['acme']}, reply=True)",
    );
    expect(reply).toEqual([
      { [node]: { ok: "headers {'tenant': ['acme']} flagged as revoked, but not terminated" } },
    ]);
    const state = await fleet.python.value(`
      sig = app.signature("demo.record", ("stamped", 1), queue="ts")
      sig.stamp(tenant="acme")
      result = sig.apply_async()
      try:
          result.get(timeout=10)
      except Exception as error:
          return type(error).__name__
    `);
    expect([state, await fleet.seen("stamped")]).toEqual(["TaskRevokedError", []]);
  });
});

describe("our command line and Python's worker", () => {
  const node = "py@control";
  beforeAll(async () => {
    await fleet.pythonWorker({ name: node, queues: ["py"], concurrency: 2 });
  });

  test("status, inspect and control speak with it", async () => {
    const status = await petiole("status", "-d", node);
    expect([status.code, status.out]).toEqual([0, `->  ${node}: OK\n\n1 node online.\n`]);
    const ping = await petiole("inspect", "ping", "-d", node);
    expect(ping.out).toBe(`->  ${node}: OK\n        pong\n\n1 node online.\n`);
    const stats = await petiole("inspect", "stats", "-d", node, "-j");
    expect((JSON.parse(stats.out) as Record<string, { pool: object }>)[node]?.pool).toMatchObject({
      "max-concurrency": 2,
    });
    const limited = await petiole("control", "rate_limit", "demo.echo", "7/m", "-d", node);
    expect(limited.out).toBe(`->  ${node}: OK\n        new rate limit set successfully\n`);
    const nobody = await petiole("status", "-d", "nobody@here", "-t", "0.2");
    expect([nobody.code, nobody.err]).toEqual([
      69,
      expect.stringContaining("No nodes replied within time constraint"),
    ]);
  });

  test("both kinds of workers answer app.control, and inspect gives one shape of both", async () => {
    const { app } = fleet;
    expect(await app.control.ping({ limit: 2 })).toEqual({
      [node]: { ok: "pong" },
      "ts@control": { ok: "pong" },
    });
    const held = await app.sendTask("demo.hold", ["gate-both"], { queue: "py" });
    await fleet.waiting("gate-both");
    const active = await app.control.inspect({ destination: [node, "ts@control"] }).active();
    expect(active["ts@control"]).toEqual([]);
    expect(active[node]).toMatchObject([
      { id: held.id, name: "demo.hold", args: ["gate-both"], hostname: node, timeStart: expect.any(Date) },
    ]);
    await held.revoke({ terminate: true, wait: 2 });
    const outcome = await held.outcome({ timeout: 10 });
    expect([outcome.state, "error" in outcome && outcome.error.type]).toEqual([
      "REVOKED",
      "TaskRevokedError",
    ]);
  });

  test("a task that we revoke before it comes does not run there", async () => {
    const { app } = fleet;
    const id = crypto.randomUUID();
    await app.control.revoke(id, { reply: true, destination: [node] });
    await app.sendTask("demo.record", ["revoked-py", 1], { queue: "py", taskId: id });
    const outcome = await app.asyncResult(id).outcome({ timeout: 10 });
    expect([outcome.state, await fleet.seen("revoked-py")]).toEqual(["REVOKED", []]);
  });
});

describe("mingle", () => {
  test("a worker of ours learns at its start what is revoked, from Python's, and the reverse", async () => {
    const { app } = fleet;
    const [one, two] = [crypto.randomUUID(), crypto.randomUUID()];
    await app.control.revoke(one, { reply: true, destination: ["py@control"] });
    await fleet.worker({ hostname: "late-ts@control", queues: ["late-ts"], concurrency: 1 });
    const ours = await app.control.inspect({ destination: ["late-ts@control"] }).revoked();
    expect(ours["late-ts@control"]).toContain(one);
    await app.control.revoke(two, { reply: true, destination: ["late-ts@control"] });
    const late = await fleet.pythonWorker({ name: "late-py@control", queues: ["late-py"], mingle: true });
    // It says that it is ready a moment before it listens.
    const theirs = await eventually("the Python worker answers", async () => {
      const found = await app.control.inspect({ destination: ["late-py@control"] }).revoked();
      return found["late-py@control"];
    });
    expect(theirs).toEqual(expect.arrayContaining([one, two]));
    expect(late.log()).toMatch(/mingle: sync with \d nodes/);
    expect(late.log()).not.toMatch(/ERROR|failed/);
  });
});
