/** What an operator does with messages that were given up. */
import { describe, expect, test } from "vitest";
import type { DeadLetter, Transport } from "../../../src/transports/transport.ts";
import { idOf, ids } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

const ALL = { skip: 0, count: 1000 };

export function deadLetterTests(suite: Suite): void {
  /** Gives up these messages, in their order. */
  async function giveUp(queue: string, names: readonly string[], priority = 0): Promise<void> {
    await suite.send(queue, names, priority);
    const inbox = await suite.consume(queue, { prefetch: names.length });
    for (const one of await inbox.take(names.length)) {
      expect(await inbox.settle(one, { kind: "dead", reason: `no use for ${idOf(one)}` })).toBe("done");
    }
    await inbox.consumer.close();
  }
  const named = (letters: readonly DeadLetter[]): string[] =>
    letters.map((one) => (one.message ? idOf({ message: one.message }) : "?"));
  const pick = async (transport: Transport, queue: string, names: readonly string[]): Promise<DeadLetter[]> =>
    (await transport.readDead(queue, ALL)).filter(
      (one) => one.message !== null && names.includes(idOf({ message: one.message })),
    );

  describe("dead letters", () => {
    test("are read newest first, a part at a time, with all that is known of them", async () => {
      const queue = suite.name();
      const from = await suite.broker.now();
      await giveUp(queue, ["a", "b", "c"]);
      const operator = await suite.open("producer");
      const letters = await operator.readDead(queue, ALL);
      expect(named(letters)).toEqual(["c", "b", "a"]);
      expect(letters[0]).toMatchObject({ list: queue, queue, reason: "no use for c", count: 0 });
      expect(letters[0]!.atMs).toBeGreaterThanOrEqual(Math.floor(from / 1000) * 1000);
      expect(letters[0]!.atMs).toBeLessThanOrEqual(await suite.broker.now());
      expect(new Set(letters.map((one) => one.id)).size).toBe(3);
      expect(named(await operator.readDead(queue, { skip: 1, count: 1 }))).toEqual(["b"]);
      expect(await operator.readDead(queue, { skip: 3, count: 5 })).toEqual([]);
      expect(await operator.readDead(queue, { skip: 0, count: 0 })).toEqual([]);
      expect(await operator.readDead(suite.name(), ALL)).toEqual([]);
    });

    test("go back to their queue, behind what waits, in the order they are given in, and run", async () => {
      const queue = suite.name();
      await giveUp(queue, ["a", "b", "c"]);
      await suite.send(queue, ["waits"]);
      const operator = await suite.open("producer");
      const letters = await pick(operator, queue, ["a", "c"]);
      expect(await operator.requeueDead(letters.toReversed())).toBe(2);
      expect(named(await operator.readDead(queue, ALL))).toEqual(["b"]);
      const inbox = await suite.consume(queue);
      const taken = await inbox.take(3);
      expect(ids(taken)).toEqual(["waits", "a", "c"]);
      expect(taken.map((one) => one.deliveryCount)).toEqual([0, 0, 0]);
      await inbox.ack(taken);
    });

    test("keep their priority", async () => {
      const queue = suite.name();
      await giveUp(queue, ["low"], 9);
      const operator = await suite.open("producer");
      await operator.requeueDead(await operator.readDead(queue, ALL));
      await suite.send(queue, ["high"], 0);
      const inbox = await suite.consume(queue, { prefetch: 1 });
      const [first] = await inbox.take(1);
      expect(idOf(first!)).toBe("high");
      await inbox.ack([first!]);
      const [second] = await inbox.take(1);
      expect(idOf(second!)).toBe("low");
      await inbox.ack([second!]);
    });

    test("are moved once, whoever else does so at the same time", async () => {
      const queue = suite.name();
      await giveUp(queue, numbered(20));
      const [one, two] = [await suite.open("producer"), await suite.open("producer")];
      const letters = await one.readDead(queue, ALL);
      const [first, second, removed] = await Promise.all([
        one.requeueDead(letters),
        two.requeueDead(letters),
        two.removeDead(letters),
      ]);
      expect(first + second + removed).toBe(20);
      expect(await one.size(queue)).toBe(first + second);
      expect(await one.readDead(queue, ALL)).toEqual([]);
      await one.purge(queue);
    });

    test("are deleted one by one", async () => {
      const queue = suite.name();
      await giveUp(queue, ["a", "b", "c"]);
      const operator = await suite.open("producer");
      const letters = await pick(operator, queue, ["b"]);
      expect(await operator.removeDead(letters)).toBe(1);
      expect(await operator.removeDead(letters)).toBe(0);
      expect(named(await operator.readDead(queue, ALL))).toEqual(["c", "a"]);
      expect(await operator.removeDead([])).toBe(0);
    });

    test("what is no message is shown, stays when asked to go back, and can be deleted", async () => {
      const queue = suite.name();
      const defaultQueue = suite.name();
      const bad = "\u0000 é, no message\nwith a second line";
      await suite.broker.raw.push(queue, bad);
      const inbox = await suite.consume(queue, { transport: { defaultQueue } });
      await inbox.until(
        () => inbox.dead.length === 1,
        () => "nothing was told",
      );
      const operator = await suite.open("producer");
      const [letter] = await operator.readDead(defaultQueue, ALL);
      expect(letter).toMatchObject({ list: defaultQueue, queue, message: null });
      expect(letter!.raw.toString()).toBe(bad);
      expect(await operator.requeueDead([letter!])).toBe(0);
      expect(await operator.removeDead([letter!])).toBe(1);
    });

    test("an entry that somebody else has written is read as far as it goes", async () => {
      const queue = suite.name();
      const list = `${queue}.dead`;
      for (const text of ["no line", '{"queue":7,"reason":[],"at":"x","count":-1}\nrest', "5\nrest", ""]) {
        await suite.broker.raw.push(list, text);
      }
      const operator = await suite.open("producer");
      const letters = await operator.readDead(queue, ALL);
      expect(letters.map((one) => one.raw.toString())).toEqual(["", "5\nrest", "rest", "no line"]);
      for (const letter of letters) {
        expect(letter).toMatchObject({ queue, atMs: 0, count: 0, message: null });
        expect(letter.reason).not.toBe("");
      }
      expect(await operator.removeDead(letters)).toBe(4);
    });

    test("a message that lost its holders too often begins to count anew", async () => {
      const queue = suite.name();
      await suite.send(queue, ["poison"]);
      const operator = await suite.open("producer");
      const [raw = ""] = await suite.broker.raw.list(queue);
      await operator.purge(queue);
      const counted = raw.replace('"headers":{', '"headers":{"x-delivery-count":4,');
      await suite.broker.raw.push(
        `${queue}.dead`,
        `${JSON.stringify({ queue, reason: "lost", at: 1, count: 4 })}\n${counted}`,
      );
      const letters = await operator.readDead(queue, ALL);
      expect(letters[0]).toMatchObject({ count: 4, atMs: 1000 });
      expect(await operator.requeueDead(letters)).toBe(1);
      const inbox = await suite.consume(queue);
      const [again] = await inbox.take(1);
      expect(again?.deliveryCount).toBe(0);
      await inbox.ack([again!]);
    });
  });
}
