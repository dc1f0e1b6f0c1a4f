/** The transport of the build while things break: nothing is lost, nothing runs twice that did not have to. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type * as Consumers from "../../src/transports/redis/consumer.ts";
import type { RedisTransport } from "../../src/transports/redis/index.ts";
import type { Delivery, Outgoing } from "../../src/transports/transport.ts";
import { Inbox, idOf, ids, toQueue } from "../conformance/inbox.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import {
  LogKeeper,
  loseHolder,
  type OpenOptions,
  redisTransport,
  SHORT_LEASE,
} from "../support/redis-transport.ts";

let server: RedisServer;
const opened: RedisTransport[] = [];

beforeAll(async () => {
  server = await startRedis({ aof: true });
});
beforeEach(async () => {
  await server.command("FLUSHALL");
  await server.command("SCRIPT", "FLUSH");
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.stop()));
});
afterAll(() => server.stop());

async function open(options: OpenOptions = {}, url = server.url): Promise<RedisTransport> {
  const transport = await redisTransport(url, { settings: SHORT_LEASE, ...options });
  opened.push(transport);
  await transport.start(new AbortController().signal);
  return transport;
}

function internals(inbox: Inbox): Consumers.RedisConsumer {
  return inbox.consumer as unknown as Consumers.RedisConsumer;
}

const many = (queue: string, count: number, from = 0): Outgoing[] =>
  Array.from({ length: count }, (_, i) => toQueue(queue, `m${from + i}`));

async function heldKeys(): Promise<string> {
  return server.command(
    "EXISTS",
    "unacked",
    "unacked_index",
    "unacked_lease",
    "unacked_parked",
    "unacked_started",
  );
}

describe("connections", () => {
  test("killed again and again under load: every message settled exactly once, nothing left over", async () => {
    const producer = await open({ role: "producer" });
    const transport = await open();
    const settled = new Map<string, number>();
    const count = 3000;
    const inbox = new Inbox(transport, ["q"], {
      prefetch: 50,
      settleAs: (delivery) => {
        settled.set(idOf(delivery), (settled.get(idOf(delivery)) ?? 0) + 1);
        return { kind: "ack" };
      },
    });
    for (let sent = 0; sent < count; sent += 500) await producer.publish(many("q", 500, sent), null);
    for (let kills = 0; settled.size < count; kills++) {
      await server.command("CLIENT", "KILL", "TYPE", "normal");
      const before = settled.size;
      await eventually("it goes on", () => settled.size > before || settled.size === count, {
        timeoutMs: 8000,
      });
      if (kills > 200) throw new Error("too many kills");
    }
    await eventually("all holds have ended", async () => (await heldKeys()) === "0");
    expect([...settled.values()].every((times) => times === 1)).toBe(true);
    expect(inbox.lost).toEqual([]);
    expect(await producer.size("q")).toBe(0);
  });

  test("a settlement whose reply is lost is sent again and answers done", async () => {
    const transport = await open();
    await transport.publish(many("q", 1), null);
    const inbox = new Inbox(transport, ["q"]);
    const [delivery] = await inbox.take(1);
    // The server executes what is in its socket buffer after the pause, and closes before it can answer.
    await server.kill("SIGSTOP");
    const answer = inbox.settle(delivery!, { kind: "ack" });
    await new Promise((resolve) => setImmediate(resolve));
    await server.kill("SIGKILL");
    await server.restart();
    expect(await answer).toBe("done");
    expect(await heldKeys()).toBe("0");
  });

  test("SCRIPT FLUSH under load is not noticed", async () => {
    const transport = await open();
    const seen = new Set<string>();
    const inbox = new Inbox(transport, ["q"], {
      prefetch: 30,
      settleAs: (delivery) => {
        seen.add(idOf(delivery));
        return { kind: "ack" };
      },
    });
    for (let round = 0; round < 20; round++) {
      await transport.publish(many("q", 100, round * 100), null);
      await server.command("SCRIPT", "FLUSH");
    }
    await eventually("all seen", () => seen.size === 2000);
    expect(inbox.deliveries.length).toBe(2000);
  });

  test("a server that stands still: the deadline ends the connection, then all goes on, each once", async () => {
    const settings = {
      ...SHORT_LEASE,
      leaseMs: 30_000,
      beatMs: 10_000,
      commandDeadlineMs: 400,
      dialDeadlineMs: 400,
    };
    const transport = await open({ settings });
    await transport.publish(many("q", 20), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 10 });
    const held = await inbox.take(10);
    await server.kill("SIGSTOP");
    const acks = inbox.ack(held);
    await inbox.until(
      () => inbox.states.includes("waiting"),
      () => "waiting",
    );
    await server.kill("SIGCONT");
    await acks;
    await inbox.ack(await inbox.take(10));
    await eventually("all holds have ended", async () => (await heldKeys()) === "0");
    expect(inbox.deliveries.length).toBe(20);
    expect(inbox.lost).toEqual([]);
  });

  test("Redis restarts: what is held stays held, is not restored by others, and goes on", async () => {
    const holder = await open();
    const other = await open();
    await holder.publish(many("q", 4), null);
    const inbox = new Inbox(holder, ["q"], { prefetch: 4 });
    const held = await inbox.take(4);
    const watcher = new Inbox(other, ["q"]);
    await server.kill("SIGKILL");
    await server.restart();
    await watcher.until(
      () => watcher.states.at(-1) === "live" && inbox.states.at(-1) === "live",
      () => "live again",
    );
    // Whoever comes first sweeps.
    const sweeps = [watcher, inbox].map((one) => internals(one).sweeper.signals.sweep.init());
    for (let round = 0; round < 3; round++) {
      expect(await Promise.race(sweeps.map((one) => one.next({ timeoutMs: 5000 })))).toBe(0);
    }
    expect(watcher.deliveries).toEqual([]);
    await inbox.ack(held);
    expect(inbox.lost).toEqual([]);
  });

  test("data that Redis lost: what was held is told as lost", async () => {
    const transport = await open();
    await transport.publish(many("q", 2), null);
    const inbox = new Inbox(transport, ["q"]);
    const held = await inbox.take(2);
    await server.command("FLUSHALL");
    await inbox.until(
      () => inbox.lost.length === 2,
      () => "lost",
    );
    expect(ids(inbox.lost).sort()).toEqual(ids(held).sort());
    expect(await inbox.consumer.settle(held[0]!, { kind: "ack" })).toBe("gone");
  });

  test("publishing while Redis is away: not sent, at once again when it is back", async () => {
    const producer = await open({ role: "producer" });
    await server.kill("SIGKILL");
    const error = (await producer.publish(many("q", 1), null).catch((one: unknown) => one)) as {
      outcome: string;
    };
    expect(["not sent", "unknown"]).toContain(error.outcome);
    const again = (await producer.publish(many("q", 1), null).catch((one: unknown) => one)) as {
      outcome: string;
    };
    expect(again.outcome).toBe("not sent");
    await server.restart();
    await producer.publish(many("q", 1), null);
    expect(await producer.size("q")).toBe(1);
  });
});

describe("refusals", () => {
  test("over maxmemory publishing is refused as not sent, consuming goes on", async () => {
    const producer = await open({ role: "producer" });
    const transport = await open();
    await producer.publish(many("q", 3), null);
    await server.command("CONFIG", "SET", "maxmemory", "1");
    try {
      const error = (await producer.publish(many("q", 1), null).catch((one: unknown) => one)) as {
        outcome: string;
        message: string;
      };
      expect(error.outcome).toBe("not sent");
      expect(error.message).toContain("maxmemory");
      const inbox = new Inbox(transport, ["q"], { prefetch: 1 });
      expect(await inbox.drain(3)).toEqual(["m0", "m1", "m2"]);
    } finally {
      await server.command("CONFIG", "SET", "maxmemory", "0");
    }
  });

  test("a queue's key of a wrong type is told as fatal, by name", async () => {
    const transport = await open();
    await server.command("SET", "q", "text");
    const failures: Error[] = [];
    const consumer = transport.consume({
      queues: ["q"],
      prefetch: 1,
      onBatch: () => {},
      onDead: () => {},
      onLost: () => {},
      onState: () => {},
      onFatal: (error) => failures.push(error),
    });
    await eventually("it was told", () => failures.length > 0);
    expect(failures[0]).toMatchObject({ code: "PET_BROKER_REFUSED" });
    expect(failures[0]?.message).toContain('"q"');
    await server.command("DEL", "q");
    await consumer.close();
  });

  test("a server that refuses writes for now is asked again, and nothing is lost", async () => {
    const transport = await open();
    await transport.publish(many("q", 6), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 3 });
    const held = await inbox.take(3);
    await server.command("CONFIG", "SET", "min-replicas-to-write", "1");
    try {
      const answers = Promise.all(held.map((one) => inbox.settle(one, { kind: "ack" })));
      const failure = (await transport.publish(many("q", 1), null).catch((one: unknown) => one)) as Error;
      expect(failure.message).toContain("NOREPLICAS");
      await server.command("CONFIG", "SET", "min-replicas-to-write", "0");
      expect(await answers).toEqual(["done", "done", "done"]);
      await inbox.ack(await inbox.take(3));
    } finally {
      await server.command("CONFIG", "SET", "min-replicas-to-write", "0");
    }
  });

  test("an unknown option is refused when the transport is opened", async () => {
    await expect(redisTransport(server.url, { options: { visibility_timout: 1 } })).rejects.toThrow(
      'the nearest is "visibility_timeout"',
    );
  });

  test("a producer does not consume, and loads none of the consumer's files", async () => {
    const producer = await open({ role: "producer" });
    expect(() => producer.consume({} as never)).toThrow("producer");
  });
});

describe("leases", () => {
  test("code that blocks the event loop for three leases loses nothing", async () => {
    const transport = await open();
    const other = await open();
    await transport.publish(many("q", 3), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 2 });
    const held = await inbox.take(2);
    await internals(inbox).leases.signals.thread.next({ timeoutMs: 5000 });
    const until = performance.now() + 3 * 1500;
    while (performance.now() < until);
    const watcher = new Inbox(other, ["q"], { prefetch: 0 });
    internals(watcher).sweeper.signals.sweep.init();
    expect(await internals(watcher).sweeper.signals.sweep.next({ timeoutMs: 5000 })).toBe(0);
    await inbox.ack(held);
    expect(inbox.lost).toEqual([]);
  });

  test("a worker that holds nothing gives its thread back, and the next message starts one that renews", async () => {
    const transport = await open();
    const other = await open();
    const inbox = new Inbox(transport, ["q"], { prefetch: 1 });
    const { thread, resting } = internals(inbox).leases.signals;
    resting.init();
    for (const [i, id] of ["m0", "m1"].entries()) {
      await transport.publish(many("q", 1, i), null);
      const [held] = await inbox.take(1);
      expect(idOf(held!)).toBe(id);
      await thread.next({ timeoutMs: 5000 });
      resting.expectEmpty();
      const until = performance.now() + 2 * 1500;
      while (performance.now() < until);
      const watcher = new Inbox(other, ["q"], { prefetch: 0 });
      internals(watcher).sweeper.signals.sweep.init();
      expect(await internals(watcher).sweeper.signals.sweep.next({ timeoutMs: 5000 })).toBe(0);
      await watcher.consumer.close();
      await inbox.ack([held!]);
      await resting.next({ timeoutMs: 5000 });
    }
    expect(inbox.lost).toEqual([]);
  });

  test("an event loop that stands still for longer than worker_stall_limit gives its messages up", async () => {
    const logger = new LogKeeper();
    const transport = await open({ logger, settings: { ...SHORT_LEASE, workerStallLimitMs: 600 } });
    await transport.publish(many("q", 1), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 1 });
    await inbox.take(1);
    await internals(inbox).leases.signals.thread.next({ timeoutMs: 5000 });
    // A worker in a process of its own takes it over meanwhile.
    const taken = loseHolder({ url: server.url, queue: "q", count: 1 });
    await eventually("the other one is there", async () =>
      (await server.command("CLIENT", "LIST")).includes("cmd=exists"),
    );
    const until = performance.now() + 600 + 1500 + 2500;
    while (performance.now() < until);
    expect(await taken).toEqual(["m0"]);
    await inbox.until(
      () => inbox.lost.length === 1,
      () => "lost",
    );
    await eventually("it was told", () => logger.lines.some((line) => line.message.includes("stands still")));
  });

  test("a stall without a thread: the lease is lost, told, and a late result still counts", async () => {
    const transport = await open();
    const other = await open();
    await transport.publish(many("q", 1), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 1 });
    const [lost] = await inbox.take(1);
    await internals(inbox).leases.stop();
    const second = new Inbox(other, ["q"]);
    const [again] = await second.take(1, 15_000);
    expect([idOf(again!), again?.redelivered, again?.deliveryCount]).toEqual(["m0", true, 1]);
    await inbox.consumer.pause();
    const write = {
      location: transport.location,
      key: "celery-task-meta-m0",
      value: '{"status": "SUCCESS"}',
      ttlSeconds: 60,
      keepSuccess: true,
    };
    expect(await inbox.settle(lost!, { kind: "ack-with-result", write })).toBe("gone");
    expect(await server.command("GET", "celery-task-meta-m0")).toBe('{"status": "SUCCESS"}');
    expect(await second.settle(again!, { kind: "ack" })).toBe("done");
  });

  test("a dead worker's messages come back in order, ahead of those that wait", async () => {
    const producer = await open({ role: "producer" });
    await producer.publish(many("q", 30), null);
    const taken = await loseHolder({ url: server.url, queue: "q", count: 20 });
    expect(taken.length).toBe(20);
    const inbox = new Inbox(await open(), ["q"], { prefetch: 0 });
    await eventually("all are back", async () => (await producer.size("q")) === 30);
    inbox.consumer.setPrefetch(30);
    expect(ids(await inbox.take(30))).toEqual(many("q", 30).map(({ message }) => idOf({ message })));
  });
});

describe("sweeping", () => {
  const raw = (id: string, more: object = {}): string =>
    JSON.stringify({
      body: "W1td",
      "content-type": "application/json",
      "content-encoding": "utf-8",
      headers: { id, task: "t", ...more },
      properties: {
        delivery_tag: id,
        delivery_info: { exchange: "", routing_key: "q" },
        body_encoding: "base64",
        priority: 6,
      },
    });
  const now = async (): Promise<number> => Number((await server.command("TIME")).split("\n")[0]);

  async function foreign(tag: string, value: string, ageS: number): Promise<void> {
    await server.command("HSET", "unacked", tag, value);
    await server.command("ZADD", "unacked_index", String((await now()) - ageS), tag);
  }

  test("a Python worker's message comes back after the visibility timeout, not before, to its step", async () => {
    await foreign("py-old", `[${raw("old")}, "", "q"]`, 100);
    await foreign("py-young", `[${raw("young")}, "", "q"]`, 10);
    const inbox = new Inbox(await open({ options: { visibility_timeout: 60 } }), ["q"]);
    internals(inbox).sweeper.signals.swept.init();
    expect(await internals(inbox).sweeper.signals.swept.next({ timeoutMs: 5000 })).toEqual({
      tag: "py-old",
      to: "queue",
      queue: "q",
      count: 1,
    });
    const [old] = await inbox.take(1);
    expect([idOf(old!), old?.redelivered]).toEqual(["old", true]);
    await inbox.ack([old!]);
    expect(await server.command("HKEYS", "unacked")).toBe("py-young");
  });

  test("a message of a named exchange goes to a queue that is bound, once", async () => {
    await server.command(
      "SADD",
      "_kombu.binding.ex",
      "rk\x06\x16\x06\x16one",
      "rk\x06\x16\x06\x16two",
      "other\x06\x16\x06\x16three",
    );
    await foreign("py", `[${raw("m")}, "ex", "rk"]`, 100);
    const inbox = new Inbox(await open({ options: { visibility_timeout: 60 } }), ["one", "two", "three"]);
    const [delivery] = await inbox.take(1, 5000);
    expect(["one", "two"]).toContain(delivery?.queue);
    await inbox.ack([delivery!]);
    expect(await heldKeys()).toBe("0");
    expect(inbox.deliveries.length).toBe(1);
  });

  test("an entry that cannot be read goes to the dead list, where it stops no Python worker", async () => {
    await foreign("bad1", "rubbish", 100);
    await foreign("bad2", '["not a message", "", "q"]', 100);
    const inbox = new Inbox(await open({ options: { visibility_timeout: 60 } }), ["q"]);
    await inbox.until(
      () => inbox.dead.length === 2,
      () => "both told",
    );
    expect(await server.command("LLEN", "celery.dead")).toBe("2");
    expect(await heldKeys()).toBe("0");
  });

  test("a task that ends its worker again and again: once at once, then after a back-off, then dead and told", async () => {
    const inbox = new Inbox(await open(), ["q"], { prefetch: 0 });
    const { swept } = internals(inbox).sweeper.signals;
    swept.init();
    const lose = async (count: number, started: boolean): Promise<unknown> => {
      const tag = `ts1:${"ab".repeat(8)}:${count + 1}:1`;
      const value = raw("poison", count === 0 ? {} : { redelivered: true, "x-delivery-count": count });
      await server.command("HSET", "unacked", tag, `[${value},"","q"]`);
      await server.command("ZADD", "unacked_index", String(await now()), tag);
      if (started) await server.command("SADD", "unacked_started", tag);
      await server.command("ZADD", "unacked_lease", String((await now()) - 1), tag);
      const { to, count: then } = await swept.next({ timeoutMs: 5000 });
      return [to, then];
    };
    expect(await lose(0, false)).toEqual(["queue", 1]);
    expect(await lose(1, false)).toEqual(["queue", 1]);
    expect(await lose(1, true)).toEqual(["parked", 2]);
    expect(await lose(2, false)).toEqual(["parked", 2]);
    expect(await lose(2, true)).toEqual(["dead", 3]);
    expect(inbox.dead.map((one) => [one.queue, one.message?.headers["id"]])).toEqual([["q", "poison"]]);
    expect(inbox.dead[0]?.reason).toContain("lost 3 times");
    const [line = ""] = (await server.command("LRANGE", "q.dead", "0", "-1")).split("\n");
    expect(JSON.parse(line)).toMatchObject({ queue: "q", count: 3 });
    expect(await server.command("EXISTS", "unacked_started")).toBe("0");
  });

  test("bytes that are no UTF-8 come back as they were", async () => {
    const held = Buffer.from(raw("m", { note: "bytes\xff\xfe" }), "latin1");
    const hex = held.toString("hex");
    const script =
      "redis.call('HSET', 'unacked', 'py', '[' .. (string.gsub(ARGV[1], '%x%x', function(h) return string.char(tonumber(h, 16)) end)) .. ', \"\", \"q\"]') return 1";
    await server.command("EVAL", script, "0", hex);
    await server.command("ZADD", "unacked_index", "1", "py");
    const inbox = new Inbox(await open(), ["none"]);
    await eventually("it is back", async () => (await server.command("LLEN", "q\x06\x166")) === "1");
    const check =
      "local v = redis.call('LINDEX', KEYS[1], 0) return (string.gsub(v, '.', function(c) return string.format('%02x', string.byte(c)) end))";
    const back = await server.command("EVAL", check, "1", "q\x06\x166");
    expect(back).toContain(Buffer.from("bytes\xff\xfe", "latin1").toString("hex"));
    await inbox.consumer.close();
  });

  test("no sweep within the grace of a connection", async () => {
    const transport = await open({ settings: { ...SHORT_LEASE, sweepGraceMs: 60_000 } });
    const inbox = new Inbox(transport, ["q"]);
    internals(inbox).sweeper.signals.sweep.init();
    await expect(internals(inbox).sweeper.signals.sweep.next({ timeoutMs: 1500 })).rejects.toThrow(
      "no test signal",
    );
  });

  test("in a fleet about one sweep a second", async () => {
    const inboxes: Inbox[] = [];
    for (let i = 0; i < 4; i++) inboxes.push(new Inbox(await open(), ["q"]));
    const signals = inboxes.map((inbox) => internals(inbox).sweeper.signals.sweep.init());
    const started = performance.now();
    let sweeps = 0;
    while (performance.now() - started < 3000) {
      await Promise.race(signals.map((one) => one.next({ timeoutMs: 4000 })));
      sweeps += 1;
    }
    expect(sweeps).toBeLessThanOrEqual(5);
  });
});

describe("places", () => {
  test("a unix socket, a key prefix, other separators and steps", async () => {
    const options = { global_keyprefix: "app:", sep: ":", priority_steps: [0, 5] };
    const transport = await open({ options }, `redis+socket://${server.socketPath}?virtual_host=3`);
    await transport.publish([toQueue("q", "low", 9), toQueue("q", "high", 0)], null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 2 });
    const held = await inbox.take(2);
    expect(ids(held)).toEqual(["high", "low"]);
    const select = "redis.call('SELECT', 3) return redis.call('KEYS', '*')";
    const keys = (await server.command("EVAL", select, "0")).split("\n");
    expect(keys.every((key) => key.startsWith("app:"))).toBe(true);
    await inbox.settle(held[1]!, { kind: "requeue" });
    await eventually("it is back", async () => {
      const again = inbox.deliveries.filter((one: Delivery) => idOf(one) === "low");
      return again.length === 2;
    });
  });

  test("two apps with other unacked keys in one database do not see each other's", async () => {
    const one = await open({ options: { unacked_key: "one", unacked_index_key: "one_index" } });
    const two = await open({ options: { unacked_key: "two", unacked_index_key: "two_index" } });
    await one.publish(many("q1", 1), null);
    await two.publish(many("q2", 1), null);
    const [first, second] = [new Inbox(one, ["q1"]), new Inbox(two, ["q2"])];
    await first.take(1);
    await second.take(1);
    expect(await server.command("HLEN", "one")).toBe("1");
    expect(await server.command("HLEN", "two")).toBe("1");
  });
});

describe("what the operator should hear", () => {
  test("a maxmemory-policy that evicts is warned of, the default is not", async () => {
    const logger = new LogKeeper();
    await open({ logger });
    await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    try {
      await open({ logger });
      await eventually("it was told", () => logger.lines.length > 0);
      expect(logger.lines).toMatchObject([{ level: "warn", fields: { policy: "allkeys-lru" } }]);
    } finally {
      await server.command("CONFIG", "SET", "maxmemory-policy", "noeviction");
    }
  });

  test("a short visibility timeout, and verification that is switched off", async () => {
    const logger = new LogKeeper();
    await open({ logger, options: { visibility_timeout: 30 } }, `${server.url}/0?ssl_cert_reqs=none`);
    const told = logger.lines.map((line) => line.message);
    expect(told).toContain("the broker URL or its TLS options need a look");
    expect(told).toContain("a visibility_timeout below 60 s makes Python workers run long tasks twice");
  });
});

describe("an event loop that stood still for more than half a lease", () => {
  test("looks at what it holds before it goes on, as after a reconnect", async () => {
    const transport = await open();
    await transport.publish(many("q", 2), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 2 });
    const held = await inbox.take(2);
    inbox.states.length = 0;
    const until = performance.now() + 1200;
    while (performance.now() < until);
    await inbox.until(
      () => inbox.states.at(-1) === "live",
      () => "live again",
    );
    expect(inbox.states).toEqual(["reclaiming", "live"]);
    expect(inbox.lost).toEqual([]);
    await inbox.ack(held);
  });
});
