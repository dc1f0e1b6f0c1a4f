import { afterEach, describe, expect, test } from "vitest";
import { EncodeError, Ignore, OperationalError, Reject } from "../../../src/errors.ts";
import type { TaskOptions } from "../../../src/task/task-types.ts";
import { eventually } from "../../support/eventually.ts";
import { delivery, Gate, message, type RigOptions, signature, turns, WorkerRig } from "./support.ts";

class ShopError extends Error {}

const EMBED = { callbacks: null, errbacks: null, chain: null, chord: null };

/** Python's order. */
const META_KEYS = ["status", "result", "traceback", "children"];
const EXTENDED_KEYS = ["name", "args", "kwargs", "worker", "retries", "queue", "stamped_headers"];

let rig: WorkerRig;
async function started(options: RigOptions, define: (one: WorkerRig) => void): Promise<WorkerRig> {
  rig = new WorkerRig(options);
  define(rig);
  return rig.start();
}
afterEach(async () => {
  await rig.stop();
});

const add =
  (options: TaskOptions = {}) =>
  (one: WorkerRig): void =>
    void one.app.task("t.add", options, (x: number, y: number) => x + y);
const fail =
  (options: TaskOptions = {}) =>
  (one: WorkerRig): void =>
    void one.app.task("t.fail", options, (): null => {
      throw new ShopError("boom");
    });

describe("a success", () => {
  test("of a synchronous task is stored and acked in one step, early ack or late", async () => {
    await started({}, (one) => {
      add()(one);
      one.app.task("t.late", { acksLate: true }, () => 1);
    });
    await rig.run({ task: "t.add", args: [1, 2] });
    await rig.run({ task: "t.late", id: "t2" });
    expect(rig.journal).toEqual(["ack-with-result t1 SUCCESS", "ack-with-result t2 SUCCESS"]);
    expect(rig.meta()).toEqual({
      status: "SUCCESS",
      result: 3,
      traceback: null,
      children: [],
      date_done: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00$/),
      task_id: "t1",
    });
  });

  test("that ends within its turn takes the one step too, though asynchronous", async () => {
    await started({}, (one) => one.app.task("t.async", async () => 1));
    await rig.run({ task: "t.async" });
    expect(rig.journal).toEqual(["ack-with-result t1 SUCCESS"]);
  });

  test("is acked first and stored afterwards, when the results live elsewhere", async () => {
    await started({ sameStore: false }, add());
    await rig.run({ task: "t.add", args: [1, 2] });
    expect(rig.journal).toEqual(["ack t1", "store t1 SUCCESS"]);
  });

  test("is stored first, when it acks late and the results live elsewhere", async () => {
    await started({ sameStore: false }, add({ acksLate: true }));
    await rig.run({ task: "t.add", args: [1, 2] });
    expect(rig.journal).toEqual(["store t1 SUCCESS", "ack t1"]);
  });

  test("of a task that takes longer was acked at the end of its first turn", async () => {
    const gate = new Gate();
    await started({}, (one) => one.app.task("t.slow", async () => (await gate.promise, 1)));
    await rig.run({ task: "t.slow" });
    expect(rig.journal).toEqual(["ack t1"]);
    gate.open();
    await turns();
    expect(rig.journal).toEqual(["ack t1", "store t1 SUCCESS"]);
  });

  test("of a late-acked task that takes longer is acked with its result", async () => {
    const gate = new Gate();
    await started({}, (one) =>
      one.app.task("t.slow", { acksLate: true }, async () => (await gate.promise, 1)),
    );
    await rig.run({ task: "t.slow" });
    expect(rig.journal).toEqual([]);
    gate.open();
    await turns();
    expect(rig.journal).toEqual(["ack-with-result t1 SUCCESS"]);
  });

  test("is not stored when the message or the task says so; the message wins", async () => {
    await started({}, (one) => {
      add()(one);
      one.app.task("t.quiet", { ignoreResult: true }, () => 1);
    });
    await rig.run({ task: "t.add", args: [1, 2], ignoreResult: true });
    await rig.run({ task: "t.quiet", id: "t2", ignoreResult: false });
    const unsaid = message({ task: "t.quiet", id: "t3" });
    await rig.deliver(delivery({ ...unsaid, headers: { ...unsaid.headers, ignore_result: null } }));
    expect(rig.journal).toEqual(["ack t1", "ack-with-result t2 SUCCESS", "ack t3"]);
  });

  test("is not stored without a backend", async () => {
    await started({ noBackend: true }, add());
    await rig.run({ task: "t.add", args: [1, 2] });
    expect(rig.journal).toEqual(["ack t1"]);
  });

  test("names group and parent, and with resultExtended what the task was", async () => {
    await started({ app: { resultExtended: true } }, add());
    await rig.run({
      task: "t.add",
      args: [1],
      kwargs: { y: 2 },
      group: "g1",
      parentId: "p1",
      retries: 2,
      stampedHeaders: ["tenant"],
      stamps: { tenant: "acme" },
    });
    const { date_done: _, ...meta } = rig.meta();
    expect(Object.keys(meta)).toEqual([
      ...META_KEYS,
      "group_id",
      "parent_id",
      ...EXTENDED_KEYS,
      "tenant",
      "task_id",
    ]);
    expect(meta).toMatchObject({
      group_id: "g1",
      parent_id: "p1",
      name: "t.add",
      args: [1],
      kwargs: { y: 2 },
      worker: rig.worker?.hostname,
      retries: 2,
      queue: "celery",
      stamped_headers: ["tenant"],
      tenant: "acme",
    });
  });

  test("that cannot travel is a failure", async () => {
    await started({}, (one) => one.app.task("t.bad", (() => ({ fn: () => 1 })) as never));
    await rig.run({ task: "t.bad" });
    expect(rig.journal).toEqual(["ack-with-result t1 FAILURE"]);
    expect(rig.meta()["result"]).toMatchObject({ exc_type: "EncodeError", exc_module: "kombu.exceptions" });
  });

  test("counts in the worker's totals", async () => {
    await started({}, add());
    await rig.run({ task: "t.add", args: [1, 2] });
    await rig.run({ task: "t.add", args: [1, 2, 3] });
    expect(rig.worker?.totals).toEqual({ "t.add": 2 });
  });
});

