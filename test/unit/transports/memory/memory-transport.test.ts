import { afterEach, expect, test } from "vitest";
import { silentLogger } from "../../../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../../../src/protocol/wire.ts";
import { dropMemoryBroker, memoryBroker, memoryName } from "../../../../src/transports/memory/broker.ts";
import { MemoryTransport } from "../../../../src/transports/memory/transport.ts";
import type { TransportOptions } from "../../../../src/transports/transport.ts";
import { Inbox, idOf, ids, toQueue } from "../../../conformance/inbox.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

const NAME = "unit";

interface Setup {
  readonly clock: VirtualClock;
  readonly open: (changes?: Partial<TransportOptions>) => Promise<MemoryTransport>;
}

function setup(): Setup {
  const clock = new VirtualClock();
  return {
    clock,
    async open(changes = {}) {
      const transport = new MemoryTransport({
        url: `memory://${NAME}`,
        tls: null,
        options: {},
        role: "worker",
        logger: silentLogger,
        clock,
        limits: DEFAULT_LIMITS,
        defaultQueue: "celery",
        clientName: null,
        ...changes,
      });
      await transport.start(new AbortController().signal);
      return transport;
    },
  };
}

afterEach(() => dropMemoryBroker(NAME));

/** A holder that takes one message, records its start, and dies. */
async function lose(transport: MemoryTransport, started: boolean): Promise<number> {
  const inbox = new Inbox(transport, ["q"]);
  const [delivery] = await inbox.take(1);
  if (started) await inbox.consumer.markStarted(delivery!);
  transport.abandon();
  return delivery!.deliveryCount;
}

test("a message that kills its holders is given up at the third loss; who consumes next is told", async () => {
  const { clock, open } = setup();
  const producer = await open({ role: "producer" });
  await producer.publish([toQueue("q", "pill")], null);
  const counts: number[] = [];
  for (let i = 0; i < 3; i++) {
    counts.push(await lose(await open(), true));
    clock.advance(2000);
    memoryBroker(NAME).releaseDue(clock.now());
  }
  expect(counts).toEqual([0, 1, 2]);
  expect(await producer.size("q")).toBe(0);
  const [entry] = memoryBroker(NAME).queue("q.dead").steps[0]?.toArray() ?? [];
  const line = JSON.parse(entry?.raw.split("\n")[0] ?? "") as unknown;
  expect(line).toMatchObject({ queue: "q", count: 3, reason: "its worker was lost 3 times while it ran" });
  const next = new Inbox(await open(), ["other"]);
  await next.until(
    () => next.dead.length === 1,
    () => "told",
  );
  expect(next.dead[0]?.message?.headers["id"]).toBe("pill");
  const last = new Inbox(await open(), ["other"]);
  await Promise.resolve();
  expect(last.dead).toEqual([]);
});

test("a message that never starts is never punished", async () => {
  const { open } = setup();
  const producer = await open({ role: "producer" });
  await producer.publish([toQueue("q", "idle")], null);
  const counts: number[] = [];
  for (let i = 0; i < 8; i++) counts.push(await lose(await open(), false));
  expect(counts).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
});

test("delivery_limit moves the limit", async () => {
  const { open } = setup();
  const options = { delivery_limit: 1 };
  const producer = await open({ role: "producer", options });
  await producer.publish([toQueue("q", "pill")], null);
  expect(await lose(await open({ options }), true)).toBe(0);
  expect(await producer.size("q.dead")).toBe(1);
});

test("a time beyond what a timer can hold is waited for without a busy loop", async () => {
  const { clock, open } = setup();
  const transport = await open();
  const inbox = new Inbox(transport, ["q"]);
  await transport.publish([toQueue("q", "far")], null);
  const [far] = await inbox.take(1);
  const days = 86_400_000;
  await inbox.settle(far!, { kind: "park", untilMs: clock.now() + 100 * days });
  clock.advance(99 * days);
  expect(clock.timersSet).toBeLessThan(20);
  expect(memoryBroker(NAME).parkedCount).toBe(1);
  clock.advance(days);
  expect(ids(await inbox.take(1))).toEqual(["far"]);
  await transport.stop();
  expect(clock.timers).toBe(0);
});

