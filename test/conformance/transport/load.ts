/** Many messages, many holders, random settlements: each exactly once. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Delivery } from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { seed } from "../../support/seed.ts";
import { Inbox, idOf, toQueue } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

export function loadTests(suite: Suite): void {
  describe("load", () => {
    test("10 000 messages, three transports: each exactly once", async () => {
      const queue = suite.name();
      const count = 10_000;
      const seen = new Map<string, number>();
      const inboxes: Inbox[] = [];
      for (const prefetch of [1, 16, 200]) {
        const inbox = await suite.consume(queue, {
          prefetch,
          settleAs: (delivery) => {
            seen.set(idOf(delivery), (seen.get(idOf(delivery)) ?? 0) + 1);
            return { kind: "ack" };
          },
        });
        inboxes.push(inbox);
      }
      const producer = await suite.open("producer");
      const calls: Promise<void>[] = [];
      for (let i = 0; i < count; i += 500) {
        const batch = numbered(500).map((_, j) => toQueue(queue, `m${i + j}`, (i + j) % 10));
        calls.push(producer.publish(batch, null));
      }
      await Promise.all(calls);
      await eventually("all seen", () => seen.size >= count, { timeoutMs: 40_000 });
      expect([...seen.values()].every((times) => times === 1)).toBe(true);
      expect(await producer.size(queue)).toBe(0);
      await Promise.all(inboxes.map((one) => one.consumer.close()));
      await suite.send(queue, ["fence"]);
      expect((await suite.rest(queue, 1)).map(idOf)).toEqual(["fence"]);
    });

    test("whatever is done to messages, each ends exactly once", async () => {
      const step = fc.oneof(
        {
          weight: 4,
          arbitrary: fc.record({ do: fc.constant("publish" as const), n: fc.integer({ min: 1, max: 6 }) }),
        },
        {
          weight: 6,
          arbitrary: fc.record({
            do: fc.constantFrom("ack" as const, "requeue" as const, "park" as const, "dead" as const),
            n: fc.nat(20),
          }),
        },
        {
          weight: 1,
          arbitrary: fc.record({ do: fc.constantFrom("reopen" as const, "pause" as const), n: fc.nat(2) }),
        },
        { weight: 1, arbitrary: fc.record({ do: fc.constant("prefetch" as const), n: fc.nat(9) }) },
      );
      const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const queue = suite.name();
        const producer = await suite.open("producer");
        const transports = [await suite.open("worker"), await suite.open("worker")];
        const inboxes = transports.map((transport) => new Inbox(transport, [queue], { prefetch: 5 }));
        const held = new Map<Delivery, Inbox>();
        const ended: string[] = [];
        let published = 0;
        let dead = 0;
        const collect = (): void => {
          for (const inbox of inboxes) {
            for (const delivery of inbox.deliveries.splice(0)) held.set(delivery, inbox);
          }
        };
        const answers = new Set<string>();
        for (const { do: what, n } of steps) {
          collect();
          const [delivery, inbox] = [...held][n % Math.max(1, held.size)] ?? [];
          const chosen = inboxes[n % inboxes.length];
          switch (what) {
            case "publish": {
              const batch = numbered(n).map(() => {
                published += 1;
                return toQueue(queue, `m${published - 1}`, (published * 3) % 10);
              });
              await producer.publish(batch, null);
              break;
            }
            case "reopen": {
              if (!chosen) break;
              const index = inboxes.indexOf(chosen);
              await chosen.consumer.close();
              collect();
              for (const [one, owner] of held) if (owner === chosen) held.delete(one);
              inboxes[index] = new Inbox(transports[index]!, [queue], { prefetch: 5 });
              break;
            }
            case "pause":
              await chosen?.consumer.pause();
              chosen?.consumer.resume();
              break;
            case "prefetch":
              chosen?.consumer.setPrefetch(n);
              break;
            case "ack":
            case "requeue":
            case "park":
            case "dead": {
              if (!delivery || !inbox) break;
              held.delete(delivery);
              const untilMs = delivery.serverTimeMs + 20;
              const answer =
                what === "park"
                  ? await inbox.consumer.settle(delivery, { kind: "park", untilMs })
                  : what === "dead"
                    ? await inbox.consumer.settle(delivery, { kind: "dead", reason: "chosen" })
                    : await inbox.consumer.settle(delivery, { kind: what });
              answers.add(answer);
              if (what === "ack" || what === "dead") ended.push(idOf(delivery));
              if (what === "dead") dead += 1;
            }
          }
        }
        suite.broker.advance(1000);
        for (const inbox of inboxes) {
          inbox.consumer.setPrefetch(1000);
          inbox.consumer.resume();
        }
        await eventually(
          "every message ended",
          async () => {
            collect();
            for (const [delivery, inbox] of held) {
              held.delete(delivery);
              answers.add(await inbox.consumer.settle(delivery, { kind: "ack" }));
              ended.push(idOf(delivery));
            }
            return ended.length >= published;
          },
          { timeoutMs: 8_000, intervalMs: 2 },
        );
        expect([...answers].filter((answer) => answer !== "done")).toEqual([]);
        expect(ended.sort()).toEqual(numbered(published).sort());
        expect(await producer.size(queue)).toBe(0);
        expect(await producer.size(`${queue}.dead`)).toBe(dead);
        await Promise.all(inboxes.map((one) => one.consumer.close()));
        await Promise.all([producer, ...transports].map((one) => one.stop()));
      });
      await fc.assert(property, { seed, numRuns: 25 });
    });
  });
}
