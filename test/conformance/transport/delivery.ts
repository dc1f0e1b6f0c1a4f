/** Publishing, fetching, order, priorities, prefetch. */
import { describe, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { ids, taskMessage, toQueue } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

export function deliveryTests(suite: Suite): void {
  describe("delivery", () => {
    test("a message arrives as it was sent", async () => {
      const queue = suite.name();
      const message = taskMessage("äöü 🍃", {
        headers: { deep: { list: [1, 2.5, null, true, "x"] }, text: "line\nbreak \u2028" },
        properties: { reply_to: "somebody", priority: 7 },
      });
      const producer = await suite.open("producer");
      const before = await suite.broker.now();
      await producer.publish(
        [{ message, exchange: "", type: "direct", routingKey: queue, priority: 7 }],
        null,
      );
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      expect(delivery?.queue).toBe(queue);
      expect(delivery?.tag).not.toBe("");
      expect(delivery?.redelivered).toBe(false);
      expect(delivery?.deliveryCount).toBe(0);
      expect(delivery?.serverTimeMs).toBeGreaterThanOrEqual(before - 1);
      expect(delivery?.serverTimeMs).toBeLessThanOrEqual((await suite.broker.now()) + 1);
      expect(delivery?.message.headers).toEqual(message.headers);
      expect(text(delivery?.message.body)).toBe(message.body);
      expect(delivery?.message.contentType).toBe("application/json");
      expect(delivery?.message.contentEncoding).toBe("utf-8");
      expect(delivery?.message.properties).toMatchObject({
        correlation_id: "äöü 🍃",
        delivery_mode: 2,
        reply_to: "somebody",
        priority: 7,
        delivery_info: { exchange: "", routing_key: queue },
      });
    });

    test("a binary body arrives byte for byte", async () => {
      const queue = suite.name();
      const body = Uint8Array.from({ length: 256 }, (_, i) => i);
      const message = taskMessage("bin", {
        body,
        contentType: "application/data",
        contentEncoding: "binary",
      });
      const producer = await suite.open("producer");
      await producer.publish(
        [{ message, exchange: "", type: "direct", routingKey: queue, priority: 0 }],
        null,
      );
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      expect(Buffer.from(delivery?.message.body ?? "")).toEqual(Buffer.from(body));
      expect(delivery?.message.contentEncoding).toBe("binary");
    });

    test("messages come in the order they were published, over calls that were not awaited too", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      const sent = numbered(60);
      const calls: Promise<void>[] = [];
      for (let i = 0; i < sent.length; i += 3) {
        calls.push(
          producer.publish(
            sent.slice(i, i + 3).map((id) => toQueue(queue, id)),
            null,
          ),
        );
      }
      await Promise.all(calls);
      const inbox = await suite.consume(queue);
      expect(ids(await inbox.take(60))).toEqual(sent);
    });

    test("every delivery has a tag of its own", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(40));
      const first = await suite.consume(queue, { prefetch: 20 });
      const second = await suite.consume(queue, { prefetch: 20 });
      const all = [...(await first.take(20)), ...(await second.take(20))];
      expect(new Set(all.map((one) => one.tag)).size).toBe(40);
    });

    test("a message that was published once is delivered once, whoever waits for it", async () => {
      const queue = suite.name();
      const inboxes = [await suite.consume(queue), await suite.consume(queue), await suite.consume(queue)];
      await suite.send(queue, numbered(30));
      await eventually("all arrived", () => inboxes.reduce((n, one) => n + one.deliveries.length, 0) >= 30);
      await Promise.all(inboxes.map((one) => one.ack(one.deliveries)));
      const seen = inboxes.flatMap((one) => ids(one.deliveries));
      expect(seen.sort()).toEqual(numbered(30).sort());
      expect(await inboxes[0]?.transport.size(queue)).toBe(0);
    });

    test("an idle consumer is woken by a publish", async () => {
      const queue = suite.name();
      const inbox = await suite.consume(queue);
      await inbox.until(
        () => inbox.consumer.state === "live",
        () => "live",
      );
      const producer = await suite.open("producer");
      const started = performance.now();
      for (const id of numbered(20)) {
        await producer.publish([toQueue(queue, id)], null);
        const [delivery] = await inbox.take(1);
        expect(ids(delivery ? [delivery] : [])).toEqual([id]);
        await inbox.ack(delivery ? [delivery] : []);
      }
      // A poll alone would need a second or more for each.
      expect(performance.now() - started).toBeLessThan(8_000);
    });

    test("an acked message is gone", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(5));
      const inbox = await suite.consume(queue);
      await inbox.ack(await inbox.take(5));
      await inbox.transport.stop();
      await suite.send(queue, ["fence"]);
      expect(ids(await suite.rest(queue, 1))).toEqual(["fence"]);
    });

    test("publishing nothing is no error", async () => {
      const producer = await suite.open("producer");
      await expect(producer.publish([], null)).resolves.toBeUndefined();
    });

    test("a big message arrives whole", async () => {
      const queue = suite.name();
      const body = JSON.stringify([["x".repeat(3_000_000)], {}, {}]);
      const producer = await suite.open("producer");
      const message = taskMessage("big", { body });
      await producer.publish(
        [{ message, exchange: "", type: "direct", routingKey: queue, priority: 0 }],
        null,
      );
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      expect(text(delivery?.message.body).length).toBe(body.length);
      await inbox.ack(delivery ? [delivery] : []);
    });
  });

  describe("prefetch", () => {
    test("never more are unsettled than prefetch says", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(200));
      const inbox = await suite.consume(queue, { prefetch: 7 });
      let done = 0;
      while (done < 200) {
        const batch = await inbox.take(Math.min(3, 200 - done));
        done += batch.length;
        await inbox.ack(batch);
      }
      expect(inbox.mostHeld).toBe(7);
    });

    test("what is beyond prefetch stays for others", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(5));
      const inbox = await suite.consume(queue, { prefetch: 2 });
      await inbox.take(2);
      expect(ids(await suite.rest(queue, 3))).toEqual(["m2", "m3", "m4"]);
      expect(inbox.deliveries.length).toBe(2);
    });

    test("prefetch 0 takes nothing until it is raised", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(3));
      const inbox = await suite.consume(queue, { prefetch: 0 });
      const other = await suite.consume(queue, { prefetch: 1 });
      await other.ack(await other.take(1));
      await other.consumer.close();
      expect(inbox.deliveries).toEqual([]);
      inbox.consumer.setPrefetch(5);
      await inbox.take(1);
    });

    test("a lowered prefetch holds from then on", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(8));
      const inbox = await suite.consume(queue, { prefetch: 4 });
      const first = await inbox.take(4);
      inbox.consumer.setPrefetch(2);
      await inbox.ack(first.slice(0, 2));
      expect(ids(await suite.rest(queue, 4))).toEqual(["m4", "m5", "m6", "m7"]);
      expect(inbox.deliveries.length).toBe(4);
      await inbox.ack(first.slice(2));
      await suite.send(queue, numbered(4, "n"));
      expect(ids(await inbox.take(2))).toEqual(["n0", "n1"]);
      expect(inbox.mostHeld).toBe(4);
    });

    test("settling inside the callback frees the slot", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(50));
      const inbox = await suite.consume(queue, { prefetch: 1, settleAs: () => ({ kind: "ack" }) });
      expect(ids(await inbox.take(50))).toEqual(numbered(50));
      await eventually("the queue is empty", async () => (await inbox.transport.size(queue)) === 0);
    });
  });

  describe("priority", () => {
    test("lower numbers first, in the order of sending inside a step", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      const priorities = [9, 5, 0, 3, 8, 1, 6, 2, 7, 4];
      await producer.publish(
        priorities.map((priority) => toQueue(queue, `p${priority}`, priority)),
        null,
      );
      const inbox = await suite.consume(queue, { prefetch: 1 });
      // Steps 0, 3, 6, 9.
      expect(await inbox.drain(10)).toEqual(["p0", "p1", "p2", "p5", "p3", "p4", "p8", "p6", "p7", "p9"]);
    });

    test("a batch keeps that order", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish(
        [9, 0, 3, 9, 0, 6].map((priority, i) => toQueue(queue, `${i}p${priority}`, priority)),
        null,
      );
      const inbox = await suite.consume(queue, { prefetch: 50 });
      expect(ids(await inbox.take(6))).toEqual(["1p0", "4p0", "2p3", "5p6", "0p9", "3p9"]);
    });

    test("numbers beyond 0-9 are clamped", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish(
        [12, 9, -3, 0].map((priority) => toQueue(queue, `p${priority}`, priority)),
        null,
      );
      const inbox = await suite.consume(queue, { prefetch: 1 });
      expect(await inbox.drain(4)).toEqual(["p-3", "p0", "p12", "p9"]);
    });

    test("priority_steps decides which are told apart", async () => {
      const queue = suite.name();
      const transport = { options: { priority_steps: [0, 5] } };
      const producer = await suite.open("producer", transport);
      await producer.publish(
        [9, 4, 5, 0].map((priority) => toQueue(queue, `p${priority}`, priority)),
        null,
      );
      const inbox = await suite.consume(queue, { prefetch: 1, transport });
      expect(await inbox.drain(4)).toEqual(["p4", "p0", "p9", "p5"]);
    });

    test("a step of one queue goes before the next step of all queues", async () => {
      const [one, two] = [suite.name(), suite.name()];
      const producer = await suite.open("producer");
      await producer.publish(
        [toQueue(one, "one9", 9), toQueue(one, "one3", 3), toQueue(two, "two0", 0), toQueue(two, "two3", 3)],
        null,
      );
      const inbox = await suite.consume([one, two], { prefetch: 1 });
      const order = await inbox.drain(4);
      expect(order[0]).toBe("two0");
      expect(order.slice(1, 3).sort()).toEqual(["one3", "two3"]);
      expect(order[3]).toBe("one9");
    });

    test("an urgent message overtakes what still waits", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(10), 9);
      const inbox = await suite.consume(queue, { prefetch: 1 });
      const first = await inbox.take(1);
      await suite.send(queue, ["urgent"], 0);
      await inbox.ack(first);
      expect(ids(await inbox.take(1))).toEqual(["urgent"]);
    });
  });
}

function text(body: Uint8Array | string | undefined): string {
  return typeof body === "string" ? body : Buffer.from(body ?? []).toString();
}
