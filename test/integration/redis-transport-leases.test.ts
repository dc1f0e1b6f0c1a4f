/** Leases of the build's transport: kept while a worker lives, put back when it does not, never punishing the innocent. */
import { describe, expect, test } from "vitest";
import { Inbox, idOf, ids, toQueue } from "../conformance/inbox.ts";
import { block } from "../support/block.ts";
import { eventually } from "../support/eventually.ts";
import { internals, many, RedisRig } from "../support/redis-rig.ts";
import { LogKeeper, loseHolder, SHORT_LEASE } from "../support/redis-transport.ts";

const rig = new RedisRig();

describe("leases", () => {
  /** A worker in a process of its own, idle: takes over what this one loses while it blocks its event loop. Answers what it took. */
  async function rival(): Promise<() => Promise<readonly string[]>> {
    const taken = loseHolder({ url: rig.server.url, queue: "q", count: 1 });
    await eventually("the other one is idle", async () =>
      (await rig.server.command("CLIENT", "LIST")).includes("cmd=exists"),
    );
    return () => taken;
  }

  test("code that blocks the event loop for three leases loses nothing", async () => {
    const transport = await rig.open();
    await transport.publish(many("q", 2), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 2 });
    const held = await inbox.take(2);
    await internals(inbox).leases.signals.thread.next({ timeoutMs: 5000 });
    const taken = await rival();
    block(3 * 1500);
    await inbox.consumer.pause();
    await inbox.ack(held);
    await transport.publish([toQueue("q", "fence")], null);
    expect(await taken()).toEqual(["fence"]);
    expect(inbox.lost).toEqual([]);
  });

  test("a worker that holds nothing gives its thread back, and the next message starts one that renews", async () => {
    const transport = await rig.open();
    const inbox = new Inbox(transport, ["q"], { prefetch: 1 });
    const { thread, resting } = internals(inbox).leases.signals;
    resting.init();
    await transport.publish(many("q", 1), null);
    await inbox.ack(await inbox.take(1));
    await resting.next({ timeoutMs: 5000 });
    await transport.publish(many("q", 1, 1), null);
    const held = await inbox.take(1);
    await thread.next({ timeoutMs: 5000 });
    const taken = await rival();
    block(3 * 1500);
    await inbox.consumer.pause();
    await inbox.ack(held);
    await transport.publish([toQueue("q", "fence")], null);
    expect(await taken()).toEqual(["fence"]);
    expect(inbox.lost).toEqual([]);
    await resting.next({ timeoutMs: 5000 });
  });

  test("an event loop that stands still for longer than worker_stall_limit gives its messages up", async () => {
    const logger = new LogKeeper();
    const transport = await rig.open({ logger, settings: { ...SHORT_LEASE, workerStallLimitMs: 600 } });
    await transport.publish(many("q", 1), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 1 });
    await inbox.take(1);
    await internals(inbox).leases.signals.thread.next({ timeoutMs: 5000 });
    const taken = await rival();
    block(600 + 1500 + 2500);
    expect(await taken()).toEqual(["m0"]);
    await inbox.until(
      () => inbox.lost.length === 1,
      () => "lost",
    );
    await eventually("it was told", () => logger.lines.some((line) => line.message.includes("stands still")));
  });

  test("a stall without a thread: the lease is lost, told, and a late result still counts", async () => {
    const transport = await rig.open();
    const other = await rig.open();
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
    expect(await rig.server.command("GET", "celery-task-meta-m0")).toBe('{"status": "SUCCESS"}');
    expect(await second.settle(again!, { kind: "ack" })).toBe("done");
  });

  test("a dead worker's messages come back in order, ahead of those that wait", async () => {
    const producer = await rig.open({ role: "producer" });
    await producer.publish(many("q", 30), null);
    const taken = await loseHolder({ url: rig.server.url, queue: "q", count: 20 });
    expect(taken.length).toBe(20);
    const inbox = new Inbox(await rig.open(), ["q"], { prefetch: 0 });
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
  const now = async (): Promise<number> => Number((await rig.server.command("TIME")).split("\n")[0]);

  async function foreign(tag: string, value: string, ageS: number): Promise<void> {
    await rig.server.command("HSET", "unacked", tag, value);
    await rig.server.command("ZADD", "unacked_index", String((await now()) - ageS), tag);
  }

  test("a Python worker's message comes back after the visibility timeout, not before, to its step", async () => {
    await foreign("py-old", `[${raw("old")}, "", "q"]`, 100);
    await foreign("py-young", `[${raw("young")}, "", "q"]`, 10);
    const inbox = new Inbox(await rig.open({ options: { visibility_timeout: 60 } }), ["q"]);
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
    expect(await rig.server.command("HKEYS", "unacked")).toBe("py-young");
  });

  test("a message of a named exchange goes to a queue that is bound, once", async () => {
    await rig.server.command(
      "SADD",
      "_kombu.binding.ex",
      "rk\x06\x16\x06\x16one",
      "rk\x06\x16\x06\x16two",
      "other\x06\x16\x06\x16three",
    );
    await foreign("py", `[${raw("m")}, "ex", "rk"]`, 100);
    const inbox = new Inbox(await rig.open({ options: { visibility_timeout: 60 } }), ["one", "two", "three"]);
    const [delivery] = await inbox.take(1, 5000);
    expect(["one", "two"]).toContain(delivery?.queue);
    await inbox.ack([delivery!]);
    expect(await rig.heldKeys()).toBe("0");
    expect(inbox.deliveries.length).toBe(1);
  });

  test("an entry that cannot be read goes to the dead list, where it stops no Python worker", async () => {
    await foreign("bad1", "rubbish", 100);
    await foreign("bad2", '["not a message", "", "q"]', 100);
    const inbox = new Inbox(await rig.open({ options: { visibility_timeout: 60 } }), ["q"]);
    await inbox.until(
      () => inbox.dead.length === 2,
      () => "both told",
    );
    expect(await rig.server.command("LLEN", "celery.dead")).toBe("2");
    expect(await rig.heldKeys()).toBe("0");
  });

  test("a task that ends its worker again and again: once at once, then after a back-off, then dead and told", async () => {
    const inbox = new Inbox(await rig.open(), ["q"], { prefetch: 0 });
    const { swept } = internals(inbox).sweeper.signals;
    swept.init();
    const lose = async (count: number, started: boolean): Promise<unknown> => {
      const tag = `ts1:${"ab".repeat(8)}:${count + 1}:1`;
      const value = raw("poison", count === 0 ? {} : { redelivered: true, "x-delivery-count": count });
      await rig.server.command("HSET", "unacked", tag, `[${value},"","q"]`);
      await rig.server.command("ZADD", "unacked_index", String(await now()), tag);
      if (started) await rig.server.command("SADD", "unacked_started", tag);
      await rig.server.command("ZADD", "unacked_lease", String((await now()) - 1), tag);
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
    const [line = ""] = (await rig.server.command("LRANGE", "q.dead", "0", "-1")).split("\n");
    expect(JSON.parse(line)).toMatchObject({ queue: "q", count: 3 });
    expect(await rig.server.command("EXISTS", "unacked_started")).toBe("0");
  });

  test("bytes that are no UTF-8 come back as they were", async () => {
    const held = Buffer.from(raw("m", { note: "bytes\xff\xfe" }), "latin1");
    const hex = held.toString("hex");
    const script =
      "redis.call('HSET', 'unacked', 'py', '[' .. (string.gsub(ARGV[1], '%x%x', function(h) return string.char(tonumber(h, 16)) end)) .. ', \"\", \"q\"]') return 1";
    await rig.server.command("EVAL", script, "0", hex);
    await rig.server.command("ZADD", "unacked_index", "1", "py");
    const inbox = new Inbox(await rig.open(), ["none"]);
    await eventually("it is back", async () => (await rig.server.command("LLEN", "q\x06\x166")) === "1");
    const check =
      "local v = redis.call('LINDEX', KEYS[1], 0) return (string.gsub(v, '.', function(c) return string.format('%02x', string.byte(c)) end))";
    const back = await rig.server.command("EVAL", check, "1", "q\x06\x166");
    expect(back).toContain(Buffer.from("bytes\xff\xfe", "latin1").toString("hex"));
    await inbox.consumer.close();
  });

  test("no sweep within the grace of a connection", async () => {
    const transport = await rig.open({ settings: { ...SHORT_LEASE, sweepGraceMs: 60_000 } });
    const inbox = new Inbox(transport, ["q"]);
    internals(inbox).sweeper.signals.sweep.init();
    await expect(internals(inbox).sweeper.signals.sweep.next({ timeoutMs: 1500 })).rejects.toThrow(
      "no test signal",
    );
  });

  test("the grace begins anew with every connection", async () => {
    const transport = await rig.open({
      settings: { ...SHORT_LEASE, sweepIntervalMs: 100, sweepGraceMs: 2500 },
    });
    const inbox = new Inbox(transport, ["q"]);
    const { sweep } = internals(inbox).sweeper.signals;
    await sweep.next({ timeoutMs: 5000 });
    await rig.server.command("CLIENT", "KILL", "TYPE", "normal");
    await inbox.until(
      () => inbox.states.includes("waiting") && inbox.states.at(-1) === "live",
      () => "live again",
    );
    await expect(sweep.next({ timeoutMs: 1800 })).rejects.toThrow("no test signal");
    await sweep.next({ timeoutMs: 5000 });
  });

  test("in a fleet about one sweep a second", async () => {
    const inboxes: Inbox[] = [];
    for (let i = 0; i < 4; i++) inboxes.push(new Inbox(await rig.open(), ["q"]));
    const signals = inboxes.map((inbox) => internals(inbox).sweeper.signals.sweep.init());
    const started = performance.now();
    let sweeps = 0;
    // One wait for each: who loses the race is still waited for in the next.
    const nextOf = (at: number): Promise<number> => signals[at]!.next({ timeoutMs: 20_000 }).then(() => at);
    const next = signals.map((_, at) => nextOf(at));
    while (performance.now() - started < 3000) {
      const at = await Promise.race(next);
      next[at] = nextOf(at);
      sweeps += 1;
    }
    for (const one of next) one.catch(() => {});
    expect(sweeps).toBeLessThanOrEqual(5);
  });
});

describe("an event loop that stood still for more than half a lease", () => {
  test("looks at what it holds before it goes on, as after a reconnect", async () => {
    const transport = await rig.open();
    await transport.publish(many("q", 2), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 2 });
    const held = await inbox.take(2);
    inbox.states.length = 0;
    block(1200);
    await inbox.until(
      () => inbox.states.at(-1) === "live",
      () => "live again",
    );
    expect(inbox.states).toEqual(["reclaiming", "live"]);
    expect(inbox.lost).toEqual([]);
    await inbox.ack(held);
  });
});
