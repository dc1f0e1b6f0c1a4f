/**
 * Random schedules of everything that can happen to messages, holders and connections, against a real server and a small
 * model: a message is done exactly once, more often only when a holder died with it, and nothing is left over.
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RedisTransport } from "../../src/transports/redis/index.ts";
import type { Delivery, Settlement } from "../../src/transports/transport.ts";
import { Inbox, idOf, toQueue } from "../conformance/inbox.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { redisTransport } from "../support/redis-transport.ts";
import { seed } from "../support/seed.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis({ aof: true });
});
afterAll(() => server.stop());

const SETTINGS = {
  leaseMs: 60_000,
  beatMs: 20_000,
  sweepIntervalMs: 40,
  sweepGraceMs: 0,
  backoffCapMs: 50,
  // What waits longer waits in the broker.
  parkAfterMs: 40,
};
const QUEUES = ["a", "b"];

type Step =
  | { readonly do: "publish"; readonly n: number }
  | { readonly do: "ack" | "requeue" | "park" | "dead" | "finish"; readonly n: number }
  | { readonly do: "die" | "reopen" | "pause" | "prefetch"; readonly n: number }
  | { readonly do: "kill" | "flush" | "restart"; readonly n: number };

const pick = <T extends Step["do"]>(names: readonly T[], max: number): fc.Arbitrary<{ do: T; n: number }> =>
  fc.record({ do: fc.constantFrom(...names), n: fc.nat(max) });
const steps = fc.array(
  fc.oneof(
    { weight: 50, arbitrary: pick(["publish"], 8) },
    { weight: 80, arbitrary: pick(["ack", "requeue", "park", "dead", "finish"], 30) },
    { weight: 16, arbitrary: pick(["die"], 9) },
    { weight: 20, arbitrary: pick(["reopen", "pause", "prefetch"], 9) },
    { weight: 20, arbitrary: pick(["kill", "flush"], 1) },
    { weight: 2, arbitrary: pick(["restart"], 1) },
  ),
  // Long ones: most of what goes wrong needs a few messages that are held.
  { minLength: 15, maxLength: 60, size: "max" },
) as fc.Arbitrary<Step[]>;

/** What should be true, kept beside the server. */
class World {
  readonly producer: RedisTransport;
  readonly inboxes: { transport: RedisTransport; inbox: Inbox }[] = [];
  /** With a worker now. */
  readonly held = new Map<Delivery, Inbox>();
  /** Times that a message was done (acked, stored, or put on a dead list). */
  readonly done = new Map<string, number>();
  /** Times that a holder died with it. */
  readonly excused = new Map<string, number>();
  published = 0;
  dead = 0;

  constructor(producer: RedisTransport) {
    this.producer = producer;
  }

  async openInbox(): Promise<{ transport: RedisTransport; inbox: Inbox }> {
    const transport = await redisTransport(server.url, { settings: SETTINGS });
    await retry(() => transport.start(new AbortController().signal));
    return { transport, inbox: new Inbox(transport, QUEUES, { prefetch: 4 }) };
  }

  /** Deliveries that came since the last look. */
  collect(): void {
    for (const { inbox } of this.inboxes) {
      for (const delivery of inbox.deliveries.splice(0)) this.held.set(delivery, inbox);
    }
  }

  count(map: Map<string, number>, id: string): void {
    map.set(id, (map.get(id) ?? 0) + 1);
  }

  async settle(what: "ack" | "requeue" | "park" | "dead" | "finish", n: number): Promise<void> {
    const [delivery, inbox] = [...this.held][n % Math.max(1, this.held.size)] ?? [];
    if (!delivery || !inbox) return;
    this.held.delete(delivery);
    const write = {
      location: this.inboxes.find((one) => one.inbox === inbox)?.transport.location ?? {
        kind: "other" as const,
      },
      key: `result-${idOf(delivery)}`,
      value: '{"status": "SUCCESS"}',
      ttlSeconds: 60,
      keepSuccess: true,
    };
    const as = {
      ack: { kind: "ack" },
      requeue: { kind: "requeue" },
      park: { kind: "park", untilMs: delivery.serverTimeMs + (n % 2 ? 15 : 150) },
      dead: { kind: "dead", reason: "chosen" },
      finish: { kind: "ack-with-result", write },
    } as const;
    await mustBeDone(inbox, delivery, as[what]);
    if (what !== "requeue" && what !== "park") this.count(this.done, idOf(delivery));
    if (what === "dead") this.dead += 1;
  }

  /** A worker dies: what it holds, known to us or not, comes back when its lease is over; so it is made to be over. */
  async die(n: number): Promise<void> {
    const index = n % this.inboxes.length;
    const dying = this.inboxes[index];
    if (!dying) return;
    const { node } = dying.inbox.consumer as unknown as { node: string };
    await dying.transport.abandon();
    this.collect();
    for (const [delivery, inbox] of this.held) if (inbox === dying.inbox) this.held.delete(delivery);
    const script = `for _, tag in ipairs(redis.call('ZRANGE', 'unacked_lease', 0, -1)) do
      if string.find(tag, ARGV[1], 1, true) then redis.call('ZADD', 'unacked_lease', 1, tag) end
    end
    local ids = {}
    for _, tag in ipairs(redis.call('HKEYS', 'unacked')) do
      if string.find(tag, ARGV[1], 1, true) and not string.find(tag, 'ts1:p:', 1, true) then
        ids[#ids + 1] = string.match(redis.call('HGET', 'unacked', tag), '"id":"(m%d+)"')
      end
    end
    redis.call('DEL', 'unacked_sweep')
    return ids`;
    const lost = await server.command("EVAL", script, "0", node);
    for (const id of lost.split("\n")) if (id) this.count(this.excused, id);
    this.inboxes[index] = await this.openInbox();
  }