test("what a drain leaves of the event loop goes to others", async () => {
  const { open } = setup();
  const transport = await open();
  await transport.publish(
    Array.from({ length: 5000 }, (_, i) => toQueue("q", `m${i}`)),
    null,
  );
  let turns = 0;
  let running = true;
  const tick = (): void => {
    turns += 1;
    if (running) setImmediate(tick);
  };
  tick();
  const inbox = new Inbox(transport, ["q"], { prefetch: 4, settleAs: () => ({ kind: "ack" }) });
  await inbox.take(5000);
  running = false;
  expect(turns).toBeGreaterThan(100);
});

test("a handler that throws does not stop the consumer", async () => {
  const { open } = setup();
  const transport = await open();
  const seen: string[] = [];
  const consumer = transport.consume({
    queues: ["q"],
    prefetch: 1,
    onBatch(batch) {
      for (const one of batch) {
        seen.push(idOf(one));
        void consumer.settle(one, { kind: "ack" });
      }
      throw new Error("a mistake");
    },
    onDead: () => {},
    onLost: () => {},
    onState: () => {},
  });
  await transport.publish([toQueue("q", "m0"), toQueue("q", "m1")], null);
  const inbox = new Inbox(await open(), ["fence"]);
  for (let i = 0; i < 3; i++) {
    await transport.publish([toQueue("fence", "f")], null);
    await inbox.take(1);
  }
  expect(seen).toEqual(["m0", "m1"]);
});

test("brokers of other names share nothing", async () => {
  const { open } = setup();
  const one = await open();
  const other = await open({ url: "memory://unit-other" });
  await one.publish([toQueue("q", "m0")], null);
  expect([await one.size("q"), await other.size("q")]).toEqual([1, 0]);
  expect(one.location).not.toEqual(other.location);
  dropMemoryBroker("unit-other");
});

test("a producer does not consume, and nothing is done before start", async () => {
  const { open } = setup();
  const producer = await open({ role: "producer" });
  expect(() => new Inbox(producer, ["q"])).toThrow("producer");
  await producer.stop();
  expect(() => new Inbox(producer, ["q"])).toThrow("stopped");
  await expect(producer.start(new AbortController().signal)).rejects.toThrow("stopped");
});

test("options are checked, in either spelling", async () => {
  const { open } = setup();
  for (const options of [
    { prioritySteps: [0, 5], queueOrderStrategy: "sorted", deliveryLimit: 2, redeliveryBackoff: 1 },
    { visibility_timeout: 3600, unacked_key: "u", lease: 30, sep: ":" },
    { priority_steps: undefined },
  ]) {
    await (await open({ options })).stop();
  }
  const wrong: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ prioritySteps: [] }, "priority_steps"],
    [{ priority_steps: ["0"] }, "priority_steps"],
    [{ queue_order_strategy: "random" }, "round_robin"],
    [{ delivery_limit: 0 }, "delivery_limit"],
    [{ redelivery_backoff: "soon" }, "redelivery_backoff"],
    [{ redeliveryBackoffMax: -1 }, "redelivery_backoff_max"],
    [{ priority_stepz: [0] }, 'the nearest is "priority_steps"'],
    [{ xyzzy: 1 }, "no option"],
  ];
  for (const [options, text] of wrong) await expect(open({ options })).rejects.toThrow(text);
});

test("the name of a URL is its host", () => {
  expect(
    [
      "memory://",
      "memory:///",
      "memory://a",
      "memory://a/b?c",
      "cache+memory://a",
      "memory:",
      "memory://a%20b",
    ].map(memoryName),
  ).toEqual(["", "", "a", "a", "a", "", "a b"]);
});
