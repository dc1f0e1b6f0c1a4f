/** Parking: ETA messages wait in the broker. */
import { describe, expect, test } from "vitest";
import type { Delivery } from "../../../src/transports/transport.ts";
import { Inbox, idOf, ids, toQueue } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

export function parkingTests(suite: Suite): void {
  describe("park", () => {
    test("a parked message comes back at its time, never before, as it was", async () => {
      const queue = suite.name();
      await suite.send(queue, ["later"]);
      const inbox = await suite.consume(queue);
      const [first] = await inbox.take(1);
      const untilMs = first!.serverTimeMs + 700;
      expect(await inbox.settle(first!, { kind: "park", untilMs })).toBe("done");
      // Somebody fetches meanwhile: it must not come along.
      await suite.send(queue, ["now"]);
      const [now] = await inbox.take(1);
      expect(idOf(now!)).toBe("now");
      await suite.until(untilMs - 20);
      await suite.send(queue, ["fence"]);
      await inbox.until(
        () => inbox.deliveries.some((one) => idOf(one) === "fence"),
        () => "the fence",
      );
      await suite.until(untilMs);
      const last = await inbox.take(2);
      const again = last.find((one) => idOf(one) === "later");
      expect(again?.serverTimeMs).toBeGreaterThanOrEqual(untilMs);
      expect(again?.redelivered).toBe(false);
      expect(again?.deliveryCount).toBe(0);
      expect(again?.tag).not.toBe(first?.tag);
      expect(again?.message).toEqual(first?.message);
      await inbox.ack([now!, ...last]);
    });

    test("a time that is over already brings it back at once", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0"]);
      const inbox = await suite.consume(queue);
      const [first] = await inbox.take(1);
      await inbox.settle(first!, { kind: "park", untilMs: first!.serverTimeMs - 1000 });
      const again = await inbox.take(1);
      expect(ids(again)).toEqual(["m0"]);
      await inbox.ack(again);
    });

    test("parked messages take no prefetch and do not count as waiting", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(4));
      const inbox = await suite.consume(queue, { prefetch: 1 });
      for (const id of numbered(3)) {
        const [delivery] = await inbox.take(1);
        expect(idOf(delivery!)).toBe(id);
        await inbox.settle(delivery!, { kind: "park", untilMs: delivery!.serverTimeMs + 600_000 });
      }
      expect(ids(await inbox.take(1))).toEqual(["m3"]);
      expect(await inbox.transport.size(queue)).toBe(0);
    });

    test("parked messages survive their holder", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0"]);
      const parker = await suite.consume(queue);
      const [delivery] = await parker.take(1);
      const untilMs = delivery!.serverTimeMs + 800;
      await parker.settle(delivery!, { kind: "park", untilMs });
      await parker.consumer.close();
      await parker.transport.stop();
      const other = await suite.consume(queue);
      await suite.until(untilMs);
      const [again] = await other.take(1);
      expect(again?.serverTimeMs).toBeGreaterThanOrEqual(untilMs);
      expect(again?.deliveryCount).toBe(0);
      expect(again?.redelivered).toBe(false);
    });

    test("what is due goes to the front, the earliest first", async () => {
      const queue = suite.name();
      await suite.send(queue, ["second", "third", "first"]);
      const inbox = await suite.consume(queue);
      const [second, third, first] = await inbox.take(3);
      const base = first!.serverTimeMs + 500;
      await Promise.all([
        inbox.settle(third!, { kind: "park", untilMs: base + 100 }),
        inbox.settle(first!, { kind: "park", untilMs: base }),
        inbox.settle(second!, { kind: "park", untilMs: base + 50 }),
      ]);
      await inbox.consumer.close();
      await suite.send(queue, ["waiting"]);
      await suite.until(base + 150);
      const other = await suite.consume(queue, { prefetch: 1 });
      expect(await other.drain(4)).toEqual(["first", "second", "third", "waiting"]);
    });

    test("a parked message keeps its priority", async () => {
      const queue = suite.name();
      await suite.send(queue, ["low"], 9);
      const inbox = await suite.consume(queue);
      const [low] = await inbox.take(1);
      const untilMs = low!.serverTimeMs + 300;
      await inbox.settle(low!, { kind: "park", untilMs });
      await inbox.consumer.close();
      await suite.send(queue, ["low2"], 9);
      await suite.send(queue, ["high"], 0);
      await suite.until(untilMs + 10);
      const other = await suite.consume(queue, { prefetch: 1 });
      expect(await other.drain(3)).toEqual(["high", "low", "low2"]);
    });

    test("an idle consumer that parked nothing learns of it", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0"]);
      const parker = await suite.consume(queue);
      const [delivery] = await parker.take(1);
      const idle = await suite.consume(queue);
      await idle.until(
        () => idle.states.includes("live"),
        () => "live",
      );
      const untilMs = delivery!.serverTimeMs + 500;
      await parker.settle(delivery!, { kind: "park", untilMs });
      await parker.consumer.close();
      await parker.transport.stop();
      await suite.until(untilMs);
      const [again] = await idle.take(1);
      expect(again?.serverTimeMs).toBeGreaterThanOrEqual(untilMs);
    });

    test("a time that is decades away is waited for", async () => {
      const queue = suite.name();
      await suite.send(queue, ["far"]);
      const inbox = await suite.consume(queue);
      const [far] = await inbox.take(1);
      await inbox.settle(far!, { kind: "park", untilMs: far!.serverTimeMs + 30 * 365 * 86_400_000 });
      await suite.send(queue, numbered(5));
      expect(ids(await inbox.take(5))).toEqual(numbered(5));
      expect(inbox.deliveries.length).toBe(6);
    });

    test("hundreds with mixed times: none early, each once", async () => {
      const queue = suite.name();
      const sent = numbered(300);
      await suite.send(queue, sent);
      const inbox = await suite.consume(queue, { prefetch: 300 });
      const due = new Map<string, number>();
      const all = await inbox.take(300);
      let latest = 0;
      await Promise.all(
        all.map((delivery, i) => {
          const untilMs = delivery.serverTimeMs + 300 + ((i * 7919) % 1500);
          due.set(idOf(delivery), untilMs);
          latest = Math.max(latest, untilMs);
          return inbox.settle(delivery, { kind: "park", untilMs });
        }),
      );
      const seen: Delivery[] = [];
      const step = 100;
      for (let ms = await suite.broker.now(); ms < latest + step; ms += step) await suite.until(ms);
      while (seen.length < 300) {
        const [delivery] = await inbox.take(1, 20_000);
        seen.push(delivery!);
        await inbox.ack([delivery!]);
      }
      expect(ids(seen).sort()).toEqual([...sent].sort());
      for (const one of seen) expect(one.serverTimeMs).toBeGreaterThanOrEqual(due.get(idOf(one)) ?? 0);
    });

    test("a requeued message that is parked keeps its mark", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish([toQueue(queue, "m0")], null);
      const inbox = new Inbox(await suite.open("worker"), [queue]);
      const [first] = await inbox.take(1);
      await inbox.settle(first!, { kind: "requeue" });
      const [second] = await inbox.take(1);
      const untilMs = second!.serverTimeMs + 200;
      await inbox.settle(second!, { kind: "park", untilMs });
      await suite.until(untilMs);
      const [third] = await inbox.take(1);
      expect(third?.redelivered).toBe(true);
      expect(third?.deliveryCount).toBe(0);
    });
  });
}