describe("what follows a success", () => {
  const next = signature("t.add", { args: [10], options: { task_id: "c1" } });
  const last = signature("t.other", { options: { task_id: "c2" } });

  test("is published before the result is stored, and recorded as its children", async () => {
    await started({}, add({ acksLate: true }));
    await rig.run({
      task: "t.add",
      args: [1, 2],
      rootId: "root",
      priority: 3,
      embed: { ...EMBED, chain: [last, next] },
    });
    expect(rig.journal).toEqual(["publish t.add c1", "ack-with-result t1 SUCCESS"]);
    expect(rig.transport.published[0]).toMatchObject({
      id: "c1",
      args: [3, 10],
      rootId: "root",
      parentId: "t1",
      group: null,
      embed: { chain: [{ task: "t.other", options: { task_id: "c2" } }], callbacks: null },
    });
    expect(rig.meta()["children"]).toEqual([[["c1", null], null]]);
  });

  test("keeps the links that the next step brought along", async () => {
    await started({}, add());
    const linked = signature("t.add", {
      options: { task_id: "c1", link: [signature("t.cb")], link_error: [signature("t.eb")] },
    });
    await rig.run({ task: "t.add", args: [1, 2], embed: { ...EMBED, chain: [linked] } });
    expect(rig.transport.published[0]?.embed).toMatchObject({
      callbacks: [{ task: "t.cb" }],
      errbacks: [{ task: "t.eb" }],
      chain: null,
    });
  });

  test("is acked first when the task acks early", async () => {
    await started({}, add());
    await rig.run({ task: "t.add", args: [1, 2], embed: { ...EMBED, chain: [next] } });
    expect(rig.journal).toEqual(["ack t1", "publish t.add c1", "store t1 SUCCESS"]);
  });

  test("is one callback as it is, several as a group", async () => {
    await started({}, add({ acksLate: true }));
    const callbacks = [
      signature("t.a", { options: { task_id: "a1" } }),
      signature("t.b", { args: [5], immutable: true }),
    ];
    await rig.run({ task: "t.add", args: [1, 2], embed: { ...EMBED, callbacks: callbacks.slice(0, 1) } });
    expect(rig.transport.published[0]).toMatchObject({ id: "a1", args: [3], group: null, parentId: "t1" });
    expect(rig.meta()["children"]).toEqual([[["a1", null], null]]);
    await rig.run({ task: "t.add", id: "t2", args: [1, 2], embed: { ...EMBED, callbacks } });
    const [, first, second] = rig.transport.published;
    expect(first).toMatchObject({ id: "a1", args: [3], groupIndex: 0 });
    expect(second).toMatchObject({ task: "t.b", args: [5], groupIndex: 1 });
    expect(first?.group).toBe(second?.group);
    expect(rig.meta("t2")["children"]).toEqual([
      [
        [first?.group, null],
        [
          [["a1", null], null],
          [[second?.id, null], null],
        ],
      ],
    ]);
  });

  test("has the same ids when the task is delivered and run again", async () => {
    await started({}, add());
    const embed = { ...EMBED, callbacks: [signature("t.a"), signature("t.b")], chain: [signature("t.c")] };
    await rig.run({ task: "t.add", args: [1, 2], embed });
    await rig.run({ task: "t.add", args: [1, 2], embed }, { redelivered: true });
    const ids = rig.transport.published.map((one) => [one.id, one.group]);
    expect(ids).toHaveLength(6);
    expect(ids.slice(3)).toEqual(ids.slice(0, 3));
    expect(new Set(ids.map(([id]) => id)).size).toBe(3);
  });

  test("is tried until the broker has it", async () => {
    const sends = { attempts: 0 };
    await started({ app: { taskPublishRetry: false } }, (one) => {
      add({ acksLate: true })(one);
      one.transport.onPublish = () => {
        sends.attempts += 1;
        if (sends.attempts < 3) throw new OperationalError("away", { outcome: "not sent" });
      };
    });
    await rig.run({ task: "t.add", args: [1, 2], embed: { ...EMBED, chain: [next] } });
    while (sends.attempts < 3) await turns();
    await turns();
    expect(rig.journal).toEqual(["publish t.add c1", "ack-with-result t1 SUCCESS"]);
    expect(rig.logger.of("warn")).toContain("a follow-up task could not be sent: trying again");
  });

  test("that cannot be sent at all makes the task fail", async () => {
    await started({}, (one) => {
      add({ acksLate: true })(one);
      one.transport.onPublish = () => {
        throw new EncodeError("cannot travel");
      };
    });
    await rig.run({ task: "t.add", args: [1, 2], embed: { ...EMBED, chain: [next] } });
    expect(rig.journal).toEqual(["store t1 FAILURE", "store c1 FAILURE", "ack t1"]);
  });

  test("is not sent for a result that cannot be stored", async () => {
    await started({}, (one) => one.app.task("t.bad", { acksLate: true }, (() => () => 1) as never));
    await rig.run({ task: "t.bad", embed: { ...EMBED, chain: [next] } });
    expect(rig.journal).toEqual(["store t1 FAILURE", "store c1 FAILURE", "ack t1"]);
  });
});

