/** Messages whose holders die of them: put back with a back-off, and given up in the end. */
import { describe, expect, test } from "vitest";
import type { Transport } from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { type Inbox, idOf, ids } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

const BACKOFF_S = 1;
const DEFAULT_BACKOFF_MS = 2000;

export function lossTests(suite: Suite): void {
  const options = (): Readonly<Record<string, unknown>> => ({
    ...suite.broker.takeOverOptions,
    redelivery_backoff: BACKOFF_S,
  });

  /** A worker of the fleet that takes nothing: it puts back, and hears of what is given up. */
  async function witness(): Promise<Inbox & { readonly transport: Transport }> {
    return suite.consume(suite.name(), { transport: { options: suite.broker.takeOverOptions } });
  }

  describe("a message whose process dies of it", () => {
    test("comes back at once, then waits out a back-off, then is given up and told", async () => {
      const queue = suite.name();
      await suite.send(queue, ["pill"]);
      const inbox = await suite.consume(queue, { prefetch: 1, transport: { options: options() } });
      const counts: number[] = [];
      const [first] = await inbox.take(1);
      counts.push(first!.deliveryCount);
      expect(await inbox.settle(first!, { kind: "lost" })).toBe("done");

      const [second] = await inbox.take(1);
      expect([idOf(second!), second?.redelivered, second?.deliveryCount]).toEqual(["pill", true, 1]);
      const lostAt = await suite.broker.now();
      expect(await inbox.settle(second!, { kind: "lost" })).toBe("done");

      await suite.send(queue, ["next"]);
      const [other] = await inbox.take(1);
      expect([idOf(other!), other?.deliveryCount]).toEqual(["next", 0]);
      await inbox.ack([other!]);
      await suite.until(lostAt + BACKOFF_S * 1000);
      const [third] = await inbox.take(1);
      expect([idOf(third!), third?.deliveryCount]).toEqual(["pill", 2]);
      expect(third!.serverTimeMs).toBeGreaterThanOrEqual(lostAt + BACKOFF_S * 1000 - 1);

      expect(await inbox.settle(third!, { kind: "lost" })).toBe("done");
      await inbox.until(
        () => inbox.dead.length === 1,
        () => "told",
      );
      expect(inbox.dead[0]).toMatchObject({ queue, reason: expect.stringContaining("lost 3 times") });
      expect(inbox.dead[0]?.message?.headers["id"]).toBe("pill");
      const [letter] = await inbox.transport.readDead(queue, { skip: 0, count: 9 });
      expect(letter).toMatchObject({ queue, count: 3, reason: expect.stringContaining("lost 3 times") });
      expect(await inbox.transport.size(queue)).toBe(0);
    });

    test("and was settled so after its lease had ended is somebody else's", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m"]);
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      await inbox.ack([delivery!]);
      expect(await inbox.consumer.settle(delivery!, { kind: "lost" })).toBe("gone");
      expect(await inbox.transport.size(queue)).toBe(0);
    });
  });

  describe("a message whose workers die of it", () => {
    test("is given up at the third loss, and a worker that lives is told", async () => {
      const queue = suite.name();
      const seen = await witness();
      await suite.send(queue, ["pill"]);
      for (const markStarted of [false, true]) {
        expect(await suite.broker.loseHolder({ queue, count: 1, markStarted })).toEqual(["pill"]);
        await suite.until((await suite.broker.now()) + (suite.broker.leaseMs ?? 0));
      }
      await suite.until((await suite.broker.now()) + DEFAULT_BACKOFF_MS);
      expect(await suite.broker.loseHolder({ queue, count: 1, markStarted: true })).toEqual(["pill"]);
      await seen.until(
        () => seen.dead.length === 1,
        () => "told",
        40_000,
      );
      expect(seen.dead[0]).toMatchObject({ queue, reason: expect.stringContaining("lost 3 times") });
      expect(seen.dead[0]?.message?.headers["id"]).toBe("pill");
      const [letter] = await seen.transport.readDead(queue, { skip: 0, count: 9 });
      expect(letter).toMatchObject({ queue, count: 3 });
    }, 120_000);

    test("a worker that stops in good order is no loss, however often, started or not", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(3));
      for (let round = 0; round < 4; round++) {
        const inbox = await suite.consume(queue, { transport: { options: options() } });
        const taken = await inbox.take(3);
        expect(ids(taken)).toEqual(numbered(3));
        expect(taken.map((one) => one.deliveryCount)).toEqual([0, 0, 0]);
        await inbox.consumer.markStarted(taken[0]!);
        await inbox.consumer.close();
      }
      const last = await suite.rest(queue, 3);
      expect(last.map((one) => one.deliveryCount)).toEqual([0, 0, 0]);
      await eventually("nothing is dead", async () => {
        const helper = await suite.open("producer");
        return (await helper.readDead(queue, { skip: 0, count: 9 })).length === 0;
      });
    });
  });

  test("what was settled is told once it is on its way", async () => {
    const queue = suite.name();
    await suite.send(queue, numbered(3));
    const transport = await suite.open("worker");
    const log: string[] = [];
    const done = new Promise<void>((resolve) => {
      const consumer = transport.consume({
        queues: [queue],
        prefetch: 10,
        onBatch: (batch) => {
          log.push(...batch.map(idOf));
          for (const one of batch) void consumer.settle(one, { kind: "ack" });
        },
        onSettled: () => {
          log.push("settled");
          if (log.includes("m2")) resolve();
        },
        onDead: () => {},
        onLost: () => {},
        onState: () => {},
      });
    });
    await done;
    expect(log.at(-1)).toBe("settled");
    expect(log.filter((one) => one !== "settled")).toEqual(numbered(3));
  });
}