  async run(step: Step): Promise<void> {
    this.collect();
    const chosen = this.inboxes[step.n % this.inboxes.length];
    switch (step.do) {
      case "publish": {
        const batch = Array.from({ length: step.n }, () => {
          this.published += 1;
          return toQueue(QUEUES[this.published % 2] ?? "a", `m${this.published}`, (this.published * 7) % 10);
        });
        // Outcome unknown would allow duplicates: publish on a connection that was seen to work.
        await retry(() => this.producer.size("a"));
        await this.producer.publish(batch, null);
        break;
      }
      case "die":
        await this.die(step.n);
        break;
      case "reopen": {
        if (!chosen) break;
        await chosen.inbox.consumer.close();
        this.collect();
        for (const [delivery, inbox] of this.held) if (inbox === chosen.inbox) this.held.delete(delivery);
        chosen.inbox = new Inbox(chosen.transport, QUEUES, { prefetch: 4 });
        break;
      }
      case "pause":
        await chosen?.inbox.consumer.pause();
        chosen?.inbox.consumer.resume();
        break;
      case "prefetch":
        chosen?.inbox.consumer.setPrefetch(step.n);
        break;
      case "kill":
        await server.command("CLIENT", "KILL", "TYPE", "normal");
        break;
      case "flush":
        await server.command("SCRIPT", "FLUSH");
        break;
      case "restart":
        await server.kill("SIGKILL");
        await server.restart();
        break;
      case "ack":
      case "requeue":
      case "park":
      case "dead":
      case "finish":
        await this.settle(step.do, step.n);
    }
  }

  /** Everything that was published comes to its end. */
  async finish(): Promise<void> {
    for (const { inbox } of this.inboxes) {
      inbox.consumer.setPrefetch(1000);
      inbox.consumer.resume();
    }
    await eventually(
      "every message is done",
      async () => {
        this.collect();
        await Promise.all(
          [...this.held.keys()].map(async (delivery) => {
            const inbox = this.held.get(delivery);
            this.held.delete(delivery);
            if (inbox) await mustBeDone(inbox, delivery, { kind: "ack" });
            this.count(this.done, idOf(delivery));
          }),
        );
        await server.command("DEL", "unacked_sweep");
        return this.done.size >= this.published && (await this.leftOver()) === "0";
      },
      { timeoutMs: 15_000, intervalMs: 10 },
    );
  }

  leftOver(): Promise<string> {
    return server.command(
      "EXISTS",
      "unacked",
      "unacked_index",
      "unacked_lease",
      "unacked_parked",
      "unacked_started",
      ...QUEUES.flatMap((queue) => [queue, `${queue}\x06\x163`, `${queue}\x06\x166`, `${queue}\x06\x169`]),
    );
  }
}

async function mustBeDone(inbox: Inbox, delivery: Delivery, as: Settlement): Promise<void> {
  const answer = await inbox.consumer.settle(delivery, as);
  if (answer !== "done")
    throw new Error(`${as.kind} of ${idOf(delivery)} (${delivery.tag}) answered ${answer}`);
}

async function retry<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (attempt > 20) throw error;
    }
  }
}

test("whatever happens, every message is done exactly once, or once more for each holder that died with it", async () => {
  const property = fc.asyncProperty(steps, async (schedule) => {
    await server.command("FLUSHALL");
    const producer = await redisTransport(server.url, { role: "producer", settings: SETTINGS });
    await producer.start(new AbortController().signal);
    const world = new World(producer);
    for (let i = 0; i < 2; i++) world.inboxes.push(await world.openInbox());
    try {
      for (const step of schedule) await world.run(step);
      await world.finish();
      for (let i = 1; i <= world.published; i++) {
        const id = `m${i}`;
        const times = world.done.get(id) ?? 0;
        expect([id, times >= 1 && times <= 1 + (world.excused.get(id) ?? 0)]).toEqual([id, true]);
      }
      const deadLists = await Promise.all(QUEUES.map((queue) => server.command("LLEN", `${queue}.dead`)));
      expect(deadLists.reduce((sum, length) => sum + Number(length), 0)).toBe(world.dead);
      expect(world.inboxes.flatMap(({ inbox }) => inbox.lost)).toEqual([]);
    } finally {
      await Promise.all([producer, ...world.inboxes.map((one) => one.transport)].map((one) => one.stop()));
    }
  });
  await fc.assert(property, { seed, numRuns: Number(process.env["PETIOLE_TEST_RUNS"] ?? 25) });
}, 240_000);
