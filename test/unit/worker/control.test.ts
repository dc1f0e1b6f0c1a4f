/** Remote control in a worker whose broker is played by the test. */
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { CONTROL_COMMANDS, ownCommandInfo } from "../../../src/app/control-commands.ts";
import { internalsOf } from "../../../src/app/internals.ts";
import { type ControlRequest, decodeReply, encodeRequest } from "../../../src/protocol/pidbox.ts";
import type { WireMessage } from "../../../src/protocol/wire.ts";
import { isAddressed } from "../../../src/worker/control/address.ts";
import { checkArguments } from "../../../src/worker/control/arguments.ts";
import { CommandError, errorRepr, textRepr } from "../../../src/worker/control/errors.ts";
import { cpuMs } from "../../support/best-of.ts";
import { eventually } from "../../support/eventually.ts";
import { Gate, type Line, message, type RigOptions, turns, WorkerRig } from "./support.ts";

const NODE = "w1@host";
let rig: WorkerRig;
// Read with the first request: here it is there already.
beforeAll(async () => {
  await import("../../../src/worker/control/panel.ts");
});
afterEach(() => rig?.stop());

function make(options: RigOptions = {}): WorkerRig {
  rig = new WorkerRig({ ...options, worker: { hostname: NODE, withoutMingle: true, ...options.worker } });
  return rig;
}

function request(method: string, args: object = {}, given: Partial<ControlRequest> = {}): ControlRequest {
  return {
    method,
    arguments: args as Record<string, unknown>,
    destination: null,
    pattern: null,
    matcher: null,
    ticket: "t1",
    replyTo: { exchange: "reply.celery.pidbox", routingKey: "client" },
    clock: 1,
    expires: 0,
    ...given,
  };
}

function hear(heard: WireMessage): void {
  rig.transport.listeners.get("celery.pidbox")?.(heard);
}

/** The reply; undefined: none. */
async function ask(method: string, args: object = {}, given: Partial<ControlRequest> = {}): Promise<unknown> {
  const { answers } = rig.transport;
  answers.length = 0;
  hear(encodeRequest(request(method, args, given), "json"));
  await turns();
  const [answer] = answers;
  return answer === undefined ? undefined : decodeReply(answer, { accept: ["json"] }).reply;
}

describe("requests", () => {
  test("that cannot be read are dropped, and the next is answered", async () => {
    await make().start();
    const bad = { ...message({ task: "x" }), headers: {} };
    for (const body of ["", "5", "{}", "[".repeat(100_000), '{"method":5}']) {
      hear({ ...bad, body });
    }
    hear({ ...bad, contentType: "application/x-python-serialize" });
    expect(await ask("ping")).toEqual({ ok: "pong" });
    expect(rig.transport.answers).toHaveLength(1);
  });

  test("that cannot be read are said once, in one line, and counted", async () => {
    await make().start();
    const bad = { ...message({ task: "x" }), headers: {}, body: "{}" };
    for (let i = 0; i < 1_000; i += 1) hear(bad);
    await turns();
    const dropped = (): readonly Line[] =>
      rig.logger.lines.filter((line) => line.message === "a remote control request was dropped");
    expect(dropped()).toHaveLength(1);
    expect(dropped()[0]?.fields["reason"]).toMatch(/^[^\n]+$/);
    expect(await ask("ping")).toEqual({ ok: "pong" });
    await rig.stop();
    expect(dropped().map(({ fields }) => fields["suppressed"])).toEqual([undefined, 999]);
  });

  test("that are refused are all answered, and said once", async () => {
    await make().start();
    for (let i = 0; i < 20; i += 1) expect(await ask("nonsense")).toEqual({ error: "KeyError('nonsense')" });
    const said = rig.logger.lines.filter((line) => line.message === "a remote control command failed");
    expect(said.map(({ fields }) => fields)).toEqual([{ method: "nonsense", reason: "nonsense" }]);
  });

  test("for others are not answered, nor those that want no reply or another's queue", async () => {
    await make().start();
    expect(await ask("ping", {}, { destination: ["w2@host"] })).toBeUndefined();
    expect(await ask("ping", {}, { replyTo: null })).toBeUndefined();
    expect(await ask("ping", {}, { replyTo: { exchange: "celery", routingKey: "celery" } })).toBeUndefined();
    expect(await ask("ping", {}, { destination: ["w2@host", NODE] })).toEqual({ ok: "pong" });
  });

  test("adjust the logical clock, which only grows", async () => {
    await make().start();
    await ask("ping", {}, { clock: 500 });
    const { clock } = (await ask("clock", {}, { clock: 3 })) as { clock: number };
    expect(clock).toBeGreaterThan(500);
    expect(await ask("clock", {}, { clock: Number.MAX_VALUE })).toEqual({ clock: expect.any(Number) });
  });

  test("are not heard when remote control is off", async () => {
    await make({ app: { workerEnableRemoteControl: false } }).start();
    expect(await ask("ping")).toBeUndefined();
  });
});

