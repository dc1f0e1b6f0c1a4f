/** What a worker tells of itself and of its tasks. */
import { afterEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import type { CeleryOptions } from "../../../src/app/settings-types.ts";
import { Reject } from "../../../src/errors.ts";
import type { WireMessage } from "../../../src/protocol/wire.ts";
import { Gossip } from "../../../src/worker/gossip.ts";
import type { WorkerOptions } from "../../../src/worker/index.ts";
import { WorkerEvents } from "../../../src/worker/worker-events.ts";
import { eventually } from "../../support/eventually.ts";
import { delivery, Gate, message, signature, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;

afterEach(() => rig?.stop());

async function start(
  worker: WorkerOptions = {},
  prepare: (one: WorkerRig) => void = () => {},
  app: CeleryOptions = {},
): Promise<WorkerRig> {
  rig = new WorkerRig({ worker: { hostname: "w@h", withoutHeartbeat: true, ...worker }, app });
  prepare(rig);
  await rig.start();
  return rig;
}

/** The events of a worker of the rig's app. */
function makeEvents(): WorkerEvents {
  const { clock, lamport } = internalsOf(rig.app);
  return new WorkerEvents({
    hostname: "w@h",
    exchange: "celeryev",
    serializer: "json",
    publish: (messages) => rig.transport.publish(messages),
    clock,
    lamport,
    logger: rig.logger,
    taskEvents: false,
    freq: 2,
    status: () => ({ active: 0, processed: 0 }),
    onHeartbeat: () => {},
  });
}

/** Events of tasks, without what every event has. */
function told(): Record<string, unknown>[] {
  return rig.transport.events
    .filter(({ type }) => String(type).startsWith("task-"))
    .map(({ hostname: _h, utcoffset: _u, pid: _p, clock: _c, timestamp: _t, ...rest }) => rest);
}

describe("tasks", () => {
  test("a success is received, started and succeeded", async () => {
    await start({ taskEvents: true }, ({ app }) => app.task("add", (x: number, y: number) => x + y));
    await rig.run({ task: "add", args: [2, 3] });
    expect(told()).toEqual([
      {
        type: "task-received",
        uuid: "t1",
        name: "add",
        args: "(2, 3)",
        kwargs: "{}",
        root_id: "t1",
        parent_id: null,
        retries: 0,
        eta: null,
        expires: null,
      },
      { type: "task-started", uuid: "t1" },
      { type: "task-succeeded", uuid: "t1", result: "5", runtime: expect.any(Number) },
    ]);
  });

  test("every other end is told as what it is", async () => {
    await start({ taskEvents: true }, ({ app }) => {
      app.task("fail", () => {
        throw new TypeError("no");
      });
      app.task("again", { bind: true }, (task): null => {
        throw task.retry({ countdown: 5 });
      });
      app.task("reject", { acksLate: true }, (): null => {
        throw new Reject("no", { requeue: true });
      });
    });
    await rig.run({ task: "fail", id: "f" });
    await rig.run({ task: "again", id: "r" });
    await rig.run({ task: "reject", id: "j" });
    await rig.run({ task: "fail", id: "x", expires: "2020-01-01T00:00:00+00:00" });
    await rig.run({ task: "nowhere", id: "n" });
    const ends = told().filter(({ type }) => !/received|started/.test(String(type)));
    expect(ends).toEqual([
      {
        type: "task-failed",
        uuid: "f",
        exception: "TypeError('no')",
        traceback: expect.stringContaining("TypeError: no"),
      },
      {
        type: "task-retried",
        uuid: "r",
        exception: "None",
        traceback: expect.stringContaining("celery.exceptions.Retry"),
      },
      { type: "task-rejected", uuid: "j", requeue: true },
      { type: "task-revoked", uuid: "x", terminated: false, signum: null, expired: true },
      { type: "task-failed", uuid: "n", exception: "NotRegistered('nowhere')" },
    ]);
    expect(told().some(({ type, uuid }) => type === "task-received" && uuid === "x")).toBe(false);
  });

  test("one that waits for its ETA is told when it is known, and its ETA with it", async () => {
    await start({ taskEvents: true }, ({ app }) => app.task("add", () => 1));
    await rig.run({ task: "add", eta: "2099-01-01T00:00:00.5+00:00" });
    expect(told()).toMatchObject([{ type: "task-received", eta: "2099-01-01T00:00:00.500000+00:00" }]);
  });

  test("one that the worker gives up in a hurry is cancelled", async () => {
    await start({ taskEvents: true }, ({ app }) =>
      app.task("wait", { acksLate: true }, () => new Promise<null>(() => {})),
    );
    await rig.run({ task: "wait" });
    await rig.stop();
    expect(told().at(-1)).toEqual({ type: "task-cancelled", uuid: "t1" });
  });

  test.each([{ acksLate: true }, { acksLate: false }])(
    "an end is told once its result is stored, where that takes its own way: %j",
    async (options) => {
      const gate = new Gate();
      rig = new WorkerRig({ sameStore: false, worker: { taskEvents: true, withoutHeartbeat: true } });
      rig.app.task("add", options, () => 1);
      rig.app.task("fail", options, () => {
        throw new TypeError("no");
      });
      rig.app.task("chained", options, async () => {
        throw new TypeError("no");
      });
      rig.backend.onStore = () => gate.promise;
      await rig.start();
      const link = signature("add", { options: { task_id: "next" } });
      await rig.run({ task: "add", id: "s" });
      await rig.run({ task: "fail", id: "f" });
      await rig.run({
        task: "chained",
        id: "c",
        embed: { callbacks: null, errbacks: null, chord: null, chain: [link] },
      });
      await rig.run({ task: "add", id: "x", expires: "2020-01-01T00:00:00+00:00" });
      await rig.run({ task: "nowhere", id: "n" });
      const ends = (): unknown[] =>
        told()
          .filter(({ type }) => !/received|started/.test(String(type)))
          .map(({ type, uuid }) => `${String(type)} ${String(uuid)}`)
          .sort();
      expect(ends()).toEqual([]);
      gate.open();
      await turns();
      expect(ends()).toEqual([
        "task-failed c",
        "task-failed f",
        "task-failed n",
        "task-revoked x",
        "task-succeeded s",
      ]);
    },
  );

  test("an end is told though its result could not be stored", async () => {
    rig = new WorkerRig({ sameStore: false, worker: { taskEvents: true, withoutHeartbeat: true } });
    rig.app.task("add", () => 1);
    rig.backend.onStore = () => Promise.reject(new Error("full"));
    await rig.start();
    await rig.run({ task: "add" });
    expect(told().at(-1)).toMatchObject({ type: "task-succeeded", uuid: "t1" });
  });

  test("a task with sendEvents off tells nothing", async () => {
    await start({ taskEvents: true }, ({ app }) => app.task("quiet", { sendEvents: false }, () => 1));
    await rig.run({ task: "quiet" });
    expect(told()).toEqual([]);
  });

  test("texts of strangers are cut, and odd ones stay JSON", async () => {
    await start({ taskEvents: true }, ({ app }) => app.task("odd", () => '"\u0000\ud800'));
    await rig.run({ task: "odd", argsrepr: "x".repeat(100_000), kwargsrepr: '"\n' });
    expect(String(told()[0]?.["args"]).length).toBeLessThan(5_000);
    expect(told()[0]?.["kwargs"]).toBe('"\n');
    expect(told().at(-1)).toMatchObject({ type: "task-succeeded" });
  });

  test("a broker that refuses events holds no task up", async () => {
    await start({ taskEvents: true }, ({ app }) => app.task("add", () => 1));
    rig.transport.onEvent = () => {
      throw new Error("refused");
    };
    await rig.run({ task: "add" });
    expect(rig.meta()).toMatchObject({ status: "SUCCESS" });
    expect(rig.logger.of("error")).toEqual([]);
  });
});

describe("whether they are told", () => {
  test("by default not", async () => {
    await start({}, ({ app }) => app.task("add", () => 1));
    await rig.run({ task: "add" });
    expect(rig.transport.events).toEqual([]);
  });

  test("by the setting workerSendTaskEvents", async () => {
    await start({}, ({ app }) => app.task("add", () => 1), { workerSendTaskEvents: true });
    await rig.run({ task: "add" });
    expect(told().length).toBe(3);
  });

  test("switched while it runs", async () => {
    await start({});
    const events = makeEvents();
    expect([events.tasks, events.disable(), events.enable(), events.enable()]).toEqual([
      null,
      false,
      true,
      false,
    ]);
    expect(events.tasks).not.toBeNull();
    expect([events.disable(), events.tasks, events.dispatcher.sends("task")]).toEqual([true, null, false]);
  });
});

describe("events of a task's own", () => {
  test("are published with its id, after what was told of it before, whether -E is given or not", async () => {
    for (const taskEvents of [true, false]) {
      await start({ taskEvents }, ({ app }) =>
        app.task("own", { bind: true }, async (task) => {
          await task.sendEvent("task-progress", { done: 0.5 });
        }),
      );
      await rig.run({ task: "own" });
      const around = taskEvents ? [["task-received", "task-started"], ["task-succeeded"]] : [[], []];
      expect(told().map(({ type }) => type)).toEqual([
        ...(around[0] ?? []),
        "task-progress",
        ...(around[1] ?? []),
      ]);
      expect(told()).toContainEqual({ type: "task-progress", uuid: "t1", done: 0.5 });
      await rig.stop();
    }
  });

  test("one that is wrong fails the task, though nobody waits for it", async () => {
    await start({}, ({ app }) =>
      app.task("own", { bind: true }, (task) => {
        void task.sendEvent("worker-online" as "task-x");
      }),
    );
    await rig.run({ task: "own" });
    expect(rig.meta()).toMatchObject({ status: "FAILURE", result: { exc_type: "TypeError" } });
  });
});

describe("heartbeats", () => {
  const types = (): unknown[] => rig.transport.events.map(({ type }) => type);

  test("it tells that it is there, that it lives, and that it leaves, and what it does", async () => {
    let sent = 0;
    await start({ withoutHeartbeat: false, heartbeatInterval: 0.02 }, ({ app }) => {
      app.task("add", () => 1);
      app.signals.heartbeatSent.connect(() => {
        sent += 1;
      });
    });
    await rig.run({ task: "add" });
    await eventually("heartbeats", () => types().length > 4);
    await rig.stop();
    expect(types()[0]).toBe("worker-online");
    expect(new Set(types().slice(1, -1))).toEqual(new Set(["worker-heartbeat"]));
    expect(rig.transport.events.at(-1)).toEqual({
      hostname: "w@h",
      utcoffset: expect.any(Number),
      pid: process.pid,
      clock: expect.any(Number),
      freq: 0.02,
      active: 0,
      processed: 1,
      loadavg: [expect.any(Number), expect.any(Number), expect.any(Number)],
      sw_ident: "petiole",
      sw_ver: expect.stringMatching(/^\d+\.\d+/),
      sw_sys: expect.any(String),
      timestamp: expect.any(Number),
      type: "worker-offline",
    });
    expect(sent).toBe(types().length);
  });

  test.each([-1, Number.NaN, 1e9])("an interval of %s seconds is refused", async (heartbeatInterval) => {
    await expect(start({ withoutHeartbeat: false, heartbeatInterval })).rejects.toThrow(
      /heartbeatInterval must be/,
    );
  });
});

describe("gossip", () => {
  const say = (type: string, fields: Record<string, unknown> = {}): void => {
    const event = {
      hostname: "other@h",
      utcoffset: 0,
      pid: 1,
      clock: 50,
      timestamp: Date.now() / 1000,
      freq: 0.05,
      ...fields,
      type,
    };
    const wire: WireMessage = {
      body: JSON.stringify(event),
      contentType: "application/json",
      contentEncoding: "utf-8",
      headers: { hostname: event.hostname },
      properties: {},
    };
    rig.transport.listeners.get("celeryev")?.(wire);
  };

  test("hooks are told of workers that come and go, and the clock keeps up", async () => {
    await start();
    const seen: string[] = [];
    rig.worker?.nodes?.nodeJoin.connect(({ hostname }) => seen.push(`join ${hostname}`));
    rig.worker?.nodes?.nodeLeave.connect(({ hostname }) => seen.push(`leave ${hostname}`));
    say("worker-online");
    say("worker-heartbeat", { clock: 90 });
    say("worker-offline");
    await turns();
    expect(seen).toEqual(["join other@h", "leave other@h"]);
    expect(internalsOf(rig.app).lamport.value).toBeGreaterThan(90);
  });

  test("another worker of the same name is named in the log, once; the worker's own heartbeats are not it", async () => {
    await start({ withoutHeartbeat: false });
    const [own] = rig.transport.events;
    say("worker-online", { ...own, type: "worker-online" });
    expect(rig.logger.of("warn")).toEqual([]);
    say("worker-heartbeat", { hostname: "w@h", pid: 99 });
    say("worker-heartbeat", { hostname: "w@h", pid: 99 });
    // In another container, with the same process id.
    say("worker-heartbeat", { hostname: "w@h", pid: process.pid, clock: 4_000 });
    expect(rig.logger.lines.map(({ fields }) => fields["other"]).filter(Boolean)).toEqual([99, process.pid]);
    expect(rig.logger.of("warn")[0]).toMatch(/has the node name of this one/);
  });

  test("a wall clock that is far off is named in the log", async () => {
    await start();
    say("worker-heartbeat", { timestamp: Date.now() / 1000 - 100 });
    expect(rig.logger.lines.at(-1)).toMatchObject({
      level: "warn",
      fields: { node: "other@h", seconds: 100 },
    });
  });

  test("what is no event is left out", async () => {
    await start();
    for (const body of ["5", "[[]]", "{", '{"type":"worker-elect"}', "null"]) {
      rig.transport.listeners.get("celeryev")?.({
        body,
        contentType: "application/json",
        contentEncoding: "utf-8",
        headers: {},
        properties: {},
      });
    }
    say("worker-elect", { id: 5, topic: null });
    say("worker-elect-ack", { id: {} });
    expect(rig.logger.of("error")).toEqual(["a candidacy for an election lacks a field: it is left out"]);
  });

  test("without it nobody listens", async () => {
    await start({ withoutGossip: true });
    expect([[...rig.transport.listeners.keys()], rig.worker?.nodes]).toEqual([["celery.pidbox"], null]);
  });

  test("the action of an election is a task, sent by who is elected", async () => {
    await start({ withoutGossip: true }, ({ app }) => app.task("add", (x: number) => x));
    const { transport, logger } = rig;
    const app = internalsOf(rig.app);
    const gossip = new Gossip({
      app,
      hostname: "w@h",
      pid: process.pid,
      events: makeEvents(),
      transport,
      logger,
    });
    gossip.start();
    await turns();
    const action = { task: "add", args: [1], kwargs: {}, options: {}, subtask_type: null, immutable: false };
    gossip.elections.begin("e1", "task", action);
    await turns();
    const elects = rig.transport.events.slice();
    for (const event of elects) say(String(event["type"]), event);
    await turns();
    for (const event of rig.transport.events.filter(({ type }) => type === "worker-elect-ack"))
      say("worker-elect-ack", event);
    await turns();
    await eventually("the task is sent", () => rig.transport.published.length > 0);
    expect(rig.transport.published.map(({ task, args }) => [task, args])).toEqual([["add", [1]]]);
    await gossip.stop();
  });
});

test("messages of a batch are told in one list", async () => {
  await start({ taskEvents: true }, ({ app }) => app.task("add", () => 1));
  let lists = 0;
  rig.transport.onEvent = () => {
    lists += 1;
  };
  await rig.deliver(...["a", "b"].map((id) => delivery(message({ task: "add", id }))));
  expect([lists, told().length]).toEqual([1, 6]);
});