describe("a failure", () => {
  test("is stored with class, module, arguments and traceback", async () => {
    await started({}, fail());
    await rig.run({ task: "t.fail" });
    expect(rig.journal).toEqual(["ack-with-result t1 FAILURE"]);
    expect(rig.meta()).toMatchObject({
      status: "FAILURE",
      result: { exc_type: "ShopError", exc_message: ["boom"], exc_module: "t" },
      traceback: expect.stringContaining("t.ShopError: boom"),
      children: [],
    });
    expect(rig.logger.of("error")).toEqual(["task failed"]);
  });

  test("of an error that is expected is logged at INFO", async () => {
    await started({}, fail({ throws: [ShopError] }));
    await rig.run({ task: "t.fail" });
    expect(rig.logger.of("error")).toEqual([]);
    expect(rig.logger.of("info")).toContain("task failed as expected");
  });

  test("is stored of the chain's other steps too, in order, before errbacks and a late ack", async () => {
    await started({}, fail({ acksLate: true }));
    const chain = [
      signature("t.c", { options: { task_id: "c3" } }),
      signature("t.none"),
      signature("t.b", { options: { task_id: "c2" } }),
    ];
    const errbacks = [signature("t.err", { options: { task_id: "e1" } })];
    await rig.run({ task: "t.fail", rootId: "root", embed: { ...EMBED, chain, errbacks } });
    expect(rig.journal).toEqual([
      "store t1 FAILURE",
      "store c2 FAILURE",
      "store c3 FAILURE",
      "publish t.err e1",
      "ack t1",
    ]);
    expect(rig.meta("c2")).toMatchObject({ result: { exc_type: "ShopError" }, children: [] });
    expect(rig.transport.published[0]).toMatchObject({
      args: ["t1"],
      parentId: "t1",
      rootId: "root",
      groupIndex: 0,
    });
    expect(rig.transport.published[0]?.group).toEqual(expect.any(String));
  });

  test("calls errbacks that take the request here, and goes on when one fails", async () => {
    const seen: unknown[] = [];
    await started({}, (one) => {
      fail()(one);
      one.app.errback("t.here", (request, error, traceback) => {
        seen.push(request.id, error.type, error.args, traceback.includes("boom"));
      });
      one.app.errback("t.broken", () => {
        throw new Error("broken errback");
      });
    });
    const errbacks = [
      signature("t.broken"),
      signature("t.here"),
      signature("t.sent", { options: { task_id: "e1" } }),
    ];
    await rig.run({ task: "t.fail", embed: { ...EMBED, errbacks } });
    expect(seen).toEqual(["t1", "ShopError", ["boom"], true]);
    expect(rig.journal).toEqual(["ack t1", "store t1 FAILURE", "publish t.sent e1"]);
    expect(rig.logger.of("error")).toContain("an errback of a failed task failed itself");
  });

  test("goes to the dead list, after its result, when failures are not acked", async () => {
    await started({}, fail({ acksLate: true, acksOnFailureOrTimeout: false }));
    await rig.run({ task: "t.fail" });
    expect(rig.journal).toEqual(["store t1 FAILURE", "dead t1"]);
  });

  test("at a time limit goes to the dead list only when those are not acked", async () => {
    const { journal } = await started({ app: { taskAcksOnTimeout: false } }, (one) => {
      fail({ acksLate: true })(one);
      one.app.task("t.stuck", { timeLimit: 0.02, acksLate: true }, () => new Promise<null>(() => {}));
    });
    await rig.run({ task: "t.fail" });
    await rig.run({ task: "t.stuck", id: "t2" });
    await eventually("it is settled", () => rig.consumer.settled.has("t2"));
    expect(journal).toEqual(["ack-with-result t1 FAILURE", "store t2 FAILURE", "dead t2"]);
  });

  test("is stored of a task that ignores its result only where errors are wanted", async () => {
    await started({}, (one) => {
      fail({ ignoreResult: true })(one);
      one.app.task("t.loud", { ignoreResult: true, storeErrorsEvenIfIgnored: true }, (): null => {
        throw new ShopError("loud");
      });
    });
    await rig.run({ task: "t.fail", ignoreResult: true });
    await rig.run({ task: "t.loud", id: "t2", ignoreResult: true });
    expect(rig.journal).toEqual(["ack t1", "ack-with-result t2 FAILURE"]);
  });

  test("at the hard time limit is TimeLimitExceeded with the seconds", async () => {
    await started({}, (one) =>
      one.app.task("t.stuck", { timeLimit: 0.02, acksLate: true }, () => new Promise<null>(() => {})),
    );
    await rig.run({ task: "t.stuck" });
    while (rig.journal.length === 0) await turns(1);
    expect(rig.meta()).toMatchObject({
      status: "FAILURE",
      result: { exc_type: "TimeLimitExceeded", exc_message: [0.02], exc_module: "billiard.exceptions" },
      traceback: null,
    });
  });

  test("at the soft limit of the message is SoftTimeLimitExceeded", async () => {
    await started({}, (one) =>
      one.app.task("t.stuck", { acksLate: true }, () => new Promise<null>(() => {})),
    );
    await rig.run({ task: "t.stuck", softTimeLimit: 0.02 });
    while (rig.journal.length === 0) await turns(1);
    expect(rig.meta()["result"]).toEqual({
      exc_type: "SoftTimeLimitExceeded",
      exc_message: [],
      exc_module: "billiard.exceptions",
    });
  });
});

