/** Start, stop, failed publishes, loss of a holder, a server that restarts. */
import { describe, expect, test } from "vitest";
import { EncodeError } from "../../../src/errors.ts";
import { eventually } from "../../support/eventually.ts";
import { idOf, ids, taskMessage, toQueue } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

interface Failure {
  readonly name: string;
  readonly code: string;
  readonly outcome: string | null;
}

/** What a promise rejected with; the build's classes are not the sources', so their fields are looked at. */
async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason as Failure,
  );
  if (error === null) throw new Error("it did not reject");
  return error;
}

export function lifecycleTests(suite: Suite): void {
  describe("start and stop", () => {
    test("stop may be called twice, together, and without a start", async () => {
      const never = await suite.create("worker");
      await never.stop();
      await never.stop();
      const transport = await suite.open("worker");
      await Promise.all([transport.stop(), transport.stop()]);
      await transport.stop();
      const late = transport.publish([toQueue(suite.name(), "m0")], null);
      expect((await failureOf(late)).outcome).toBe("not sent");
    });

    test("a start that was aborted rejects", async () => {
      const transport = await suite.create("worker");
      expect((await failureOf(transport.start(AbortSignal.abort()))).name).toMatch(/Error$/);
    });

    test("publishing after stop rejects: not sent", async () => {
      const queue = suite.name();
      const transport = await suite.open("producer");
      await transport.stop();
      const failure = await failureOf(transport.publish([toQueue(queue, "m0")], null));
      expect([failure.name, failure.outcome]).toEqual(["OperationalError", "not sent"]);
      const other = await suite.open("producer");
      expect(await other.size(queue)).toBe(0);
    });

    test("publishing with a signal that was aborted rejects: not sent", async () => {
      const queue = suite.name();
      const transport = await suite.open("producer");
      const failure = await failureOf(transport.publish([toQueue(queue, "m0")], AbortSignal.abort()));
      expect(failure.outcome).toBe("not sent");
      expect(await transport.size(queue)).toBe(0);
    });

    test("a message that cannot be encoded is refused and keeps the others of its call out", async () => {
      const queue = suite.name();
      const transport = await suite.open("producer");
      const loop: Record<string, unknown> = {};
      loop["self"] = loop;
      const bad = { ...toQueue(queue, "bad"), message: taskMessage("bad", { headers: { loop } }) };
      const failure = await failureOf(transport.publish([toQueue(queue, "m0"), bad], null));
      expect(failure.code).toBe(new EncodeError("").code);
      expect(await transport.size(queue)).toBe(0);
      await transport.publish([toQueue(queue, "m1")], null);
      expect(await transport.size(queue)).toBe(1);
    });

    test("a stopped transport's consumer is closed", async () => {
      const inbox = await suite.consume(suite.name());
      await inbox.transport.stop();
      expect(inbox.consumer.state).toBe("closed");
    });

    test("the location is the same for all transports of a broker", async () => {
      const [one, two] = [await suite.open("worker"), await suite.open("producer")];
      expect(one.location).toEqual(two.location);
      expect(one.capabilities).toEqual(suite.broker.capabilities);
    });
  });

  describe("a holder that is lost", () => {
    test("its messages come back in order, first, as redelivered, counted once", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(6));
      expect(await suite.broker.loseHolder({ queue, count: 4 })).toEqual(numbered(4));
      const inbox = await suite.consume(queue, {
        prefetch: 0,
        transport: { options: suite.broker.takeOverOptions },
      });
      await eventually("all are back", async () => (await inbox.transport.size(queue)) === 6, {
        timeoutMs: 40_000,
      });
      inbox.consumer.setPrefetch(6);
      const back = await inbox.take(6);
      expect(ids(back)).toEqual(numbered(6));
      expect(back.map((one) => one.redelivered)).toEqual([true, true, true, true, false, false]);
      expect(back.map((one) => one.deliveryCount)).toEqual([1, 1, 1, 1, 0, 0]);
      expect(back[0]?.message.properties["delivery_info"]).toMatchObject({ redelivered: true });
      await inbox.ack(back);
      expect(inbox.lost).toEqual([]);
    });

    test("a holder that lives keeps its messages, however long it needs", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(3));
      const inbox = await suite.consume(queue, { prefetch: 3 });
      const held = await inbox.take(3);
      const other = await suite.consume(queue);
      await suite.until((await suite.broker.now()) + 3 * (suite.broker.leaseMs ?? 0));
      await suite.send(queue, ["fence"]);
      expect(ids(await other.take(1))).toEqual(["fence"]);
      expect(inbox.deliveries.length + other.deliveries.length).toBe(4);
      expect(inbox.lost).toEqual([]);
      await inbox.ack(held);
    });

    test("a second loss counts only when the message had started", async () => {
      const [started, idle] = [suite.name(), suite.name()];
      const losses = [
        { queue: started, markStarted: false },
        { queue: idle, markStarted: false },
        { queue: started, markStarted: true },
        { queue: idle, markStarted: false },
      ];
      await suite.send(started, ["s0"]);
      await suite.send(idle, ["i0"]);
      const helper = await suite.open("worker", { options: suite.broker.takeOverOptions });
      // A worker of the fleet that takes nothing, so that somebody puts back.
      const { Inbox } = await import("../inbox.ts");
      const sweeper = new Inbox(helper, [suite.name()]);
      for (let i = 0; i < losses.length; i += 2) {
        await Promise.all(
          losses.slice(i, i + 2).map((loss) => suite.broker.loseHolder({ ...loss, count: 1 })),
        );
        if (i + 2 === losses.length) break;
        for (const queue of [started, idle]) {
          await eventually("it is back", async () => (await helper.size(queue)) === 1, { timeoutMs: 40_000 });
        }
      }
      await suite.until((await suite.broker.now()) + 2000);
      const back = await suite.consume([started, idle]);
      const deliveries = await back.take(2, 50_000);
      const counts = Object.fromEntries(deliveries.map((one) => [idOf(one), one.deliveryCount]));
      expect(counts).toEqual({ s0: 2, i0: 1 });
      await back.ack(deliveries);
      await sweeper.consumer.close();
    }, 120_000);
  });
}

