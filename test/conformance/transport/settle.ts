/** Settlements, closing, pausing, what cannot be decoded. */
import { describe, expect, test } from "vitest";
import { idOf, ids, toQueue } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

/** What was to run in this turn of the event loop, or in the next one, has run. */
async function oneTurn(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
}

export function settleTests(suite: Suite): void {
  describe("settle", () => {
    test("requeue puts a message at the back, marked as redelivered, its count unchanged", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(3));
      const inbox = await suite.consume(queue, { prefetch: 1 });
      const [first] = await inbox.take(1);
      expect(await inbox.settle(first!, { kind: "requeue" })).toBe("done");
      expect(await inbox.drain(2)).toEqual(["m1", "m2"]);
      const [again] = await inbox.take(1);
      expect(idOf(again!)).toBe("m0");
      expect(again?.redelivered).toBe(true);
      expect(again?.deliveryCount).toBe(0);
      expect(again?.tag).not.toBe(first?.tag);
      expect(again?.message.headers).toEqual({ ...first?.message.headers, redelivered: true });
      expect(again?.message.properties["delivery_info"]).toMatchObject({
        routing_key: queue,
        redelivered: true,
      });
      expect(Buffer.from(again?.message.body ?? "")).toEqual(Buffer.from(first?.message.body ?? ""));
    });

    test("requeue keeps the priority", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish([toQueue(queue, "low", 9), toQueue(queue, "low2", 9)], null);
      const inbox = await suite.consume(queue, { prefetch: 1 });
      const [low] = await inbox.take(1);
      await producer.publish([toQueue(queue, "high", 0)], null);
      await inbox.settle(low!, { kind: "requeue" });
      expect(await inbox.drain(3)).toEqual(["high", "low2", "low"]);
    });

    test("a message may be requeued again and again", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0"]);
      const inbox = await suite.consume(queue);
      for (let i = 0; i < 10; i++) {
        const [delivery] = await inbox.take(1);
        expect(delivery?.deliveryCount).toBe(0);
        expect(await inbox.settle(delivery!, { kind: "requeue" })).toBe("done");
      }
      await inbox.ack(await inbox.take(1));
      expect(await inbox.transport.size(queue)).toBe(0);
    });

    test("a second settlement of a delivery answers gone and does nothing", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0", "m1"]);
      const inbox = await suite.consume(queue, { prefetch: 2 });
      const [first, second] = await inbox.take(2);
      expect(await inbox.consumer.settle(first!, { kind: "ack" })).toBe("done");
      expect(await inbox.consumer.settle(first!, { kind: "ack" })).toBe("gone");
      expect(await inbox.consumer.settle(first!, { kind: "requeue" })).toBe("gone");
      expect(await inbox.consumer.settle(first!, { kind: "park", untilMs: 0 })).toBe("gone");
      expect(await inbox.consumer.settle(first!, { kind: "dead", reason: "late" })).toBe("gone");
      await inbox.consumer.settle(second!, { kind: "requeue" });
      expect(ids(await inbox.take(1))).toEqual(["m1"]);
      expect(await inbox.transport.size(queue)).toBe(0);
      expect(await inbox.transport.size(`${queue}.dead`)).toBe(0);
    });

    test("two settlements of one turn: the first counts", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0"]);
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      const answers = await Promise.all([
        inbox.consumer.settle(delivery!, { kind: "ack" }),
        inbox.consumer.settle(delivery!, { kind: "requeue" }),
      ]);
      expect(answers).toEqual(["done", "gone"]);
      await suite.send(queue, ["fence"]);
      expect(ids(await inbox.take(1))).toEqual(["fence"]);
    });

    test("a thousand settlements of one turn all count", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(1000));
      const inbox = await suite.consume(queue, { prefetch: 1000 });
      await inbox.ack(await inbox.take(1000));
      await inbox.transport.stop();
      await suite.send(queue, ["fence"]);
      expect(ids(await suite.rest(queue, 1))).toEqual(["fence"]);
    });

    test("dead puts a message on its queue's dead list, with a line that says why", async () => {
      const queue = suite.name();
      await suite.send(queue, ["bad", "good"], 3);
      const inbox = await suite.consume(queue, { prefetch: 1 });
      const [bad] = await inbox.take(1);
      expect(await inbox.settle(bad!, { kind: "dead", reason: 'no "sense"\nat all' })).toBe("done");
      expect(ids(await inbox.take(1))).toEqual(["good"]);
      expect(await inbox.transport.size(`${queue}.dead`)).toBe(1);
      const [entry = ""] = await suite.broker.raw.list(`${queue}.dead`);
      const cut = entry.indexOf("\n");
      expect(JSON.parse(entry.slice(0, cut))).toMatchObject({
        queue,
        reason: 'no "sense"\nat all',
        count: 0,
      });
      expect(JSON.parse(entry.slice(cut + 1))).toMatchObject({ headers: { id: "bad" } });
    });
  });

  describe("close and pause", () => {
    test("close puts back what was not settled: at the front, in order, count unchanged", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(6));
      const inbox = await suite.consume(queue, { prefetch: 4 });
      const held = await inbox.take(4);
      await inbox.ack([held[1]!]);
      await suite.broker.now();
      inbox.consumer.setPrefetch(3);
      await inbox.consumer.close();
      const rest = await suite.rest(queue, 5);
      expect(ids(rest)).toEqual(["m0", "m2", "m3", "m4", "m5"]);
      expect(rest.map((one) => one.deliveryCount)).toEqual([0, 0, 0, 0, 0]);
    });

    test("close keeps queues and priorities apart", async () => {
      const [one, two] = [suite.name(), suite.name()];
      const producer = await suite.open("producer");
      const messages = [0, 9, 0, 9].flatMap((priority, i) => [
        toQueue(one, `one${i}`, priority),
        toQueue(two, `two${i}`, priority),
      ]);
      await producer.publish(messages, null);
      const inbox = await suite.consume([one, two], { prefetch: 50 });
      await inbox.take(8);
      await inbox.consumer.close();
      expect(ids(await suite.rest(one, 4))).toEqual(["one0", "one2", "one1", "one3"]);
      expect(ids(await suite.rest(two, 4))).toEqual(["two0", "two2", "two1", "two3"]);
    });

    test("close right after consume loses nothing and delivers nothing afterwards", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(50));
      for (let round = 0; round < 5; round++) {
        const inbox = await suite.consume(queue);
        await inbox.consumer.close();
        const count = inbox.deliveries.length;
        await oneTurn();
        await suite.broker.now();
        expect(inbox.deliveries.length).toBe(count);
      }
      expect(ids(await suite.rest(queue, 50)).sort()).toEqual(numbered(50).sort());
    });

    test("settling after close answers gone, the message stays", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0"]);
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      await inbox.consumer.close();
      expect(await inbox.consumer.settle(delivery!, { kind: "ack" })).toBe("gone");
      expect(ids(await suite.rest(queue, 1))).toEqual(["m0"]);
    });

    test("a settlement and close of one turn: the settlement counts", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0", "m1"]);
      const inbox = await suite.consume(queue);
      const [first] = await inbox.take(2);
      const answer = inbox.consumer.settle(first!, { kind: "ack" });
      await inbox.consumer.close();
      expect(await answer).toBe("done");
      expect(ids(await suite.rest(queue, 1))).toEqual(["m1"]);
    });

    test("close may be called twice, and the state is told", async () => {
      const inbox = await suite.consume(suite.name());
      await inbox.until(
        () => inbox.states.includes("live"),
        () => "live",
      );
      await Promise.all([inbox.consumer.close(), inbox.consumer.close()]);
      await inbox.consumer.close();
      expect(inbox.consumer.state).toBe("closed");
      expect(inbox.states.filter((state) => state === "closed")).toEqual(["closed"]);
    });

    test("a paused consumer takes nothing but settles, a resumed one goes on", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(2));
      const inbox = await suite.consume(queue, { prefetch: 4 });
      const held = await inbox.take(2);
      await inbox.consumer.pause();
      await inbox.ack(held);
      await suite.send(queue, numbered(3, "n"));
      expect(ids(await suite.rest(queue, 3))).toEqual(numbered(3, "n"));
      expect(inbox.deliveries.length).toBe(2);
      await suite.send(queue, ["late"]);
      inbox.consumer.resume();
      expect(ids(await inbox.take(1))).toEqual(["late"]);
    });

    test("after pause has resolved no delivery comes", async () => {
      const queue = suite.name();
      for (let round = 0; round < 5; round++) {
        // In some rounds there is something to fetch already, in others it comes.
        const early = round % 2 === 0;
        if (early) await suite.send(queue, numbered(20));
        const inbox = await suite.consume(queue, { prefetch: 50 });
        const sent = early ? null : suite.send(queue, numbered(20));
        await inbox.consumer.pause();
        const count = inbox.deliveries.length;
        await sent;
        await oneTurn();
        await suite.broker.now();
        expect(inbox.deliveries.length).toBe(count);
        inbox.consumer.resume();
        await inbox.ack(await inbox.take(20));
        await inbox.consumer.close();
      }
    });

    test("stop puts nothing out of reach", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(4));
      const inbox = await suite.consume(queue);
      await inbox.take(4);
      await inbox.consumer.close();
      await inbox.transport.stop();
      expect(ids(await suite.rest(queue, 4))).toEqual(numbered(4));
    });
  });

  describe("what cannot be decoded", () => {
    const bad = [
      "",
      "hello",
      "5",
      "null",
      "[]",
      '"text"',
      "{",
      "{}",
      "[".repeat(100_000),
      `{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
      "\u0000\ufffd\u2028",
      // Begins and ends like an envelope.
      '{"body":"x","headers":{,"properties":{"delivery_info":{},"delivery_tag":"0-1"}}',
      '{"body": "x", "properties": {"delivery_info": {}, oops, "delivery_tag": "0-1"}}',
    ];

    test("goes to the default queue's dead list, is told, and does not stop the others", async () => {
      const queue = suite.name();
      const defaultQueue = suite.name();
      for (const raw of bad) await suite.broker.raw.push(queue, raw);
      await suite.send(queue, ["good"]);
      const inbox = await suite.consume(queue, { transport: { defaultQueue } });
      expect(ids(await inbox.take(1))).toEqual(["good"]);
      await inbox.until(
        () => inbox.dead.length >= bad.length,
        () => `${bad.length} told, not ${inbox.dead.length}`,
      );
      expect(inbox.dead.map((one) => one.queue)).toEqual(bad.map(() => queue));
      expect(inbox.dead.every((one) => one.reason !== "")).toBe(true);
      expect(inbox.dead.map((one) => one.raw.slice(0, 40)).sort()).toEqual(
        bad.map((raw) => raw.slice(0, 40)).sort(),
      );
      expect(await inbox.transport.size(`${defaultQueue}.dead`)).toBe(bad.length);
      const [entry = ""] = await suite.broker.raw.list(`${defaultQueue}.dead`);
      const line = JSON.parse(entry.slice(0, entry.indexOf("\n"))) as Record<string, unknown>;
      expect(line["queue"]).toBe(queue);
      expect(typeof line["reason"]).toBe("string");
      await inbox.ack([inbox.deliveries[0]!]);
      expect(await inbox.transport.size(queue)).toBe(0);
    });

    test("hundreds in a row do not block the queue", async () => {
      const queue = suite.name();
      for (let i = 0; i < 350; i++) await suite.broker.raw.push(queue, `bad ${i}`);
      await suite.send(queue, ["good"]);
      const inbox = await suite.consume(queue, { prefetch: 1, transport: { defaultQueue: suite.name() } });
      expect(ids(await inbox.take(1))).toEqual(["good"]);
      expect(inbox.dead.length).toBe(350);
    });

    test("a hostile message does not reach the prototypes", async () => {
      const queue = suite.name();
      const properties = `{"delivery_tag":"t","delivery_info":{"exchange":"","routing_key":"${queue}"},"body_encoding":"base64","__proto__":{"polluted":1}}`;
      const headers =
        '{"task":"t","id":"x","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
      await suite.broker.raw.push(
        queue,
        `{"body":"W1tdLHt9LHt9XQ==","content-type":"application/json","content-encoding":"utf-8","headers":${headers},"properties":${properties},"__proto__":{"polluted":1}}`,
      );
      await suite.send(queue, ["good"]);
      const inbox = await suite.consume(queue, { transport: { defaultQueue: suite.name() } });
      await inbox.until(
        () => inbox.deliveries.some((one) => idOf(one) === "good"),
        () => "the good one",
      );
      expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
      for (const one of inbox.deliveries) {
        expect((one.message.headers as Record<string, unknown>)["polluted"]).toBeUndefined();
      }
    });
  });
}