describe("a retry", () => {
  const again = (one: WorkerRig): void =>
    void one.app.task("t.again", { bind: true, acksLate: true }, (task, how?: object): null => {
      throw task.retry({ cause: new ShopError("again"), countdown: 0, ...how });
    });

  test("is published with all that the message had, before its state is stored and the message acked", async () => {
    await started({}, again);
    const embed = {
      callbacks: [signature("t.cb")],
      errbacks: [signature("t.eb")],
      chain: [signature("t.c")],
      chord: null,
    };
    await rig.run(
      {
        task: "t.again",
        kwargs: {},
        embed,
        rootId: "root",
        parentId: "parent",
        group: "g1",
        groupIndex: 4,
        shadow: "shown",
        priority: 6,
        timeLimit: 30,
        softTimeLimit: 20,
        expires: "2099-01-01T00:00:00.000123+02:00",
        replyTo: "reply",
        headers: { "x-tenant": "acme" },
        replacedTaskNesting: 2,
        stampedHeaders: ["s"],
        stamps: { s: 1 },
        argsrepr: "(hidden)",
      },
      { queue: "special" },
    );
    expect(rig.journal).toEqual(["publish t.again t1", "ack-with-result t1 RETRY"]);
    const [sent] = rig.transport.published;
    expect(sent).toMatchObject({
      id: "t1",
      retries: 1,
      etaMs: null,
      rootId: "root",
      parentId: "parent",
      group: "g1",
      groupIndex: 4,
      shadow: "shown",
      priority: 6,
      timeLimit: 30,
      softTimeLimit: 20,
      replyTo: "reply",
      ignoreResult: false,
      replacedTaskNesting: 2,
      stampedHeaders: ["s"],
      stamps: { s: 1 },
      argsrepr: "(hidden)",
      embed,
    });
    expect(sent?.headers["expires"]).toBe("2099-01-01T00:00:00.000123+02:00");
    expect(sent?.headers["x-tenant"]).toBe("acme");
    expect(sent?.headers["redelivered"]).toBeUndefined();
    expect(rig.transport.destinations[0]).toMatchObject({ exchange: "", routingKey: "special", priority: 6 });
    expect(rig.meta()).toMatchObject({
      status: "RETRY",
      result: { exc_type: "ShopError", exc_message: ["again"], exc_module: "t" },
      traceback: expect.stringContaining("celery.exceptions.Retry: Retry in 0s: ShopError('again')"),
      date_done: null,
    });
  });

  test("waits for its countdown, and takes what the task changed", async () => {
    await started({}, again);
    const before = Date.now();
    const options = { queue: "slow", priority: 1, headers: { a: 1 } };
    await rig.run({ task: "t.again", args: [{ countdown: 60, args: ["new"], options }] });
    const [sent] = rig.transport.published;
    expect(sent?.etaMs).toBeGreaterThanOrEqual(before + 60_000);
    expect(sent).toMatchObject({ args: ["new"], priority: 1, headers: { a: 1 } });
    expect(rig.transport.destinations[0]?.routingKey).toBe("slow");
  });

  test("of a task that acks early is acked first", async () => {
    await started({}, (one) =>
      one.app.task("t.early", { bind: true }, (task): null => task.retry({ countdown: 0 })),
    );
    await rig.run({ task: "t.early" });
    expect(rig.journal).toEqual(["ack t1", "publish t.early t1", "store t1 RETRY"]);
    expect(rig.meta()["result"]).toBeNull();
  });

  test("that cannot be sent is a failure", async () => {
    await started({}, (one) => {
      again(one);
      one.transport.onPublish = () => {
        throw new EncodeError("cannot travel");
      };
    });
    await rig.run({ task: "t.again" });
    expect(rig.journal).toEqual(["store t1 FAILURE", "ack t1"]);
  });
});