describe("addresses", () => {
  const to = (given: Partial<ControlRequest>): boolean => isAddressed(request("ping", {}, given), NODE);
  test.each([
    [{}, true],
    [{ destination: [] }, true],
    [{ destination: ["w2@host"] }, false],
    [{ pattern: "nothing" }, true],
    [{ pattern: "w*", matcher: "glob" }, true],
    [{ pattern: "w[2-9]@*", matcher: "glob" }, false],
    [{ pattern: "w\\d@.*", matcher: "pcre" }, true],
    [{ pattern: "\\d@.*", matcher: "pcre" }, false],
    [{ pattern: "(?P<n>w)1", matcher: "pcre" }, true],
    [{ pattern: "(?i)W1@HOST\\Z", matcher: "pcre" }, true],
    [{ pattern: "(", matcher: "pcre" }, false],
    [{ pattern: "w1@host", matcher: "perl" }, false],
  ] as const)("%j: %j", (given, expected) => {
    expect(to(given)).toBe(expected);
  });

  test("a pattern that never comes to an end is no match, and holds nobody up", () => {
    const costMs = cpuMs(() => {
      const hostile = "(?:(?:(?:[a-z0-9@]+)+)+)+!";
      expect(isAddressed(request("ping", {}, { pattern: hostile, matcher: "pcre" }), "a".repeat(64))).toBe(
        false,
      );
    });
    expect(costMs).toBeLessThan(2_000);
  });

  test("a pattern cannot reach out of its context", () => {
    const escape = "(' + (globalThis.leaked = 1) + ')";
    to({ pattern: escape, matcher: "pcre" });
    expect((globalThis as { leaked?: number }).leaked).toBeUndefined();
  });
});