/** For durable brokers. */
export function restartTests(suite: Suite): void {
  describe("a server that restarts", () => {
    test("nothing is lost, held deliveries settle, consuming and publishing go on", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(10));
      const inbox = await suite.consume(queue, { prefetch: 5 });
      const producer = await suite.open("producer");
      const held = await inbox.take(5);
      await suite.broker.crash?.();
      const failure = await failureOf(producer.publish([toQueue(queue, "down")], null));
      expect(failure.name.endsWith("Error")).toBe(true);
      expect(["not sent", "unknown"]).toContain(failure.outcome);
      const acks = held.map((one) => inbox.settle(one, { kind: "ack" }));
      await suite.broker.restart?.();
      expect(await Promise.all(acks)).toEqual(["done", "done", "done", "done", "done"]);
      const rest = await inbox.take(5, 20_000);
      expect(ids(rest)).toEqual(numbered(10).slice(5));
      await inbox.ack(rest);
      await eventually("publishing works again", async () => {
        await producer.publish([toQueue(queue, "up")], null);
        return true;
      });
      const [up] = await inbox.take(1);
      expect(idOf(up!)).toBe("up");
      expect(inbox.lost).toEqual([]);
    });

    test("a paused queue stays paused", async () => {
      const [paused, open] = [suite.name(), suite.name()];
      const operator = await suite.open("producer");
      await operator.paused.pause([paused]);
      await suite.send(paused, ["a"]);
      const inbox = await suite.consume([paused, open]);
      await suite.broker.crash?.();
      await suite.broker.restart?.();
      await suite.send(open, ["open"]);
      expect(ids(await inbox.take(1, 20_000))).toEqual(["open"]);
      expect(await operator.size(paused)).toBe(1);
      await operator.paused.resume([paused]);
      expect(ids(await inbox.take(1))).toEqual(["a"]);
    });

    test("declared queues and subscriptions are there again", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const transport = await suite.open("worker");
      await transport.declare([{ name: queue, exchange, type: "direct", routingKey: "k" }]);
      const heard: string[] = [];
      let gaps = 0;
      await transport.subscribe({
        exchange: `${exchange}fan`,
        routingKey: "",
        onMessage: (message) => heard.push(idOf({ message })),
        onGap: () => {
          gaps += 1;
        },
      });
      await suite.broker.crash?.();
      await suite.broker.restart?.();
      await eventually("a gap was told", () => gaps > 0, { timeoutMs: 20_000 });
      const producer = await suite.open("producer");
      const message = taskMessage("fan");
      const fanout = {
        message,
        exchange: `${exchange}fan`,
        type: "fanout" as const,
        routingKey: "",
        priority: 0,
      };
      await producer.publish([fanout], null);
      await producer.publish([{ ...toQueue("k", "direct"), exchange }], null);
      await eventually("heard", () => heard.length === 1);
      expect(await producer.size(queue)).toBe(1);
    });
  });
}