describe("Reject and Ignore", () => {
  const rejecting =
    (options: TaskOptions, requeue: boolean) =>
    (one: WorkerRig): void =>
      void one.app.task("t.reject", options, (): null => {
        throw new Reject("why", { requeue });
      });

  test("Reject with requeue puts a late-acked message back", async () => {
    await started({}, rejecting({ acksLate: true }, true));
    await rig.run({ task: "t.reject" });
    expect(rig.journal).toEqual(["requeue t1"]);
  });

  test("Reject ends a message that is not to be put back, or was acked early, with a state", async () => {
    await started({}, rejecting({ acksLate: true }, false));
    await rig.run({ task: "t.reject" });
    expect(rig.journal).toEqual(["ack-with-result t1 REJECTED"]);
    expect(rig.meta()).toMatchObject({ status: "REJECTED", result: "why", date_done: null });
    await rig.stop();
    await started({}, rejecting({}, true));
    await rig.run({ task: "t.reject" });
    expect(rig.journal).toEqual(["ack-with-result t1 REJECTED"]);
  });

  test("taskRejected tells of it", async () => {
    const seen: unknown[] = [];
    await started({}, (one) => {
      rejecting({ acksLate: true }, true)(one);
      one.app.signals.taskRejected.connect((event) => seen.push(event.error.message));
    });
    await rig.run({ task: "t.reject" });
    expect(seen).toEqual(["why"]);
  });

  test("Ignore stores nothing", async () => {
    await started({}, (one) =>
      one.app.task("t.ignore", { acksLate: true }, (): null => {
        throw new Ignore();
      }),
    );
    await rig.run({ task: "t.ignore" });
    expect(rig.journal).toEqual(["ack t1"]);
  });
});

