import { Buffer } from "node:buffer";
import { afterEach, describe, expect, test } from "vitest";
import type { WireMessage } from "../../../src/protocol/wire.ts";
import { delivery, message, type RigOptions, signature, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;
async function started(options: RigOptions = {}): Promise<WorkerRig> {
  rig = new WorkerRig(options);
  rig.app.task("t.add", (x: number, y: number) => x + y);
  rig.app.task("t.echo", (value: unknown) => value as null);
  return rig.start();
}
afterEach(async () => {
  await rig.stop();
});

/** A good message, with some of it changed. */
function changed(parts: Partial<WireMessage>, headers: Record<string, unknown> = {}): WireMessage {
  const good = message({ task: "t.add", args: [1, 2] });
  return { ...good, ...parts, headers: { ...good.headers, ...headers } };
}

describe("a message of a task that is not registered", () => {
  test("fails with Python's NotRegistered and is acked", async () => {
    await started();
    const unknown: unknown[] = [];
    rig.app.signals.taskUnknown.connect((event) => unknown.push([event.name, event.id]));
    await rig.run({ task: "no.such", args: [1], group: "g" });
    expect(rig.journal).toEqual(["ack-with-result t1 FAILURE"]);
    expect(rig.meta()).toMatchObject({
      result: { exc_type: "NotRegistered", exc_message: ["no.such"], exc_module: "celery.exceptions" },
      traceback: null,
      children: [],
      group_id: "g",
    });
    expect(unknown).toEqual([["no.such", "t1"]]);
    expect(rig.logger.of("error")).toEqual(["message of a task that is not registered"]);
  });

  test("is only acked when its result is not wanted", async () => {
    await started();
    await rig.run({ task: "no.such", ignoreResult: true });
    expect(rig.journal).toEqual(["ack t1"]);
  });

  test("is stored before it is acked when results live elsewhere", async () => {
    await started({ sameStore: false });
    await rig.run({ task: "no.such" });
    expect(rig.journal).toEqual(["store t1 FAILURE", "ack t1"]);
  });

  test("named like something of JavaScript's is not found either", async () => {
    await started();
    for (const task of ["__proto__", "constructor", "toString"]) await rig.run({ task, id: task });
    expect(rig.journal.every((line) => line.endsWith("FAILURE"))).toBe(true);
  });

  test("is found once it was registered while the worker runs", async () => {
    await started();
    await rig.run({ task: "t.later" });
    rig.app.task("t.later", () => 1);
    await rig.run({ task: "t.later", id: "t2" });
    expect(rig.journal).toEqual(["ack-with-result t1 FAILURE", "ack-with-result t2 SUCCESS"]);
  });
});

describe("a message that cannot be read", () => {
  test.each<[string, Partial<WireMessage>, Record<string, unknown>, string]>([
    ["a body that is no JSON", { body: "{not json" }, {}, "DecodeError"],
    ["a body of two elements", { body: "[[1,2],{}]" }, {}, "DecodeError"],
    ["kwargs that are null", { body: "[[1,2],null,{}]" }, {}, "DecodeError"],
    [
      "pickle",
      { contentType: "application/x-python-serialize", contentEncoding: "binary" },
      {},
      "SecurityError",
    ],
    ["an ETA that is no date", {}, { eta: "garbage" }, "DecodeError"],
    ["an ETA that is a number", {}, { eta: 12_345 }, "DecodeError"],
    ["an unknown compression", {}, { compression: "application/x-rot13" }, "DecodeError"],
  ])("goes to the dead list and fails under its id: %s", async (_name, parts, headers, type) => {
    await started();
    const rejected: string[] = [];
    rig.app.signals.taskRejected.connect((event) => rejected.push(event.error.name));
    await rig.deliver(delivery(changed(parts, headers)));
    expect(rig.journal).toEqual(["store t1 FAILURE", "dead t1"]);
    expect(rig.meta()["result"]).toMatchObject({ exc_type: type });
    expect(rig.meta()["traceback"]).toBeNull();
    expect(rejected).toHaveLength(1);
  });

  test("goes to the dead list without a result when it has no id", async () => {
    await started();
    const none = changed({ headers: {}, properties: {}, body: '"hello"' });
    await rig.deliver(delivery({ ...none, headers: {} }));
    expect(rig.journal).toEqual(["dead ?"]);
  });

  test("does not keep the next one from running", async () => {
    await started();
    await rig.deliver(
      delivery(changed({ body: "{" })),
      delivery(message({ task: "t.add", id: "t2", args: [1, 2] })),
    );
    expect(rig.journal).toContain("ack-with-result t2 SUCCESS");
  });
});

describe("a codec that is not loaded", () => {
  test("is loaded, and the message runs", async () => {
    await started({ app: { acceptContent: ["json", "msgpack"] } });
    const { encode } = await import("@msgpack/msgpack");
    const body = Buffer.from(encode([[1, 2], {}, null]));
    await rig.deliver(
      delivery(changed({ body, contentType: "application/x-msgpack", contentEncoding: "binary" })),
    );
    while (rig.journal.length === 0) await turns(1);
    expect(rig.journal).toEqual(["ack-with-result t1 SUCCESS"]);
    expect(rig.meta()["result"]).toBe(3);
  });
});

describe("a message with an ETA to come", () => {
  const eta = (inMs: number): string => new Date(Date.now() + inMs).toISOString();

  test("is parked in a broker that parks, by the broker's clock", async () => {
    await started();
    const at = Date.now() + 60_000;
    await rig.run({ task: "t.add", args: [1, 2], eta: new Date(at).toISOString() });
    expect(rig.consumer.settled.get("t1")).toEqual({ kind: "park", untilMs: at });
    await rig.run(
      { task: "t.add", id: "t2", args: [1, 2], eta: new Date(at).toISOString() },
      { serverTimeMs: at },
    );
    expect(rig.journal).toEqual(["park t1", "ack-with-result t2 SUCCESS"]);
    expect(rig.logger.of("info").filter((line) => line === "task received")).toHaveLength(1);
  });

  test("is held in memory elsewhere, and does not count against the prefetch limit", async () => {
    await started({ capabilities: { parks: false } });
    expect(rig.consumer.prefetch).toBe(4);
    await rig.run({ task: "t.add", args: [1, 2], eta: eta(60) });
    expect(rig.journal).toEqual([]);
    expect(rig.consumer.prefetch).toBe(5);
    while (rig.journal.length === 0) await turns(1);
    expect(rig.journal).toEqual(["ack-with-result t1 SUCCESS"]);
    expect(rig.consumer.prefetch).toBe(4);
  });

  test("that is held is left to the broker when the worker stops", async () => {
    await started({ capabilities: { parks: false } });
    await rig.run({ task: "t.add", args: [1, 2], eta: eta(60_000) });
    await rig.worker?.stop();
    expect(rig.journal).toEqual(["pause", "close", "stop"]);
  });

  test("that has expired too is revoked", async () => {
    await started();
    await rig.run({ task: "t.add", args: [1, 2], eta: eta(60_000), expires: "2020-01-01T00:00:00Z" });
    expect(rig.journal).toEqual(["ack-with-result t1 REVOKED"]);
  });
});

describe("a message that the transport put on its dead list", () => {
  const dead = (raw: string, wire: WireMessage | null, reason = "no delivery_info"): void => {
    void rig.consumer.options.onDead({ queue: "celery", reason, raw, message: wire });
  };

  test("fails under the id that can still be read", async () => {
    await started();
    dead(JSON.stringify({ headers: { id: "d1", task: "t.add" } }), null);
    await turns();
    expect(rig.journal).toEqual(["store d1 FAILURE"]);
    expect(rig.meta("d1")["result"]).toEqual({
      exc_type: "DecodeError",
      exc_message: ["no delivery_info"],
      exc_module: "kombu.exceptions",
    });
    expect(rig.logger.of("error")).toEqual(["message that is no task"]);
  });

  test("and could be read is a lost one: its worker died too often", async () => {
    await started();
    dead("", message({ task: "t.add", args: [1, 2] }), "its holder was lost 3 times");
    await turns();
    expect(rig.meta()["result"]).toEqual({
      exc_type: "WorkerLostError",
      exc_message: ["the task was given up: its holder was lost 3 times"],
      exc_module: "billiard.exceptions",
    });
  });

  test("fails as any other task does: its chain and its errbacks hear of it, no message is settled", async () => {
    await started();
    const seen: unknown[] = [];
    rig.app.errback("t.here", (request, error) => {
      seen.push([request.id, request.args, error.name]);
    });
    const chain = [signature("t.echo", { options: { task_id: "c2" } })];
    const errbacks = [signature("t.here"), signature("t.there", { options: { task_id: "e1" } })];
    const embed = { callbacks: null, chord: null, chain, errbacks };
    dead("", message({ task: "t.add", args: [1, 2], embed }), "its worker was lost 3 times while it ran");
    await turns();
    expect(rig.journal).toEqual(["store t1 FAILURE", "store c2 FAILURE", "publish t.there e1"]);
    expect(rig.meta("c2")["result"]).toMatchObject({ exc_type: "WorkerLostError" });
    expect(seen).toEqual([["t1", [1, 2], "WorkerLostError"]]);
    expect(rig.transport.published.map((one) => [one.task, one.args])).toEqual([["t.there", ["t1"]]]);
  });

  test("of a task that is not registered here fails under its id", async () => {
    await started();
    dead("", message({ task: "t.elsewhere" }), "its worker was lost 3 times while it ran");
    await turns();
    expect(rig.journal).toEqual(["store t1 FAILURE"]);
    expect(rig.meta()["result"]).toMatchObject({ exc_type: "WorkerLostError" });
  });

  test.each(["hello", "5", "null", "{}", '{"headers": {"id": 5}}', `"${"x".repeat(2_000_000)}"`])(
    "is only logged when there is nothing to read: %.30s",
    async (raw) => {
      await started();
      dead(raw, null);
      await turns();
      expect(rig.journal).toEqual([]);
      expect(rig.logger.of("error")).toEqual(["message that is no task"]);
    },
  );
});

test("taskReceived tells of each message that is to run, with its request", async () => {
  await started();
  const seen: unknown[] = [];
  rig.app.signals.taskReceived.connect(({ request }) => seen.push(request));
  await rig.run(
    {
      task: "t.add",
      args: [1],
      kwargs: { y: 2 },
      retries: 1,
      rootId: "r",
      parentId: "p",
      group: "g",
      groupIndex: 3,
      eta: "2020-01-01T00:00:00Z",
      expires: "2099-01-01T00:00:00Z",
      timeLimit: 30,
      softTimeLimit: 20,
      shadow: "s",
      replyTo: "rq",
      priority: 3,
      headers: { "x-tenant": "acme" },
      stampedHeaders: ["k"],
      stamps: { k: "v" },
      replacedTaskNesting: 1,
    },
    { redelivered: true },
  );
  expect(seen).toEqual([
    {
      id: "t1",
      chord: null,
      task: "t.add",
      args: [1],
      kwargs: { y: 2 },
      retries: 1,
      rootId: "r",
      parentId: "p",
      groupId: "g",
      groupIndex: 3,
      eta: new Date("2020-01-01T00:00:00Z"),
      expires: new Date("2099-01-01T00:00:00Z"),
      timeLimit: 30,
      softTimeLimit: 20,
      ignoreResult: false,
      properties: expect.objectContaining({ correlation_id: "t1" }),
      correlationId: "t1",
      replyTo: "rq",
      origin: "gen1@client",
      lang: "js",
      shadow: "s",
      deliveryInfo: { exchange: "", routingKey: "celery", priority: 3, redelivered: true },
      headers: { "x-tenant": "acme" },
      stamps: { k: "v" },
      stampedHeaders: ["k"],
      replacedTaskNesting: 1,
      hostname: rig.worker?.hostname,
      calledDirectly: false,
      isEager: false,
    },
  ]);
});
