/** Exchanges, bindings, topics, fanout. */
import { describe, expect, test } from "vitest";
import type {
  ExchangeType,
  Outgoing,
  QueueDeclaration,
  Transport,
} from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { idOf, ids, taskMessage } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

function to(exchange: string, type: ExchangeType, routingKey: string): (id: string) => Outgoing {
  return (id) => ({ message: taskMessage(id), exchange, type, routingKey, priority: 0 });
}

function bound(name: string, exchange: string, routingKey: string): QueueDeclaration {
  return { name, exchange, type: "direct", routingKey };
}

/** Everything that waits in a queue, by id. */
async function drainIds(suite: Suite, transport: Transport, queue: string): Promise<string[]> {
  const size = await transport.size(queue);
  return size === 0 ? [] : ids(await suite.rest(queue, size));
}

export function routingTests(suite: Suite): void {
  test("names are told apart as a whole, also behind a NUL", async () => {
    const exchange = suite.name("ex");
    const prefix = suite.name();
    const queues = [`${prefix}\0a`, `${prefix}\0b`, prefix];
    const producer = await suite.open("producer");
    await producer.declare(queues.map((queue, at) => bound(queue, exchange, `key\0${at}`)));
    await producer.publish(
      queues.map((_queue, at) => to(exchange, "direct", `key\0${at}`)(`m${at}`)),
      null,
    );
    for (const [at, queue] of queues.entries()) {
      expect(await producer.size(queue)).toBe(1);
      const inbox = await suite.consume(queue);
      const [delivery] = await inbox.take(1);
      expect([idOf(delivery!), delivery?.queue]).toEqual([`m${at}`, queue]);
      await inbox.ack([delivery!]);
    }
    const all = await producer.bindings(exchange);
    expect(all.map(({ queue }) => queue).toSorted()).toEqual(queues.toSorted());
  });

  describe("direct exchange", () => {
    test("a message goes to every queue that is bound with its key, each copy on its own", async () => {
      const exchange = suite.name("ex");
      const [one, two, other] = [suite.name(), suite.name(), suite.name()];
      const producer = await suite.open("producer");
      await producer.declare([
        bound(one, exchange, "key"),
        bound(two, exchange, "key"),
        bound(other, exchange, "key2"),
      ]);
      await producer.publish([to(exchange, "direct", "key")("m0")], null);
      const first = await suite.consume(one);
      const second = await suite.consume(two);
      const [copy1] = await first.take(1);
      const [copy2] = await second.take(1);
      expect(copy1?.tag).not.toBe(copy2?.tag);
      expect(copy1?.message.properties["delivery_info"]).toMatchObject({ exchange, routing_key: "key" });
      await first.ack([copy1!]);
      // The ack of one copy leaves the other held.
      expect(await second.settle(copy2!, { kind: "requeue" })).toBe("done");
      const [again] = await second.take(1);
      expect([idOf(again!), again?.queue]).toEqual(["m0", two]);
      await second.ack([again!]);
      expect(await producer.size(one)).toBe(0);
      expect(await producer.size(other)).toBe(0);
    });

    test("a key that nothing is bound with is dropped without an error", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.declare([bound(queue, exchange, "key")]);
      await producer.publish(
        ["other", "", "key.x", "KEY"].map((key) => to(exchange, "direct", key)(key)),
        null,
      );
      expect(await producer.size(queue)).toBe(0);
    });

    test("bindings are the broker's: another transport publishes without declaring", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const worker = await suite.open("worker");
      await worker.declare([bound(queue, exchange, "key")]);
      const producer = await suite.open("producer");
      await producer.publish([to(exchange, "direct", "key")("m0")], null);
      expect(await worker.size(queue)).toBe(1);
    });

    test("what is declared before the start is bound after it", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const transport = await suite.create("producer");
      await transport.declare([bound(queue, exchange, "key")]);
      await transport.start(new AbortController().signal);
      await transport.publish([to(exchange, "direct", "key")("m0")], null);
      expect(await transport.size(queue)).toBe(1);
    });

    test("declaring twice gives no second copy", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const producer = await suite.open("producer");
      const declaration = bound(queue, exchange, "key");
      await producer.declare([declaration, declaration]);
      await producer.declare([declaration]);
      await producer.publish([to(exchange, "direct", "key")("m0")], null);
      expect(await producer.size(queue)).toBe(1);
    });

    test("a queue bound with two keys gets both, and one copy of each", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.declare([bound(queue, exchange, "a"), bound(queue, exchange, "b")]);
      await producer.publish([to(exchange, "direct", "a")("ma"), to(exchange, "direct", "b")("mb")], null);
      expect(await drainIds(suite, producer, queue)).toEqual(["ma", "mb"]);
    });

    test("the anonymous exchange names the queue itself, declared or not", async () => {
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.publish([to("", "direct", queue)("m0")], null);
      expect(await drainIds(suite, producer, queue)).toEqual(["m0"]);
    });

    test("one call may hold messages for many queues, each keeping its order", async () => {
      const exchange = suite.name("ex");
      const [one, two] = [suite.name(), suite.name()];
      const producer = await suite.open("producer");
      await producer.declare([bound(one, exchange, "k")]);
      const messages = numbered(10).flatMap((id) => [
        to(exchange, "direct", "k")(id),
        to("", "direct", two)(id),
      ]);
      await producer.publish(messages, null);
      expect(await drainIds(suite, producer, one)).toEqual(numbered(10));
      expect(await drainIds(suite, producer, two)).toEqual(numbered(10));
    });
  });

  describe("topic exchange", () => {
    // As kombu reads them: `*` spans dots, wants a character and no dot at the end; `#` wants the dot before it.
    const table: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
      ["task.#", ["task.x", "task.x.y", "task."], ["task", "xtask.y", "tasks.x"]],
      ["task.*", ["task.x", "task.x.y", "task.x.y.z"], ["task", "task.", "task.x.", "xtask.x"]],
      ["*.b", ["a.b", "a.c.b"], [".b", "b", "a.bc", "a.b.c"]],
      ["#.b", ["a.b", ".b", "a.c.b"], ["b", "a.c"]],
      ["#", ["", "a", "a.b.c"], []],
      ["*", ["a", "a.b"], ["", "a."]],
      ["a.*.c", ["a.b.c", "a.b.b.c"], ["a.c", "a..c", "a.b.d"]],
      ["a+b.(x)?[y]", ["a+b.(x)?[y]"], ["aab.x", "a+b.xy", "ab.x"]],
      ["plain", ["plain"], ["plain.x", "xplain", "plai"]],
      ["#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.x", [], ["a.".repeat(60), `${"a.".repeat(200)}y`]],
    ];
    test("patterns match as kombu's do", async () => {
      const producer = await suite.open("producer");
      for (const [pattern, yes, no] of table) {
        const exchange = suite.name("ex");
        const queue = suite.name();
        await producer.declare([{ name: queue, exchange, type: "topic", routingKey: pattern }]);
        for (const key of [...yes, ...no]) {
          await producer.publish([to(exchange, "topic", key)(key)], null);
          const expected = yes.includes(key) ? 1 : 0;
          expect([pattern, key, await producer.purge(queue)]).toEqual([pattern, key, expected]);
        }
      }
    });

    test("a queue that several patterns match gets one copy", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.declare(
        ["a.#", "a.*", "#"].map((routingKey) => ({
          name: queue,
          exchange,
          type: "topic" as const,
          routingKey,
        })),
      );
      await producer.publish([to(exchange, "topic", "a.b")("m0")], null);
      expect(await producer.size(queue)).toBe(1);
    });

    test("a message keeps its routing key", async () => {
      const exchange = suite.name("ex");
      const queue = suite.name();
      const producer = await suite.open("producer");
      await producer.declare([{ name: queue, exchange, type: "topic", routingKey: "a.#" }]);
      await producer.publish([to(exchange, "topic", "a.b")("m0")], null);
      const [delivery] = await suite.rest(queue, 1);
      expect(delivery?.message.properties["delivery_info"]).toMatchObject({ exchange, routing_key: "a.b" });
    });
  });

  describe("fanout", () => {
    interface Heard {
      readonly ids: string[];
      close(): Promise<void>;
    }
    const listen = async (exchange: string, routingKey: string): Promise<Heard> => {
      const transport = await suite.open("worker");
      const heard: string[] = [];
      const subscription = await transport.subscribe({
        exchange,
        routingKey,
        onMessage: (message) => heard.push(idOf({ message })),
        onGap: () => {},
      });
      return { ids: heard, close: () => subscription.close() };
    };

    test("every subscriber hears it, without any declaration", async () => {
      const exchange = suite.name("fan");
      const heard = [await listen(exchange, ""), await listen(exchange, "")];
      const producer = await suite.open("producer");
      await producer.publish(numbered(3).map(to(exchange, "fanout", "")), null);
      await eventually("all heard", () => heard.every((one) => one.ids.length === 3));
      for (const one of heard) expect(one.ids).toEqual(numbered(3));
    });

    test("where the broker says how many hear it, it is those who do", async () => {
      const exchange = suite.name("fan");
      const producer = await suite.open("producer");
      const counts: number[] = [];
      const tell = async (...messages: readonly string[]): Promise<readonly number[]> => {
        counts.length = 0;
        const onHeard = (count: number): void => void counts.push(count);
        await producer.publish(
          messages.map((id) => ({ ...to(exchange, "fanout", "")(id), onHeard })),
          null,
        );
        return [...counts];
      };
      const says = (await tell("m0")).length > 0;
      const right = (...expected: readonly number[]) => (says ? expected : []);
      expect(await tell("m1")).toEqual(right(0));
      const [one] = [await listen(exchange, ""), await listen(exchange, ""), await listen(exchange, "other")];
      expect(await tell("m2", "m3")).toEqual(right(2, 2));
      await one.close();
      const left = right(1);
      await eventually("one has left", async () => (await tell("m4")).join() === left.join());
    });

    test("routing keys choose: # hears all keys, a prefix its own, none only messages without one", async () => {
      const exchange = suite.name("fan");
      const all = await listen(exchange, "#");
      const workers = await listen(exchange, "worker.#");
      const exact = await listen(exchange, "task.multi");
      const bare = await listen(exchange, "");
      const producer = await suite.open("producer");
      const keys = ["worker.heartbeat", "worker.a.b", "task.multi", "task.sent", ""];
      await producer.publish(
        keys.map((key) => to(exchange, "fanout", key)(`k:${key}`)),
        null,
      );
      await producer.publish([to(exchange, "fanout", "worker.fence")("fence")], null);
      await producer.publish([to(exchange, "fanout", "task.multi")("fence")], null);
      await producer.publish([to(exchange, "fanout", "")("fence")], null);
      await eventually("all heard", () =>
        [all, workers, exact, bare].every((one) => one.ids.includes("fence")),
      );
      await eventually("both fences", () => all.ids.filter((id) => id === "fence").length === 2);
      const plain = (one: Heard): string[] => one.ids.filter((id) => id !== "fence");
      expect(plain(all)).toEqual(["k:worker.heartbeat", "k:worker.a.b", "k:task.multi", "k:task.sent"]);
      expect(plain(workers)).toEqual(["k:worker.heartbeat", "k:worker.a.b"]);
      expect(plain(exact)).toEqual(["k:task.multi"]);
      expect(plain(bare)).toEqual(["k:"]);
    });

    test("a closed subscription hears nothing more, others go on", async () => {
      const exchange = suite.name("fan");
      const [one, two] = [await listen(exchange, ""), await listen(exchange, "")];
      const producer = await suite.open("producer");
      await producer.publish([to(exchange, "fanout", "")("m0")], null);
      await eventually("both heard", () => one.ids.length === 1 && two.ids.length === 1);
      await one.close();
      await one.close();
      await producer.publish([to(exchange, "fanout", "")("m1")], null);
      await eventually("the other heard", () => two.ids.length === 2);
      expect(one.ids).toEqual(["m0"]);
    });

    test("what cannot be decoded is dropped, the next is heard", async () => {
      const exchange = suite.name("fan");
      const heard = await listen(exchange, "");
      for (const raw of ["", "hello", "5", "[".repeat(50_000)]) {
        await suite.broker.raw.broadcast(exchange, "", raw);
      }
      const producer = await suite.open("producer");
      await producer.publish([to(exchange, "fanout", "")("m0")], null);
      await eventually("heard", () => heard.ids.length > 0);
      expect(heard.ids).toEqual(["m0"]);
    });

    test("exchanges do not hear each other", async () => {
      const [a, b] = [suite.name("fan"), suite.name("fan")];
      const heard = await listen(a, "");
      const producer = await suite.open("producer");
      await producer.publish([to(b, "fanout", "")("b"), to(a, "fanout", "")("a")], null);
      await eventually("heard", () => heard.ids.length > 0);
      expect(heard.ids).toEqual(["a"]);
    });
  });
}
