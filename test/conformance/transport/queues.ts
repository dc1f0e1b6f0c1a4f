/** Several queues, their order, size and purge. */
import { describe, expect, test } from "vitest";
import { ids, toQueue } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

/** Names in their alphabetical order. */
function three(suite: Suite): [string, string, string] {
  const base = suite.name();
  return [`${base}-a`, `${base}-b`, `${base}-c`];
}

async function fill(suite: Suite, queues: readonly string[], each: number): Promise<void> {
  const producer = await suite.open("producer");
  await producer.publish(
    queues.flatMap((queue) => numbered(each, queue.slice(-1)).map((id) => toQueue(queue, id))),
    null,
  );
}

export function queueTests(suite: Suite): void {
  describe("several queues", () => {
    test("each gets its turn", async () => {
      const [a, b, c] = three(suite);
      await fill(suite, [a, b, c], 3);
      const inbox = await suite.consume([a, b, c], { prefetch: 1 });
      expect((await inbox.drain(9)).map((id) => id[0])).toEqual("abcabcabc".split(""));
    });

    test("each gets its turn inside a batch", async () => {
      const [a, b, c] = three(suite);
      await fill(suite, [a, b, c], 4);
      const inbox = await suite.consume([a, b, c], { prefetch: 50 });
      const order = ids(await inbox.take(12)).map((id) => id[0]);
      for (let i = 0; i < 12; i += 3)
        expect(new Set(order.slice(i, i + 3))).toEqual(new Set(["a", "b", "c"]));
    });

    test("an empty queue gives its neighbour no second turn", async () => {
      const [a, b, c] = three(suite);
      await fill(suite, [b, c], 4);
      const inbox = await suite.consume([a, b, c], { prefetch: 1 });
      expect((await inbox.drain(8)).map((id) => id[0])).toEqual("bcbcbcbc".split(""));
    });

    test("a busy queue does not starve a quiet one", async () => {
      const [a, b] = three(suite);
      await fill(suite, [a], 300);
      await fill(suite, [b], 1);
      const inbox = await suite.consume([a, b], { prefetch: 4 });
      let seen = 0;
      for (let found = false; !found; seen++) {
        const [delivery] = await inbox.take(1);
        found = delivery?.queue === b;
        if (delivery) await inbox.ack([delivery]);
      }
      expect(seen).toBeLessThan(12);
    });

    test("queue_order_strategy sorted drains by name", async () => {
      const [a, b, c] = three(suite);
      await fill(suite, [a, b, c], 3);
      const transport = { options: { queue_order_strategy: "sorted" } };
      const inbox = await suite.consume([c, a, b], { prefetch: 1, transport });
      expect((await inbox.drain(9)).map((id) => id[0])).toEqual("aaabbbccc".split(""));
    });

    test("queue_order_strategy priority drains in the order given, inside a batch too", async () => {
      const [a, b, c] = three(suite);
      await fill(suite, [a, b, c], 3);
      const transport = { options: { queue_order_strategy: "priority" } };
      const inbox = await suite.consume([c, a, b], { prefetch: 20, transport });
      expect(ids(await inbox.take(9)).map((id) => id[0])).toEqual("cccaaabbb".split(""));
    });

    test("a queue that was named twice is served once", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(4));
      const inbox = await suite.consume([queue, queue], { prefetch: 1 });
      expect(await inbox.drain(4)).toEqual(numbered(4));
    });

    test("other queues are left alone", async () => {
      const [a, b] = three(suite);
      await fill(suite, [a, b], 2);
      const inbox = await suite.consume(a);
      await inbox.ack(await inbox.take(2));
      expect(await inbox.transport.size(b)).toBe(2);
    });

    test("queues can be changed while consuming", async () => {
      const [a, b] = three(suite);
      await fill(suite, [a, b], 2);
      const inbox = await suite.consume(a);
      const held = await inbox.take(2);
      inbox.consumer.setQueues([b]);
      expect(ids(await inbox.take(2))).toEqual(["b0", "b1"]);
      await suite.send(a, ["a2"]);
      expect(ids(await suite.rest(a, 1))).toEqual(["a2"]);
      // What was taken from the queue before is still ours.
      await inbox.ack(held);
      await suite.send(b, ["b2"]);
      expect(ids(await inbox.take(1))).toEqual(["b2"]);
    });

    test("one transport serves several consumers", async () => {
      const [a, b] = three(suite);
      const first = await suite.consume(a);
      const producer = await suite.open("producer");
      const { Inbox } = await import("../inbox.ts");
      const second = new Inbox(first.transport, [b]);
      await producer.publish([toQueue(a, "a0"), toQueue(b, "b0"), toQueue(a, "a1")], null);
      expect(ids(await first.take(2))).toEqual(["a0", "a1"]);
      expect(ids(await second.take(1))).toEqual(["b0"]);
      await first.consumer.close();
      await producer.publish([toQueue(b, "b1")], null);
      expect(ids(await second.take(1))).toEqual(["b1"]);
    });

    test("a queue name may hold any character", async () => {
      const queue = `${suite.name()} ü:{x}*?[a]\n"'\\`;
      const inbox = await suite.consume(queue);
      await suite.send(queue, ["m0"], 3);
      const [delivery] = await inbox.take(1);
      expect(delivery?.queue).toBe(queue);
      await inbox.settle(delivery ?? never(), { kind: "requeue" });
      const [again] = await inbox.take(1);
      expect(again?.redelivered).toBe(true);
      await inbox.ack(again ? [again] : []);
    });
  });

  describe("size and purge", () => {
    test("size counts what waits in all steps, not what is held", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish(
        [0, 3, 6, 9, 9].map((priority, i) => toQueue(queue, `m${i}`, priority)),
        null,
      );
      expect(await producer.size(queue)).toBe(5);
      const inbox = await suite.consume(queue, { prefetch: 2 });
      await inbox.take(2);
      expect(await producer.size(queue)).toBe(3);
    });

    test("a queue that nobody has used has size 0", async () => {
      const producer = await suite.open("producer");
      expect(await producer.size(suite.name())).toBe(0);
      expect(await producer.purge(suite.name())).toBe(0);
    });

    test("purge deletes what waits and tells how many, held ones stay", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish(
        [0, 0, 3, 9].map((priority, i) => toQueue(queue, `m${i}`, priority)),
        null,
      );
      const inbox = await suite.consume(queue, { prefetch: 1 });
      const held = await inbox.take(1);
      expect(await producer.purge(queue)).toBe(3);
      expect(await producer.size(queue)).toBe(0);
      await inbox.ack(held);
      await suite.send(queue, ["next"]);
      expect(ids(await inbox.take(1))).toEqual(["next"]);
    });
  });
}

function never(): never {
  throw new Error("no delivery");
}
