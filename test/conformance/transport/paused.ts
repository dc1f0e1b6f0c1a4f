/** Queues that are paused. */
import { describe, expect, test } from "vitest";
import { ids } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

/** Sooner than any look that happens by itself. */
const AT_ONCE_MS = 2000;

export function pausedTests(suite: Suite): void {
  /** Two queues; the second one's messages show that the first was looked at and left alone. */
  const pair = (): [paused: string, open: string] => [suite.name(), suite.name()];

  describe("paused queues", () => {
    test("are left alone, in every priority, while others are served", async () => {
      const [paused, open] = pair();
      const operator = await suite.open("producer");
      await suite.send(paused, numbered(3));
      await suite.send(paused, ["low"], 9);
      expect(await operator.paused.pause([paused])).toBe(1);
      await suite.send(open, ["open"]);
      const inbox = await suite.consume([paused, open]);
      expect(ids(await inbox.take(1))).toEqual(["open"]);
      expect(inbox.untaken).toEqual([]);
      expect(await operator.size(paused)).toBe(4);
      expect(await operator.paused.resume([paused])).toBe(1);
      expect(ids(await inbox.take(4, AT_ONCE_MS))).toEqual([...numbered(3), "low"]);
    });

    test.each([
      ["the only one", (paused: string) => [paused]],
      ["the first of two", (paused: string) => [paused, suite.name()]],
      ["the last of two", (paused: string) => [suite.name(), paused]],
    ])("wake their idle consumers when they are resumed: %s", async (_, queues) => {
      const paused = suite.name();
      const operator = await suite.open("producer");
      await operator.paused.pause([paused]);
      const inbox = await suite.consume(queues(paused));
      await inbox.until(
        () => inbox.states.includes("live"),
        () => "live",
      );
      for (const id of numbered(5)) {
        await suite.send(paused, [id]);
        await operator.paused.resume([paused]);
        expect(ids(await inbox.take(1, AT_ONCE_MS))).toEqual([id]);
        await operator.paused.pause([paused]);
      }
    });

    test("are not taken from by a consumer that waited for their messages already", async () => {
      const [paused, open] = pair();
      const operator = await suite.open("producer");
      const inbox = await suite.consume([paused, open]);
      // Idle: it has been served, and has seen that nothing is left.
      await suite.send(paused, ["before"]);
      await inbox.ack(await inbox.take(1));
      await operator.paused.pause([paused]);
      for (const id of numbered(3)) {
        await suite.send(paused, [`paused ${id}`]);
        await suite.send(open, [id]);
        expect(ids(await inbox.take(1, AT_ONCE_MS))).toEqual([id]);
      }
      expect(await operator.size(paused)).toBe(3);
      await operator.paused.resume([paused]);
      expect(ids(await inbox.take(3, AT_ONCE_MS))).toEqual(["paused m0", "paused m1", "paused m2"]);
    });

    test("are not taken from by a busy consumer either, from the moment that it is written", async () => {
      const [paused, open] = pair();
      const operator = await suite.open("producer");
      await suite.send(paused, numbered(200));
      const inbox = await suite.consume([paused, open], {
        prefetch: 3,
        settleAs: () => ({ kind: "ack" }),
      });
      await inbox.take(20);
      await operator.paused.pause([paused]);
      const left = await operator.size(paused);
      await suite.send(open, ["open"]);
      await inbox.until(
        () => ids(inbox.deliveries).includes("open"),
        () => "the open queue is served",
      );
      expect(await operator.size(paused)).toBe(left);
      expect(inbox.deliveries).toHaveLength(200 - left + 1);
      await operator.paused.resume([paused]);
      await inbox.until(
        () => inbox.deliveries.length === 201,
        () => `${inbox.deliveries.length} of 201`,
      );
    });

    test("keep what is put back into them", async () => {
      const [paused, open] = pair();
      const operator = await suite.open("producer");
      await suite.send(paused, ["a"]);
      const inbox = await suite.consume([paused, open]);
      const [held] = await inbox.take(1);
      await operator.paused.pause([paused]);
      expect(await inbox.settle(held!, { kind: "requeue" })).toBe("done");
      await suite.send(open, ["open"]);
      expect(ids(await inbox.take(1))).toEqual(["open"]);
      expect(await operator.size(paused)).toBe(1);
      await operator.paused.resume([paused]);
      const [again] = await inbox.take(1, AT_ONCE_MS);
      expect(again).toMatchObject({ redelivered: true });
      await inbox.ack([again!]);
    });

    test("are told with their times; pausing again changes nothing", async () => {
      const [one, two] = pair();
      const operator = await suite.open("producer");
      const others = (await operator.paused.list()).map(({ queue }) => queue);
      await operator.paused.resume(others);
      const from = await suite.broker.now();
      expect(await operator.paused.pause([one])).toBe(1);
      const [first] = await operator.paused.list();
      expect(first?.queue).toBe(one);
      expect(first!.sinceMs).toBeGreaterThanOrEqual(Math.floor(from) - 1);
      expect(first!.sinceMs).toBeLessThanOrEqual(await suite.broker.now());
      suite.broker.advance(5);
      expect(await operator.paused.pause([one, two])).toBe(1);
      const both = await (await suite.open("producer")).paused.list();
      expect(both.map(({ queue }) => queue)).toEqual([one, two]);
      expect(both[0]).toEqual(first);
      expect(await operator.paused.resume([one, two, suite.name()])).toBe(2);
      expect(await operator.paused.resume([one])).toBe(0);
      expect(await operator.paused.list()).toEqual([]);
    });

    test("stay paused for consumers that come later", async () => {
      const [paused, open] = pair();
      const operator = await suite.open("producer");
      await operator.paused.pause([paused]);
      await operator.stop();
      await suite.send(paused, ["a"]);
      await suite.send(open, ["open"]);
      const inbox = await suite.consume([paused, open]);
      expect(ids(await inbox.take(1))).toEqual(["open"]);
      expect(await inbox.transport.size(paused)).toBe(1);
      await inbox.transport.paused.resume([paused]);
      await inbox.take(1, AT_ONCE_MS);
    });

    test("that are added while they are paused wait, and are told apart when consumers change", async () => {
      const [paused, open] = pair();
      const operator = await suite.open("producer");
      await operator.paused.pause([paused]);
      await suite.send(paused, ["a"]);
      const inbox = await suite.consume([open]);
      inbox.consumer.setQueues([paused, open]);
      await suite.send(open, ["open"]);
      expect(ids(await inbox.take(1))).toEqual(["open"]);
      inbox.consumer.setQueues([open]);
      await suite.send(open, ["more"]);
      expect(ids(await inbox.take(1))).toEqual(["more"]);
      inbox.consumer.setQueues([open, paused]);
      await operator.paused.resume([paused]);
      expect(ids(await inbox.take(1, AT_ONCE_MS))).toEqual(["a"]);
    });
  });
}