describe("errors and arguments are Python's", () => {
  test.each([
    [new CommandError("KeyError", "x"), "KeyError('x')"],
    [new CommandError("TypeError", "it's"), 'TypeError("it\'s")'],
    [new CommandError("ValueError", `'"`), `ValueError('\\'"')`],
    [new RangeError("out"), "ValueError('out')"],
    [new TypeError("no\nway"), "TypeError('no\\nway')"],
    [new Error("plain"), "Exception('plain')"],
    ["text", "Exception('text')"],
  ])("%s", (error, shown) => {
    expect(errorRepr(error)).toBe(shown);
  });

  test("control characters are escaped", () => {
    expect(textRepr("a\\b\t\u0000\u2028é")).toBe("'a\\\\b\\t\\x00\\u2028é'");
  });

  test("missing and unknown arguments", () => {
    const check = (name: string, args: object): (() => void) => {
      const info = CONTROL_COMMANDS.get(name);
      if (info === undefined) throw new Error(name);
      return () => checkArguments(info, args as Record<string, unknown>);
    };
    expect(check("add_consumer", {})).toThrow(
      "add_consumer() missing 1 required positional argument: 'queue'",
    );
    expect(check("rate_limit", {})).toThrow("'task_name' and 'rate_limit'");
    expect(check("autoscale", { max: 1, x: 2 })).toThrow(
      "autoscale() got an unexpected keyword argument 'x'",
    );
    expect(check("ping", { anything: 1 })).not.toThrow();
    const own = { ...ownCommandInfo("own", {}), required: ["a", "b", "c"] };
    expect(() => checkArguments(own, {})).toThrow("arguments: 'a', 'b', and 'c'");
  });

  test.each([
    ["rate_limit", { task_name: "t", rate_limit: "1/d" }, "KeyError('d')"],
    ["rate_limit", { task_name: 5, rate_limit: "1/s" }, "TypeError("],
    ["time_limit", { task_name: "t", soft: "x" }, "TypeError("],
    ["pool_grow", { n: -1 }, "TypeError("],
    ["pool_shrink", { n: 99 }, "ValueError("],
    ["revoke", { task_id: { a: 1 } }, "TypeError("],
    ["revoke", { task_id: "x".repeat(1025) }, "TypeError("],
    ["revoke", { task_id: "x", terminate: true, signal: "SIGNONSENSE" }, "TypeError("],
    ["revoke_by_stamped_headers", { headers: ["nonsense"] }, "ValueError("],
    ["revoke_by_stamped_headers", { headers: { a: "x".repeat(5000) } }, "ValueError("],
    ["add_consumer", { queue: "a\u0006b" }, "ValueError("],
    ["add_consumer", { queue: "a", exchange_type: "fanout" }, "ValueError("],
    ["hello", { from_node: "w2@host", revoked: { a: "x" } }, "ValueError("],
    ["query_task", { ids: [1] }, "TypeError("],
    ["toString", {}, "KeyError('toString')"],
    ["__proto__", {}, "KeyError('__proto__')"],
  ])("%s %j: %s", async (method, args, shown) => {
    make().app.task("t", () => 1);
    await rig.start();
    expect(await ask(method, args)).toEqual({ error: expect.stringContaining(shown) });
  });
});