describe("states on the way", () => {
  test("STARTED is stored before the task's result, however slow the backend", async () => {
    const gate = new Gate();
    await started({}, (one) => {
      add({ trackStarted: true })(one);
      one.backend.onStore = () => gate.promise;
    });
    await rig.run({ task: "t.add", args: [1, 2] });
    expect(rig.journal).toEqual([]);
    gate.open();
    await turns();
    expect(rig.journal).toEqual(["store t1 STARTED", "ack-with-result t1 SUCCESS"]);
    expect(rig.transport.metas["t1"]?.[0]).toMatchObject({
      result: { pid: process.pid, hostname: rig.worker?.hostname },
      date_done: null,
    });
  });

  test("updateState stores in order, and never fails the task", async () => {
    await started({}, (one) =>
      one.app.task("t.progress", { bind: true, trackStarted: true }, async (task) => {
        await task.updateState("PROGRESS", { n: 1 });
        await task.updateState("BAD", { fn: () => 1 });
        void task.updateState("PROGRESS", { n: 2 });
        return "end";
      }),
    );
    await rig.run({ task: "t.progress" });
    const stored = rig.journal.filter((line) => !line.startsWith("ack t1"));
    expect(stored.slice(0, 3)).toEqual(["store t1 STARTED", "store t1 PROGRESS", "store t1 PROGRESS"]);
    expect(stored[3]).toMatch(/SUCCESS$/);
    expect(rig.transport.metas["t1"]?.[2]).toMatchObject({ result: { n: 2 }, children: [], date_done: null });
    expect(rig.logger.of("error")).toEqual(["a state of a task could not be stored"]);
  });
});

