/** Queues of one process: replies of remote control. */
import { describe, expect, test } from "vitest";
import type { Mailbox, QueueDeclaration, Transport } from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { idOf, taskMessage } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

interface Opened {
  readonly heard: string[];
  readonly mailbox: Mailbox;
}

export function mailboxTests(suite: Suite): void {
  const declared = (): QueueDeclaration => {
    const client = suite.name("client");
    return { name: `${client}.reply`, exchange: suite.name("reply"), type: "direct", routingKey: client };
  };
  const open = async (transport: Transport, declaration: QueueDeclaration): Promise<Opened> => {
    const heard: string[] = [];
    const mailbox = await transport.openMailbox({
      declaration,
      onMessage: (message) => heard.push(idOf({ message })),
    });
    return { heard, mailbox };
  };
  const answer = (transport: Transport, declaration: QueueDeclaration, id: string): Promise<boolean> =>
    transport.answer({ message: taskMessage(id), declaration, ttlSeconds: 60 });

  describe("mailbox", () => {
    test("a producer reads what others answer, in order, and nothing is left at the broker", async () => {
      const declaration = declared();
      const client = await suite.open("producer");
      const worker = await suite.open("worker");
      const { heard, mailbox } = await open(client, declaration);
      const sent = await Promise.all(numbered(3).map((id) => answer(worker, declaration, id)));
      await eventually("all were heard", () => heard.length === 3);
      expect([sent, heard]).toEqual([[true, true, true], numbered(3)]);
      expect(await suite.broker.raw.list(declaration.name)).toEqual([]);
      await mailbox.close();
    });

    test("what is published to its exchange with its key is heard too, as Python's workers reply", async () => {
      const declaration = declared();
      const client = await suite.open("producer");
      const { heard } = await open(client, declaration);
      const worker = await suite.open("worker");
      const { exchange, routingKey } = declaration;
      await worker.publish(
        [{ message: taskMessage("m0"), exchange, type: "direct", routingKey, priority: 0 }],
        null,
      );
      await eventually("it was heard", () => heard.length === 1);
      expect(heard).toEqual(["m0"]);
    });

    test("nobody is answered who has no mailbox, or has closed it", async () => {
      const declaration = declared();
      const client = await suite.open("producer");
      const worker = await suite.open("worker");
      expect(await answer(worker, declaration, "m0")).toBe(false);
      const { heard, mailbox } = await open(client, declaration);
      await mailbox.close();
      await mailbox.close();
      expect(await answer(worker, declaration, "m1")).toBe(false);
      expect([heard, await suite.broker.raw.list(declaration.name)]).toEqual([[], []]);
      expect(await worker.bindings(declaration.exchange)).toEqual([]);
    });

    test("a mailbox whose owner stopped is closed", async () => {
      const declaration = declared();
      const client = await suite.open("producer");
      await open(client, declaration);
      await client.stop();
      const worker = await suite.open("worker");
      expect(await answer(worker, declaration, "m0")).toBe(false);
    });

    test("what cannot be read is dropped, the next is heard", async () => {
      const declaration = declared();
      const client = await suite.open("producer");
      const { heard } = await open(client, declaration);
      for (const raw of ["", "5", "no json"]) await suite.broker.raw.push(declaration.name, raw);
      const worker = await suite.open("worker");
      await answer(worker, declaration, "m0");
      await eventually("the good one was heard", () => heard.length > 0);
      expect(heard).toEqual(["m0"]);
    });

    test("what nobody takes out is deleted after its time", async () => {
      const declaration = declared();
      const worker = await suite.open("worker");
      // Bound, and read by nobody: its owner died.
      await worker.declare([declaration]);
      const sent = await worker.answer({ message: taskMessage("m0"), declaration, ttlSeconds: 1 });
      expect([sent, await worker.size(declaration.name)]).toEqual([true, 1]);
      await suite.until((await suite.broker.now()) + 1100);
      await eventually("it is gone", async () => (await worker.size(declaration.name)) === 0);
      expect(await worker.size(declaration.name)).toBe(0);
      await worker.undeclare([declaration]);
    });
  });

  describe("bindings", () => {
    test("everybody sees who is bound, until it is undeclared", async () => {
      const exchange = suite.name("presence");
      const presence = (name: string): QueueDeclaration => ({
        name,
        exchange,
        type: "fanout",
        routingKey: "",
      });
      const [one, two] = [suite.name(), suite.name()];
      const first = await suite.open("worker");
      const second = await suite.open("worker");
      await first.declare([presence(one)]);
      await second.declare([presence(two)]);
      const client = await suite.open("producer");
      const names = async (): Promise<string[]> =>
        (await client.bindings(exchange)).map((bound) => bound.queue).sort();
      expect(await names()).toEqual([one, two].sort());
      await first.undeclare([presence(one)]);
      await first.undeclare([presence(one)]);
      expect(await names()).toEqual([two]);
    });

    test("undeclaring deletes what waits", async () => {
      const declaration = declared();
      const worker = await suite.open("worker");
      await worker.declare([declaration]);
      await suite.send(declaration.name, ["m0"]);
      await suite.send(declaration.name, ["m1"], 9);
      expect(await worker.size(declaration.name)).toBe(2);
      await worker.undeclare([declaration]);
      expect(await worker.size(declaration.name)).toBe(0);
    });
  });
}