describe("commands", () => {
  test("old names do the same", async () => {
    await make().start();
    for (const name of ["dump_active", "dump_reserved", "dump_schedule", "dump_revoked"]) {
      expect(await ask(name)).toEqual([]);
    }
    expect(await ask("dump_conf")).toMatchObject({ broker_url: "memory://unit-worker" });
    expect(await ask("dump_tasks")).toEqual([]);
  });

  test("secrets are in no reply", async () => {
    const brokerUrl = "redis://user:hunter2@localhost:1/0?password=hunter2";
    await make({
      app: {
        brokerUrl,
        redisPassword: "hunter2",
        brokerTransportOptions: { sentinelKwargs: { password: "hunter2" } },
        resultBackend: "redis://:hunter2@localhost:1/1",
      },
    }).start();
    for (const [name, args] of [
      ["conf", { with_defaults: true }],
      ["conf", {}],
      ["report", {}],
      ["stats", {}],
    ] as const) {
      const reply = JSON.stringify(await ask(name, args));
      expect(reply.length).toBeGreaterThan(100);
      expect(reply).not.toContain("hunter2");
    }
    expect(await ask("conf")).toMatchObject({ broker_url: "redis://user:**@localhost:1/0?password=**" });
  });

  test("a command of the app's own runs with its arguments, may be asynchronous, and may fail", async () => {
    make().app.control.command("greet", { type: "inspect", args: ["name"] }, (args, worker) => [
      worker.hostname,
      args["name"],
    ]);
    rig.app.control.command("later", async () => {
      await turns(1);
      return { ok: "done" };
    });
    rig.app.control.command("broken", () => {
      throw new RangeError("too far");
    });
    rig.app.control.command("odd", () => () => 1);
    await rig.start();
    expect(await ask("greet", { name: "you" })).toEqual([NODE, "you"]);
    expect(await ask("later")).toEqual({ ok: "done" });
    expect(await ask("broken")).toEqual({ error: "ValueError('too far')" });
    expect(await ask("odd")).toEqual({ error: expect.stringContaining("the reply") });
  });

  test("Celery's names are taken", () => {
    const { control } = make().app;
    for (const name of ["ping", "dump_active", "no name", ""]) {
      expect(() => control.command(name, () => null)).toThrow(/control command|takes a name/);
    }
  });

  test("what changes something can be switched off, and says so", async () => {
    make({ worker: { controlReadOnly: true } }).app.control.command("own", () => 1);
    await rig.start();
    for (const [name, args] of [
      ["revoke", { task_id: "x" }],
      ["shutdown", {}],
      ["own", {}],
    ] as const) {
      expect(await ask(name, args)).toEqual({ error: expect.stringContaining("is switched off") });
    }
    expect(await ask("hello", { from_node: "w2@host", revoked: { x: 1.5 } })).toMatchObject({ revoked: {} });
    expect(await ask("revoked")).toEqual([]);
  });

  test("events of tasks are turned on and off, a heartbeat is sent on request", async () => {
    make().app.task("t", () => 1);
    await rig.start();
    const heard = (type: string): number =>
      rig.transport.events.filter((event) => event["type"] === type).length;
    await rig.run({ task: "t", id: "unseen" });
    const replies = [];
    for (const name of ["enable_events", "enable_events"]) replies.push(await ask(name));
    await rig.run({ task: "t", id: "seen" });
    for (const name of ["disable_events", "disable_events"]) replies.push(await ask(name));
    await rig.run({ task: "t", id: "unseen again" });
    expect(replies).toEqual([
      { ok: "task events enabled" },
      { ok: "task events already enabled" },
      { ok: "task events disabled" },
      { ok: "task events already disabled" },
    ]);
    await eventually("the event is there", () => heard("task-succeeded") > 0);
    expect(rig.transport.events.filter((event) => "uuid" in event).map((event) => event["uuid"])).toEqual(
      rig.transport.events.filter((event) => "uuid" in event).map(() => "seen"),
    );
    const before = heard("worker-heartbeat");
    expect(await ask("heartbeat")).toBeNull();
    expect(heard("worker-heartbeat")).toBe(before + 1);
  });

  test("a pool that scales by itself is steered by its bounds", async () => {
    await make({ worker: { autoscale: { max: 8, min: 2 } } }).start();
    const refusal = " is not supported with autoscale. Adjust autoscale range instead.";
    expect(await ask("pool_grow")).toEqual({ error: `pool_grow${refusal}` });
    expect(await ask("pool_shrink")).toEqual({ error: `pool_shrink${refusal}` });
    expect(await ask("autoscale", { max: 40 })).toEqual({ ok: "autoscale now max=40 min=2" });
    expect(rig.consumer.prefetch).toBe(40);
    expect(await ask("autoscale", { max: 4 })).toEqual({ ok: "autoscale now max=4 min=2" });
    expect(await ask("autoscale", { max: 1 })).toEqual({ ok: "autoscale now max=1 min=1" });
    expect(rig.consumer.prefetch).toBe(4);
    expect(await ask("autoscale", { min: 5 })).toEqual({ error: expect.stringContaining("not from 5 to 1") });
    expect(await ask("stats")).toMatchObject({ autoscaler: { max: 1, min: 1, current: 1, qty: 0 } });
  });

  test("a pool is restarted where the setting allows it", async () => {
    await make().start();
    expect(await ask("pool_restart")).toEqual({ error: "ValueError('Pool restarts not enabled')" });
    expect(await ask("autoscale", { max: 4 })).toEqual({ error: "ValueError('Autoscale not enabled')" });
    await rig.stop();
    await make({ app: { workerPoolRestarts: true } }).start();
    expect(await ask("pool_restart")).toEqual({ ok: "reload started" });
  });

  test("an election is joined by an event, and not without gossip", async () => {
    await make().start();
    const elected = (): unknown[] => rig.transport.events.filter((event) => event["type"] === "worker-elect");
    expect(await ask("election", { id: "e1", topic: "demo", action: [1] })).toBeNull();
    expect(elected()).toMatchObject([{ id: "e1", topic: "demo", action: [1], hostname: NODE }]);
    expect(await ask("election", { id: "e2" })).toEqual({
      error: "TypeError(\"election() missing 1 required positional argument: 'topic'\")",
    });
    await rig.stop();
    await make({ worker: { withoutGossip: true } }).start();
    expect(await ask("election", { id: "e3", topic: "demo" })).toBeNull();
    expect(elected()).toEqual([]);
  });

  test("time limits and rate limits are in force for the next task", async () => {
    const gate = new Gate();
    make().app.task("t", async () => gate.promise);
    await rig.start();
    await ask("time_limit", { task_name: "t", soft: 0.01, hard: 0.02 });
    expect(await ask("registered", { taskinfoitems: ["time_limit", "soft_time_limit"] })).toEqual([
      "t [time_limit=0.02 soft_time_limit=0.01]",
    ]);
    await rig.run({ task: "t", id: "limited" });
    await eventually("the hard limit ended it", () => rig.meta("limited")["status"] === "FAILURE");
    await ask("time_limit", { task_name: "t" });
    await ask("rate_limit", { task_name: "t", rate_limit: "1/h" });
    await rig.run({ task: "t", id: "first" });
    await rig.run({ task: "t", id: "second" });
    expect((await ask("reserved")) as object[]).toMatchObject([{ id: "second", time_start: null }]);
    expect(await ask("query_task", { ids: ["first", "second", "third"] })).toMatchObject({
      first: ["active", { id: "first" }],
      second: ["reserved", { id: "second" }],
    });
    await ask("rate_limit", { task_name: "t", rate_limit: 0 });
    expect(await ask("active")).toMatchObject([{ id: "first" }, { id: "second" }]);
    gate.open();
  });
});