describe("expiry", () => {
  const past = "2020-01-01T00:00:00+00:00";

  test("is checked when a message arrives", async () => {
    const revoked: unknown[] = [];
    await started({}, (one) => {
      add()(one);
      one.app.signals.taskRevoked.connect(({ expired, terminated, signum }) =>
        revoked.push([expired, terminated, signum]),
      );
    });
    await rig.run({ task: "t.add", args: [1, 2], expires: past });
    expect(rig.journal).toEqual(["ack-with-result t1 REVOKED"]);
    expect(rig.meta()).toMatchObject({
      result: { exc_type: "TaskRevokedError", exc_message: ["expired"], exc_module: "celery.exceptions" },
      children: [],
      date_done: expect.any(String),
    });
    expect(revoked).toEqual([[true, false, null]]);
  });

  test("is checked again when a reserved message gets its slot", async () => {
    const gate = new Gate();
    let ran = false;
    await started({ worker: { concurrency: 1 } }, (one) => {
      one.app.task("t.slow", async () => (await gate.promise, 1));
      one.app.task("t.reserved", () => {
        ran = true;
        return 1;
      });
    });
    const expires = new Date(Date.now() + 30).toISOString();
    await rig.deliver(
      delivery(message({ task: "t.slow" })),
      delivery(message({ task: "t.reserved", id: "t2", expires })),
    );
    while (Date.now() <= Date.parse(expires)) await turns(1);
    gate.open();
    await turns();
    expect(ran).toBe(false);
    expect(rig.journal).toContain("ack-with-result t2 REVOKED");
  });

  test("leaves a message that is still good alone", async () => {
    await started({}, add());
    await rig.run({ task: "t.add", args: [1, 2], expires: "2099-01-01T00:00:00Z" });
    expect(rig.meta()["status"]).toBe("SUCCESS");
  });
});

describe("a result that cannot be stored", () => {
  test("keeps a late-acked message: it goes back", async () => {
    await started({ sameStore: false }, (one) => {
      add({ acksLate: true })(one);
      one.backend.onStore = () => {
        throw new Error("refused");
      };
    });
    await rig.run({ task: "t.add", args: [1, 2] });
    expect(rig.journal).toEqual(["requeue t1"]);
    expect(rig.logger.of("error")).toEqual(["a result could not be stored"]);
  });

  test("does not stop the worker", async () => {
    let refuse = true;
    await started({ sameStore: false }, (one) => {
      add()(one);
      one.backend.onStore = () => {
        if (refuse) throw new Error("refused");
      };
    });
    await rig.run({ task: "t.add", args: [1, 2] });
    refuse = false;
    await rig.run({ task: "t.add", id: "t2", args: [1, 2] });
    expect(rig.journal).toEqual(["ack t1", "ack t2", "store t2 SUCCESS"]);
  });
});

test("a settlement after the lease had ended is counted and said", async () => {
  await started({}, add());
  rig.consumer.answer = "gone";
  await rig.run({ task: "t.add", args: [1, 2] });
  expect(rig.logger.of("warn")).toEqual([
    "a message was settled after its lease had ended: another worker may have run it too",
  ]);
});
