/** The transport of the build while things break: nothing is lost, nothing runs twice that did not have to. */
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, expect, test } from "vitest";
import type { Delivery } from "../../src/transports/transport.ts";
import { Inbox, idOf, ids, toQueue } from "../conformance/inbox.ts";
import { eventually } from "../support/eventually.ts";
import { internals, many, RedisRig } from "../support/redis-rig.ts";
import { LogKeeper, redisTransport, SHORT_LEASE } from "../support/redis-transport.ts";

const rig = new RedisRig();

describe("connections", () => {
  test("killed again and again under load: every message settled exactly once, nothing left over", async () => {
    const producer = await rig.open({ role: "producer" });
    const transport = await rig.open();
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
      await rig.server.command("CLIENT", "KILL", "TYPE", "normal");
      const before = settled.size;
      await eventually("it goes on", () => settled.size > before || settled.size === count, {
        timeoutMs: 8000,
      });
      if (kills > 200) throw new Error("too many kills");
    }
    await eventually("all holds have ended", async () => (await rig.heldKeys()) === "0");
    expect([...settled.values()].every((times) => times === 1)).toBe(true);
    expect(inbox.lost).toEqual([]);
    expect(await producer.size("q")).toBe(0);
  });

  test("killed while it is taken up again: no rejection is left that nobody waits for", async () => {
    // Cuts what asks for bindings, so often.
    let cuts = 0;
    const wire = createServer((client) => {
      const server = connect(Number(new URL(rig.server.url).port));
      const end = (): void => void [client, server].map((one) => one.destroy());
      for (const one of [client, server]) one.on("error", end).on("close", end);
      server.pipe(client);
      client.on("data", (bytes) => {
        if (cuts === 0 || !bytes.includes("sadd")) return server.write(bytes);
        cuts -= 1;
        return end();
      });
    });
    await new Promise<void>((resolve) => wire.listen(0, "127.0.0.1", resolve));
    const unheard: unknown[] = [];
    const hear = (reason: unknown): void => void unheard.push(reason);
    process.on("unhandledRejection", hear);
    try {
      const transport = await rig.open({}, `redis://127.0.0.1:${(wire.address() as AddressInfo).port}/0`);
      await transport.declare(
        ["a", "b"].map((name) => ({ name, exchange: name, type: "direct" as const, routingKey: name })),
      );
      const inbox = new Inbox(transport, ["a"]);
      await transport.publish([toQueue("a", "held")], null);
      await inbox.take(1);
      cuts = 3;
      await rig.server.command("CLIENT", "KILL", "TYPE", "normal");
      await eventually("it was cut", () => cuts === 0, { timeoutMs: 8000 });
      await transport.publish([toQueue("a", "after")], null).catch(() => {});
      await eventually("it takes messages", () => inbox.consumer.state === "live", { timeoutMs: 8000 });
      expect(unheard).toEqual([]);
    } finally {
      process.off("unhandledRejection", hear);
      wire.close();
    }
  });

  test("a settlement whose reply is lost is sent again and answers done", async () => {
    const transport = await rig.open();
    await transport.publish(many("q", 1), null);
    const inbox = new Inbox(transport, ["q"]);
    const [delivery] = await inbox.take(1);
    // The server executes what is in its socket buffer after the pause, and closes before it can answer.
    await rig.server.kill("SIGSTOP");
    const answer = inbox.settle(delivery!, { kind: "ack" });
    await new Promise((resolve) => setImmediate(resolve));
    await rig.server.kill("SIGKILL");
    await rig.server.restart();
    expect(await answer).toBe("done");
    expect(await rig.heldKeys()).toBe("0");
  });

  test("SCRIPT FLUSH under load is not noticed", async () => {
    const transport = await rig.open();
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
      await rig.server.command("SCRIPT", "FLUSH");
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
    const transport = await rig.open({ settings });
    await transport.publish(many("q", 20), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 10 });
    const held = await inbox.take(10);
    await rig.server.kill("SIGSTOP");
    const acks = inbox.ack(held);
    await inbox.until(
      () => inbox.states.includes("waiting"),
      () => "waiting",
    );
    await rig.server.kill("SIGCONT");
    await acks;
    await inbox.ack(await inbox.take(10));
    await eventually("all holds have ended", async () => (await rig.heldKeys()) === "0");
    expect(inbox.deliveries.length).toBe(20);
    expect(inbox.lost).toEqual([]);
  });

  test("Redis restarts: what is held stays held, is not restored by others, and goes on", async () => {
    const holder = await rig.open();
    const other = await rig.open();
    await holder.publish(many("q", 4), null);
    const inbox = new Inbox(holder, ["q"], { prefetch: 4 });
    const held = await inbox.take(4);
    const watcher = new Inbox(other, ["q"]);
    await rig.server.kill("SIGKILL");
    await rig.server.restart();
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
    const transport = await rig.open();
    await transport.publish(many("q", 2), null);
    const inbox = new Inbox(transport, ["q"]);
    const held = await inbox.take(2);
    await rig.server.command("FLUSHALL");
    await inbox.until(
      () => inbox.lost.length === 2,
      () => "lost",
    );
    expect(ids(inbox.lost).sort()).toEqual(ids(held).sort());
    expect(await inbox.consumer.settle(held[0]!, { kind: "ack" })).toBe("gone");
  });

  test("a reconnect alone shows what was lost meanwhile, without the thread", async () => {
    const transport = await rig.open();
    await transport.publish(many("q", 2), null);
    const inbox = new Inbox(transport, ["q"]);
    await inbox.take(2);
    await internals(inbox).leases.stop();
    await rig.server.command("DEL", "unacked", "unacked_index", "unacked_lease");
    await rig.server.command("CLIENT", "KILL", "TYPE", "normal");
    await inbox.until(
      () => inbox.lost.length === 2,
      () => "lost",
    );
    const states = inbox.states.slice(inbox.states.indexOf("waiting"));
    expect(states.slice(0, 2)).toEqual(["waiting", "reclaiming"]);
  });

  test("publishing while Redis is away: not sent, at once again when it is back", async () => {
    const producer = await rig.open({ role: "producer" });
    await rig.server.kill("SIGKILL");
    const error = (await producer.publish(many("q", 1), null).catch((one: unknown) => one)) as {
      outcome: string;
    };
    expect(["not sent", "unknown"]).toContain(error.outcome);
    const again = (await producer.publish(many("q", 1), null).catch((one: unknown) => one)) as {
      outcome: string;
    };
    expect(again.outcome).toBe("not sent");
    await rig.server.restart();
    await producer.publish(many("q", 1), null);
    expect(await producer.size("q")).toBe(1);
  });
});

