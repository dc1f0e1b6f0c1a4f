import { describe, expect, test } from "vitest";
import { LamportClock } from "../../../src/base/lamport-clock.ts";
import { OperationalError } from "../../../src/errors.ts";
import { EventDispatcher, type EventDispatcherOptions } from "../../../src/events/dispatcher.ts";
import { EVENTS_IN_LIST } from "../../../src/protocol/events.ts";
import type { Outgoing } from "../../../src/transports/transport.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { NotingLogger, turns } from "../worker/support.ts";

interface Sent {
  readonly key: string;
  readonly body: Record<string, unknown> | Record<string, unknown>[];
}

class Broker {
  readonly sent: Sent[] = [];
  /** Of each publish, as they were made. */
  readonly writes: number[] = [];
  mode: "there" | "away" | "unknown" | "silent" | "none" = "there";

  readonly publish = (messages: readonly Outgoing[]): Promise<void> | null => {
    if (this.mode === "none") return null;
    this.writes.push(messages.length);
    if (this.mode === "away") return Promise.reject(new OperationalError("away", { outcome: "not sent" }));
    if (this.mode === "unknown") return Promise.reject(new OperationalError("lost", { outcome: "unknown" }));
    if (this.mode === "silent") return new Promise(() => {});
    for (const { message, routingKey, exchange, type } of messages) {
      if (exchange !== "celeryev" || type !== "fanout")
        throw new Error(`published to ${exchange}, a ${type}`);
      this.sent.push({ key: routingKey, body: JSON.parse(String(message.body)) as Sent["body"] });
    }
    return Promise.resolve();
  };

  get uuids(): unknown[] {
    return this.sent.flatMap(({ body }) => [body].flat().map((one) => one["uuid"]));
  }
}

function setup(options: Partial<EventDispatcherOptions> = {}): {
  broker: Broker;
  dispatcher: EventDispatcher;
  logger: NotingLogger;
  clock: VirtualClock;
} {
  const broker = new Broker();
  const logger = new NotingLogger();
  const clock = new VirtualClock();
  const dispatcher = new EventDispatcher({
    hostname: "w@h",
    exchange: "celeryev",
    serializer: "json",
    publish: broker.publish,
    clock,
    lamport: new LamportClock(),
    logger,
    ...options,
  });
  return { broker, dispatcher, logger, clock };
}

const collect = (dispatcher: EventDispatcher, count: number, from = 0): void => {
  for (let n = from; n < from + count; n += 1) dispatcher.collect("task-started", `,"uuid":"t${n}"`);
};
const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => `t${from + n}`);

describe("events of tasks", () => {
  test("of one turn leave in one list, at its end", async () => {
    const { broker, dispatcher } = setup();
    collect(dispatcher, 3);
    expect(broker.sent).toEqual([]);
    await turns(2);
    expect(broker.sent.map(({ key }) => key)).toEqual(["task.multi"]);
    expect(broker.uuids).toEqual(ids(0, 3));
  });

  test("a full list ends, and all of a turn leave in one write", async () => {
    const { broker, dispatcher } = setup();
    collect(dispatcher, EVENTS_IN_LIST * 2 + 1);
    await turns(2);
    expect(broker.sent.map(({ body }) => (body as unknown[]).length)).toEqual([
      EVENTS_IN_LIST,
      EVENTS_IN_LIST,
      1,
    ]);
    expect(broker.writes).toEqual([3]);
  });

  test("the logical clock grows with each", async () => {
    const { broker, dispatcher } = setup();
    collect(dispatcher, 3);
    dispatcher.flush();
    expect([broker.sent[0]?.body].flat().map((one) => one?.["clock"])).toEqual([1, 2, 3]);
  });
});

test("other events leave alone and at once, on the routing key of their type", () => {
  const { broker, dispatcher, clock } = setup();
  dispatcher.send("worker-elect-ack", { id: "e" });
  expect(broker.sent).toEqual([
    {
      key: "worker.elect.ack",
      body: {
        hostname: "w@h",
        utcoffset: Math.floor(new Date(clock.now()).getTimezoneOffset() / 60),
        pid: process.pid,
        clock: 1,
        id: "e",
        timestamp: clock.now() / 1000,
        type: "worker-elect-ack",
      },
    },
  ]);
});

test("a group that is off is not sent until it is on", () => {
  const { broker, dispatcher } = setup({ groups: ["worker"] });
  dispatcher.send("task-x", {});
  expect([broker.sent, dispatcher.sends("task"), dispatcher.sends("worker")]).toEqual([[], false, true]);
  dispatcher.enable("task");
  dispatcher.send("task-x", {});
  dispatcher.disable("task", ["worker"]);
  dispatcher.send("task-x", {});
  expect(broker.sent.length).toBe(1);
});

describe("while the broker is away", () => {
  test("events wait, and are sent in order when it is back", async () => {
    const { broker, dispatcher, clock, logger } = setup();
    broker.mode = "away";
    for (let n = 0; n < 5; n += 1) {
      collect(dispatcher, 1, n);
      dispatcher.flush();
      await turns(1);
    }
    expect(broker.writes.length).toBe(1);
    broker.mode = "there";
    clock.advance(1_000);
    await turns(2);
    expect(broker.uuids).toEqual(ids(0, 5));
    expect(logger.lines).toEqual([]);
  });

  test("the oldest are dropped when too many wait, and the log counts them", async () => {
    const { broker, dispatcher, clock, logger } = setup({ limits: { maxEvents: 10, maxBytes: 1e6 } });
    broker.mode = "none";
    for (let n = 0; n < 25; n += 1) {
      collect(dispatcher, 1, n);
      dispatcher.flush();
    }
    expect(dispatcher.dropped).toBe(15);
    broker.mode = "there";
    clock.advance(1_000);
    await turns(2);
    expect(broker.uuids).toEqual(ids(15, 25));
    expect(logger.lines.map(({ message, fields }) => [message, fields["dropped"]])).toEqual([
      ["the broker takes no events: the oldest ones that wait are dropped", undefined],
      ["events were dropped while the broker was away", 15],
    ]);
  });

  test("they are bounded by bytes too", () => {
    const { broker, dispatcher } = setup({ limits: { maxEvents: 1e6, maxBytes: 4_000 } });
    broker.mode = "none";
    for (let n = 0; n < 20; n += 1) dispatcher.send("task-x", { uuid: `t${n}`, text: "x".repeat(1_000) });
    expect(dispatcher.dropped).toBe(17);
  });

  test("a server that takes and does not answer is sent no more than so much", () => {
    const { broker, dispatcher } = setup();
    broker.mode = "silent";
    for (let n = 0; n < 500; n += 1) dispatcher.send("task-x", {});
    expect(broker.writes.length).toBe(64);
  });

  test("what may have arrived is not sent twice", async () => {
    const { broker, dispatcher, clock } = setup();
    broker.mode = "unknown";
    dispatcher.send("task-x", { uuid: "t0" });
    await turns(1);
    broker.mode = "there";
    dispatcher.send("task-x", { uuid: "t1" });
    clock.advance(1_000);
    await turns(1);
    expect(broker.uuids).toEqual(["t1"]);
    expect(dispatcher.dropped).toBe(1);
  });

  test("closing gives up what waits", async () => {
    const { broker, dispatcher, clock } = setup();
    broker.mode = "none";
    dispatcher.send("task-x", {});
    dispatcher.close();
    broker.mode = "there";
    clock.advance(10_000);
    dispatcher.send("task-x", {});
    expect([broker.sent, dispatcher.dropped]).toEqual([[], 2]);
  });
});