describe("revoking", () => {
  test("what waits for its turn never starts, what runs goes on and knows", async () => {
    const gate = new Gate();
    const ran: string[] = [];
    const knew: boolean[] = [];
    make({ worker: { concurrency: 1 } }).app.task("t", { bind: true }, async (task) => {
      ran.push(task.request.id);
      await gate.promise;
      knew.push(task.isRevoked());
    });
    const events: unknown[] = [];
    rig.app.signals.taskRevoked.connect(({ request: { id }, ...event }) => events.push({ id, ...event }));
    await rig.start();
    await rig.run({ task: "t", id: "runs" });
    await rig.run({ task: "t", id: "waits" });
    await ask("revoke", { task_id: ["runs", "waits", "unknown"] });
    expect(rig.transport.metas["runs"]).toBeUndefined();
    expect(rig.meta("waits")).toMatchObject({ status: "REVOKED", children: null });
    expect(rig.meta("unknown")).toMatchObject({ status: "REVOKED", children: null });
    gate.open();
    await turns();
    expect([ran, knew, rig.meta("runs")["status"]]).toEqual([["runs"], [true], "SUCCESS"]);
    expect(rig.meta("waits")).toMatchObject({ status: "REVOKED", children: [] });
    expect(events).toEqual([{ id: "waits", terminated: false, signum: null, expired: false }]);
    await rig.run({ task: "t", id: "unknown" });
    expect([ran.length, rig.consumer.settled.get("unknown")?.kind]).toEqual([1, "ack-with-result"]);
  });

  test("terminate aborts the signal: what ends by it is REVOKED, what ends well all the same is SUCCESS", async () => {
    make().app.task(
      "obeys",
      { bind: true },
      (task) =>
        new Promise((_, reject) => {
          task.signal.addEventListener("abort", () => reject(task.signal.reason as Error));
        }),
    );
    rig.app.task("ignores", { bind: true }, async (task) => {
      await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
      return task.isRevoked();
    });
    const signums: (number | null)[] = [];
    rig.app.signals.taskRevoked.connect(({ signum, terminated }) => terminated && signums.push(signum));
    await rig.start();
    await rig.run({ task: "obeys", id: "a" });
    await rig.run({ task: "ignores", id: "b" });
    expect(await ask("terminate", { task_id: ["a", "b", "c"], signal: "KILL" })).toEqual({
      ok: "terminate: a, b",
    });
    await turns();
    expect(rig.meta("a")).toMatchObject({
      status: "REVOKED",
      result: { exc_type: "TaskRevokedError", exc_message: ["terminated"] },
    });
    expect([rig.meta("b")["status"], rig.meta("b")["result"], signums]).toEqual(["SUCCESS", true, [9]]);
  });

  test("events tell a task that never started from one that was stopped, and by which signal", async () => {
    make({ worker: { taskEvents: true } }).app.task(
      "obeys",
      { bind: true },
      (task) =>
        new Promise((_, reject) => {
          task.signal.addEventListener("abort", () => reject(task.signal.reason as Error));
        }),
    );
    await rig.start();
    await rig.run({ task: "obeys", id: "runs" });
    await ask("revoke", { task_id: "late" });
    await rig.run({ task: "obeys", id: "late" });
    await ask("terminate", { task_id: ["runs"], signal: "KILL" });
    const revoked = await eventually("both are told", () => {
      const found = rig.transport.events.filter((event) => event["type"] === "task-revoked");
      return found.length === 2 && found;
    });
    expect(revoked).toMatchObject([
      { uuid: "late", terminated: false, signum: null, expired: false },
      { uuid: "runs", terminated: true, signum: 9, expired: false },
    ]);
  });

  test("stamps: tasks that carry one do not start, with terminate those that run are stopped", async () => {
    make().app.task(
      "t",
      { bind: true },
      (task) =>
        new Promise((_, reject) => {
          task.signal.addEventListener("abort", () => reject(task.signal.reason as Error));
        }),
    );
    await rig.start();
    const stamped = { stampedHeaders: ["tenant"], stamps: { tenant: ["acme", "x"] } };
    await rig.run({ task: "t", id: "runs", ...stamped });
    expect(await ask("revoke_by_stamped_headers", { headers: ["tenant=acme"], terminate: true })).toEqual({
      ok: "headers defaultdict(<class 'set'>, {'tenant': {'acme'}}) revoked",
    });
    await turns();
    await rig.run({ task: "t", id: "late", ...stamped });
    await rig.run({ task: "t", id: "other", stampedHeaders: ["tenant"], stamps: { tenant: "other" } });
    expect([rig.meta("runs")["status"], rig.meta("late")["status"]]).toEqual(["REVOKED", "REVOKED"]);
    expect(await ask("active")).toMatchObject([{ id: "other" }]);
  });

  test("a task whose ETA is kept here is shown, revoked, and dropped when it is due", async () => {
    make({ capabilities: { parks: false } }).app.task("t", () => 1);
    await rig.start();
    // Far enough that a busy machine asks before it.
    await rig.run({ task: "t", id: "eta", eta: new Date(Date.now() + 1000).toISOString() });
    expect((await ask("scheduled")) as object[]).toMatchObject([{ priority: 6, request: { id: "eta" } }]);
    await ask("revoke", { task_id: "eta" });
    await eventually("it was due", () => rig.consumer.settled.get("eta") !== undefined);
    expect(rig.meta("eta")).toMatchObject({ status: "REVOKED", children: [] });
  });
});

test("shutdown ends the worker without a reply", async () => {
  await make().start();
  expect(await ask("shutdown")).toBeUndefined();
  await eventually("it has stopped", () => rig.worker?.state === "stopped");
  expect(internalsOf(rig.app).control.commands.size).toBe(0);
});