describe("refusals", () => {
  test("over maxmemory publishing is refused as not sent, consuming goes on", async () => {
    const producer = await rig.open({ role: "producer" });
    const transport = await rig.open();
    await producer.publish(many("q", 3), null);
    await rig.server.command("CONFIG", "SET", "maxmemory", "1");
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
      await rig.server.command("CONFIG", "SET", "maxmemory", "0");
    }
  });

  test("a queue's key of a wrong type is told as fatal, by name", async () => {
    const transport = await rig.open();
    await rig.server.command("SET", "q", "text");
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
    await rig.server.command("DEL", "q");
    await consumer.close();
  });

  test("a server that refuses writes for now is asked again, and nothing is lost", async () => {
    const transport = await rig.open();
    await transport.publish(many("q", 6), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 3 });
    const held = await inbox.take(3);
    await rig.server.command("CONFIG", "SET", "min-replicas-to-write", "1");
    try {
      const answers = Promise.all(held.map((one) => inbox.settle(one, { kind: "ack" })));
      const failure = (await transport.publish(many("q", 1), null).catch((one: unknown) => one)) as Error;
      expect(failure.message).toContain("NOREPLICAS");
      await rig.server.command("CONFIG", "SET", "min-replicas-to-write", "0");
      expect(await answers).toEqual(["done", "done", "done"]);
      await inbox.ack(await inbox.take(3));
    } finally {
      await rig.server.command("CONFIG", "SET", "min-replicas-to-write", "0");
    }
  });

  test("an unknown option is refused when the transport is opened", async () => {
    await expect(redisTransport(rig.server.url, { options: { visibility_timout: 1 } })).rejects.toThrow(
      'the nearest is "visibility_timeout"',
    );
  });

  test("a producer does not consume, and loads none of the consumer's files", async () => {
    const producer = await rig.open({ role: "producer" });
    expect(() => producer.consume({} as never)).toThrow("producer");
  });
});

describe("places", () => {
  test("a unix socket, a key prefix, other separators and steps", async () => {
    const options = { global_keyprefix: "app:", sep: ":", priority_steps: [0, 5] };
    const transport = await rig.open({ options }, `redis+socket://${rig.server.socketPath}?virtual_host=3`);
    await transport.publish([toQueue("q", "low", 9), toQueue("q", "high", 0)], null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 2 });
    const held = await inbox.take(2);
    expect(ids(held)).toEqual(["high", "low"]);
    const select = "redis.call('SELECT', 3) return redis.call('KEYS', '*')";
    const keys = (await rig.server.command("EVAL", select, "0")).split("\n");
    expect(keys.every((key) => key.startsWith("app:"))).toBe(true);
    await inbox.settle(held[1]!, { kind: "requeue" });
    await eventually("it is back", async () => {
      const again = inbox.deliveries.filter((one: Delivery) => idOf(one) === "low");
      return again.length === 2;
    });
  });

  test("two apps with other unacked keys in one database do not see each other's", async () => {
    const one = await rig.open({ options: { unacked_key: "one", unacked_index_key: "one_index" } });
    const two = await rig.open({ options: { unacked_key: "two", unacked_index_key: "two_index" } });
    await one.publish(many("q1", 1), null);
    await two.publish(many("q2", 1), null);
    const [first, second] = [new Inbox(one, ["q1"]), new Inbox(two, ["q2"])];
    await first.take(1);
    await second.take(1);
    expect(await rig.server.command("HLEN", "one")).toBe("1");
    expect(await rig.server.command("HLEN", "two")).toBe("1");
  });
});

describe("what the operator should hear", () => {
  test("a maxmemory-policy that evicts is warned of, the default is not", async () => {
    const logger = new LogKeeper();
    await rig.open({ logger });
    await rig.server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    try {
      await rig.open({ logger });
      await eventually("it was told", () => logger.lines.length > 0);
      expect(logger.lines).toMatchObject([{ level: "warn", fields: { policy: "allkeys-lru" } }]);
    } finally {
      await rig.server.command("CONFIG", "SET", "maxmemory-policy", "noeviction");
    }
  });

  test("a short visibility timeout, and verification that is switched off", async () => {
    const logger = new LogKeeper();
    await rig.open({ logger, options: { visibility_timeout: 30 } }, `${rig.server.url}/0?ssl_cert_reqs=none`);
    const told = logger.lines.map((line) => line.message);
    expect(told).toContain("the broker URL or its TLS options need a look");
    expect(told).toContain("a visibility_timeout below 60 s makes Python workers run long tasks twice");
  });
});
