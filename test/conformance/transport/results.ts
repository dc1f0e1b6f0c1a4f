/** Acknowledging and storing a result in one step. */
import { describe, expect, test } from "vitest";
import { toQueue } from "../inbox.ts";
import { numbered, resultWrite, type Suite } from "./harness.ts";

export function resultTests(suite: Suite): void {
  describe("ack-with-result", () => {
    test("stores the value with its time to live and acknowledges", async () => {
      const queue = suite.name();
      const key = suite.name("celery-task-meta-");
      await suite.send(queue, ["m0"]);
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      const write = resultWrite(inbox.transport, key, { value: '{"status": "SUCCESS", "result": "ü🍃"}' });
      expect(await inbox.settle(delivery!, { kind: "ack-with-result", write })).toBe("done");
      expect(await suite.broker.raw.result(key)).toBe(write.value);
      const ttl = await suite.broker.raw.ttl(key);
      expect(ttl).toBeGreaterThan(55);
      expect(ttl).toBeLessThanOrEqual(60);
      await inbox.transport.stop();
      await suite.send(queue, ["fence"]);
      expect((await suite.rest(queue, 1)).map((one) => one.message.headers["id"])).toEqual(["fence"]);
    });

    test("a time to live of 0 keeps it for ever", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0", "m1"]);
      const inbox = await suite.consume(queue);
      const deliveries = await inbox.take(2);
      const keys = [suite.name("meta"), suite.name("meta")];
      for (const [i, ttlSeconds] of [0, -1].entries()) {
        const write = resultWrite(inbox.transport, keys[i] ?? "", { ttlSeconds });
        expect(await inbox.settle(deliveries[i]!, { kind: "ack-with-result", write })).toBe("done");
        expect(await suite.broker.raw.ttl(keys[i] ?? "")).toBe(-1);
      }
    });

    test("a stored SUCCESS is kept, other states are overwritten", async () => {
      const queue = suite.name();
      const key = suite.name("meta");
      const text = (status: string, result: unknown): string =>
        JSON.stringify({ status, result, traceback: null, children: [], task_id: key });
      const steps: readonly (readonly [value: string, keepSuccess: boolean, stored: string])[] = [
        [
          text("STARTED", { note: '"status": "SUCCESS"' }),
          true,
          text("STARTED", { note: '"status": "SUCCESS"' }),
        ],
        [text("FAILURE", 1), true, text("FAILURE", 1)],
        [text("SUCCESS", 2), true, text("SUCCESS", 2)],
        [text("FAILURE", 3), true, text("SUCCESS", 2)],
        [text("SUCCESS", 4), true, text("SUCCESS", 2)],
        [text("RETRY", 5), false, text("RETRY", 5)],
      ];
      await suite.send(queue, numbered(steps.length));
      const inbox = await suite.consume(queue);
      for (const [value, keepSuccess, stored] of steps) {
        const [delivery] = await inbox.take(1);
        const write = resultWrite(inbox.transport, key, { value, keepSuccess });
        expect(await inbox.settle(delivery!, { kind: "ack-with-result", write })).toBe("done");
        expect(await suite.broker.raw.result(key)).toBe(stored);
      }
      expect(await inbox.transport.size(queue)).toBe(0);
    });

    test("text that is no result is overwritten", async () => {
      const queue = suite.name();
      const key = suite.name("meta");
      const values = ["not json", "5", "[]", "null", '{"status":7}', ""];
      await suite.send(queue, numbered(values.length));
      const inbox = await suite.consume(queue);
      for (const value of values) {
        const [delivery] = await inbox.take(1);
        const write = resultWrite(inbox.transport, key, { value });
        expect(await inbox.settle(delivery!, { kind: "ack-with-result", write })).toBe("done");
        expect(await suite.broker.raw.result(key)).toBe(value);
      }
    });

    test("bytes are stored byte for byte", async () => {
      const queue = suite.name();
      const key = suite.name("meta");
      await suite.send(queue, ["m0"]);
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      const value = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => 255 - i));
      const write = resultWrite(inbox.transport, key, { value });
      expect(await inbox.settle(delivery!, { kind: "ack-with-result", write })).toBe("done");
      expect(await suite.broker.raw.resultBytes(key)).toEqual(value);
    });

    test("many of one turn, small and big, with acks between them", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish(
        numbered(700).map((id) => toQueue(queue, id)),
        null,
      );
      const inbox = await suite.consume(queue, { prefetch: 700 });
      const deliveries = await inbox.take(700);
      const prefix = suite.name("meta");
      const answers = await Promise.all(
        deliveries.map((delivery, i) => {
          if (i % 7 === 0) return inbox.settle(delivery, { kind: "ack" });
          const value = JSON.stringify({
            status: "SUCCESS",
            result: "x".repeat(i % 100 === 1 ? 200_000 : i),
          });
          const write = resultWrite(inbox.transport, `${prefix}-${i}`, { value });
          return inbox.settle(delivery, { kind: "ack-with-result", write });
        }),
      );
      expect(new Set(answers)).toEqual(new Set(["done"]));
      for (const i of [1, 2, 101, 352, 699]) {
        const value = JSON.parse((await suite.broker.raw.result(`${prefix}-${i}`)) ?? "null") as {
          result: string;
        };
        expect(value.result.length).toBe(i % 100 === 1 ? 200_000 : i);
      }
      expect(await suite.broker.raw.result(`${prefix}-7`)).toBeNull();
    });

    test("a hold that is over answers gone", async () => {
      const queue = suite.name();
      const key = suite.name("meta");
      await suite.send(queue, ["m0"]);
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      await inbox.ack([delivery!]);
      const write = resultWrite(inbox.transport, key);
      expect(await inbox.consumer.settle(delivery!, { kind: "ack-with-result", write })).toBe("gone");
    });
  });
}
