/** How an idle consumer of the build is woken, and what it costs while nothing happens. */
import { spawnSync } from "node:child_process";
import { type AddressInfo, connect, createServer } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type * as Consumers from "../../src/transports/redis/consumer.ts";
import type { RedisTransport } from "../../src/transports/redis/index.ts";
import type { Wake } from "../../src/transports/redis/wake.ts";
import { Inbox, ids, toQueue } from "../conformance/inbox.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { LogKeeper, type OpenOptions, redisTransport } from "../support/redis-transport.ts";

let server: RedisServer;
const opened: RedisTransport[] = [];

beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  await server.command("FLUSHALL");
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.stop()));
});
afterAll(() => server.stop());

async function open(options: OpenOptions = {}, url = server.url): Promise<RedisTransport> {
  const transport = await redisTransport(url, options);
  opened.push(transport);
  await transport.start(new AbortController().signal);
  return transport;
}

/** Program: pushes a message and prints the reply. */
const PUSH = `
const [port, list, text] = process.argv.slice(1);
const socket = require("node:net").connect(port, "127.0.0.1");
const bulk = (arg) => "$" + Buffer.byteLength(arg) + "\\r\\n" + arg + "\\r\\n";
socket.write("*3\\r\\n" + bulk("LPUSH") + bulk(list) + bulk(text));
socket.once("data", (reply) => { process.stdout.write(String(reply).trim()); socket.destroy(); });
`;

/** A message as it lies in a list. */
async function messageOf(queue: string, id: string): Promise<string> {
  const producer = await open({ role: "producer" });
  await producer.publish([toQueue(queue, id)], null);
  return server.command("RPOP", queue);
}

interface Idle {
  readonly inbox: Inbox;
  readonly wake: Wake;
}

/** A consumer whose wake-up has proved itself, or has fallen back. */
async function idle(options: OpenOptions = {}, url = server.url): Promise<Idle> {
  const inbox = new Inbox(await open(options, url), ["q", "r"], { prefetch: 5 });
  const { wake } = (inbox.consumer as unknown as Consumers.RedisConsumer).intake;
  wake.signals.woken.init();
  await wake.signals.mode.next({ timeoutMs: 8000 });
  return { inbox, wake };
}

describe("waking", () => {
  test.each(["tracking", "tracking-redirect"])(
    "wake = %s proves itself, and every message is pushed",
    async (wake) => {
      const producer = await open({ role: "producer" });
      const one = await idle({ options: { wake } });
      expect(one.wake.mode).toBe(wake);
      for (let i = 0; i < 20; i++) {
        // What comes before it waits is found by its look.
        await eventually("it waits for a push", () => one.wake.waiting);
        await producer.publish([toQueue(i % 2 ? "q" : "r", `m${i}`, i % 10)], null);
        const [delivery] = await one.inbox.take(1, 1500);
        expect(ids([delivery!])).toEqual([`m${i}`]);
        await one.inbox.ack([delivery!]);
        expect(await one.wake.signals.woken.next({ timeoutMs: 1000 })).toBe("push");
      }
    },
  );

  test("wake = poll finds messages too", async () => {
    const producer = await open({ role: "producer" });
    const inbox = new Inbox(await open({ options: { wake: "poll" } }), ["q"]);
    const { wake } = (inbox.consumer as unknown as Consumers.RedisConsumer).intake;
    wake.signals.woken.init();
    for (let i = 0; i < 5; i++) {
      await eventually("it is live", () => inbox.consumer.state === "live");
      await producer.publish([toQueue("q", `m${i}`)], null);
      await inbox.ack(await inbox.take(1, 1500));
    }
    expect(await wake.signals.woken.next({ timeoutMs: 1000 })).toBe("poll");
  });

  test("a server that refuses tracking is polled, and that is said once", async () => {
    await server.command("ACL", "SETUSER", "plain", "on", ">pw", "~*", "&*", "+@all", "-client|tracking");
    const logger = new LogKeeper();
    const one = await idle({ logger }, server.url.replace("//", "//plain:pw@"));
    expect(one.wake.mode).toBe("poll");
    const producer = await open({ role: "producer" });
    await producer.publish([toQueue("q", "m0")], null);
    await one.inbox.ack(await one.inbox.take(1, 1500));
    expect(logger.lines.filter((line) => line.message.includes("wake-up"))).toHaveLength(2);
  });

  test("a message that came while the wake connection was away is found", async () => {
    const producer = await open({ role: "producer" });
    const one = await idle();
    for (let i = 0; i < 10; i++) {
      await server.command("CLIENT", "KILL", "TYPE", "normal");
      await eventually("it is published", async () => {
        await producer.publish([toQueue("q", `m${i}`)], null);
        return true;
      });
      await one.inbox.until(
        () => ids(one.inbox.deliveries).includes(`m${i}`),
        () => `m${i}`,
        4000,
      );
      await one.inbox.ack(await one.inbox.take(1));
    }
    expect(new Set(ids(one.inbox.deliveries)).size).toBe(10);
  });

  test("FLUSHALL wakes, and does no harm", async () => {
    const one = await idle();
    await server.command("LPUSH", "r", "x");
    await server.command("FLUSHALL");
    const producer = await open({ role: "producer" });
    await producer.publish([toQueue("q", "m0")], null);
    expect(ids(await one.inbox.take(1, 1500))).toEqual(["m0"]);
  });

  test("an idle consumer sends three commands a second at most, its leases included, and none for messages it has not", async () => {
    const one = await idle();
    await server.command("CONFIG", "RESETSTAT");
    const started = performance.now();
    await eventually("time has passed", () => performance.now() - started > 6000);
    const stats = await server.command("INFO", "commandstats");
    const count = (name: string): number =>
      Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, "m").exec(stats)?.[1] ?? 0);
    // Only what is sent: calls inside of scripts are counted there as well.
    const sent = ["evalsha", "exists", "client\\|caching", "client\\|unblock", "blmove", "ping"]
      .map(count)
      .reduce((sum, calls) => sum + calls);
    expect(sent).toBeGreaterThan(0);
    expect(sent / 6).toBeLessThanOrEqual(3);
    expect(one.inbox.deliveries).toEqual([]);
  });

  describe("a FETCH that waits in the server", () => {
    const calls = async (name: string): Promise<number> => {
      const stats = await server.command("INFO", "commandstats");
      return Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, "m").exec(stats)?.[1] ?? 0);
    };
    /** Idle, with a FETCH that waits. */
    async function waiting(options: OpenOptions = {}, url = server.url): Promise<Idle> {
      const one = await idle(options, url);
      await eventually("a FETCH waits", () => one.wake.fetches && one.wake.waiting);
      return one;
    }

    test("brings what comes into the first list, without a command of the consumer", async () => {
      const producer = await open({ role: "producer" });
      const one = await waiting();
      for (let i = 0; i < 20; i++) {
        await eventually("a FETCH waits", () => one.wake.fetches && one.wake.waiting);
        await server.command("CONFIG", "RESETSTAT");
        await producer.publish([toQueue("q", `m${i}`)], null);
        const [delivery] = await one.inbox.take(1, 1500);
        expect(ids([delivery!])).toEqual([`m${i}`]);
        expect([await calls("client\\|unblock"), await calls("lpush")]).toEqual([0, 1]);
        await one.inbox.ack([delivery!]);
      }
    });

    test("is let run when something comes into another list", async () => {
      const producer = await open({ role: "producer" });
      const one = await waiting();
      await server.command("CONFIG", "RESETSTAT");
      for (let i = 0; i < 20; i++) {
        await eventually("a FETCH waits", () => one.wake.fetches && one.wake.waiting);
        await producer.publish([i % 2 ? toQueue("r", `m${i}`) : toQueue("q", `m${i}`, 9)], null);
        const [delivery] = await one.inbox.take(1, 1500);
        expect(ids([delivery!])).toEqual([`m${i}`]);
        await one.inbox.ack([delivery!]);
      }
      expect(await calls("client\\|unblock")).toBeGreaterThanOrEqual(20);
    });

    test("what a lost one took is asked for at once, and none is lost", async () => {
      const message = await messageOf("q", "m");
      const one = await waiting();
      const { port } = new URL(server.url);
      await server.command("CONFIG", "RESETSTAT");
      for (let i = 0; i < 10; i++) {
        await eventually("a FETCH waits", () => one.wake.fetches && one.wake.waiting);
        // While this process stands still the server takes the message for it, and answers: nobody reads the answer.
        const pushed = spawnSync(process.execPath, ["-e", PUSH, port, "q", message], { encoding: "utf8" });
        expect(pushed.stdout).toBe(":1");
        one.wake.cancel();
        const [delivery] = await one.inbox.take(1, 3000);
        await one.inbox.ack([delivery!]);
      }
      expect(one.inbox.deliveries).toHaveLength(10);
      // What a call has taken before is read by HMGET.
      expect(await calls("hmget")).toBeGreaterThan(0);
      expect(await server.command("HLEN", "unacked")).toBe("0");
    });

    test.each([
      ["BLMOVE", ["-blmove"]],
      ["CLIENT UNBLOCK", ["-client|unblock"]],
    ])("a server that refuses %s does without", async (_name, rules) => {
      await server.command("ACL", "SETUSER", "plain", "reset", "on", ">pw", "~*", "&*", "+@all", ...rules);
      const producer = await open({ role: "producer" });
      const one = await idle({}, server.url.replace("//", "//plain:pw@"));
      for (let i = 0; i < 8; i++) {
        await eventually("it waits", () => one.wake.waiting);
        await producer.publish([toQueue(i % 2 ? "q" : "r", `m${i}`)], null);
        await one.inbox.ack(await one.inbox.take(1, 2500));
      }
      expect(ids(one.inbox.deliveries)).toEqual(Array.from({ length: 8 }, (_, i) => `m${i}`));
    });

    test("a pause and a lowered prefetch end it", async () => {
      const producer = await open({ role: "producer" });
      const one = await waiting();
      await one.inbox.consumer.pause();
      expect(one.wake.fetches).toBe(false);
      await producer.publish([toQueue("q", "m0")], null);
      expect(await producer.size("q")).toBe(1);
      one.inbox.consumer.resume();
      await one.inbox.ack(await one.inbox.take(1, 1500));
      await eventually("a FETCH waits", () => one.wake.fetches);
      one.inbox.consumer.setPrefetch(0);
      await eventually("none waits", () => !one.wake.fetches);
      await producer.publish([toQueue("q", "m1")], null);
      expect(await producer.size("q")).toBe(1);
      one.inbox.consumer.setPrefetch(1);
      expect(ids(await one.inbox.take(1, 1500))).toEqual(["m1"]);
    });

    test("is ended though the word to end it comes before it", async () => {
      // What goes to the server with a BLMOVE stays on the way until the server has answered an UNBLOCK.
      const kept: (() => void)[] = [];
      let keeping = false;
      const wire = createServer((client) => {
        const redis = connect(server.port, "127.0.0.1");
        const end = (): void => void [client, redis].map((one) => one.destroy());
        for (const one of [client, redis]) one.on("error", end).on("close", end);
        redis.pipe(client);
        client.on("data", (bytes) => {
          if (keeping && bytes.includes("blmove")) kept.push(() => redis.write(bytes));
          else redis.write(bytes);
          if (bytes.includes("unblock")) redis.once("data", () => kept.splice(0).map((send) => send()));
        });
      });
      await new Promise<void>((resolve) => wire.listen(0, "127.0.0.1", resolve));
      try {
        const one = await waiting({}, `redis://127.0.0.1:${(wire.address() as AddressInfo).port}/0`);
        for (let i = 0; i < 5; i++) {
          await one.inbox.consumer.pause();
          keeping = true;
          one.inbox.consumer.resume();
          await eventually("a wait is on its way", () => kept.length === 1);
          const from = performance.now();
          await one.inbox.consumer.pause();
          // Nobody else would end it for 2.5 s.
          expect(performance.now() - from).toBeLessThan(2000);
          keeping = false;
          one.inbox.consumer.resume();
          await eventually("a FETCH waits", () => one.wake.fetches && one.wake.waiting);
        }
      } finally {
        wire.close();
      }
    });

    test("a long message is not sent twice for it again and again", async () => {
      const producer = await open({ role: "producer" });
      const one = await waiting();
      const big = toQueue("q", "big");
      await producer.publish([{ ...big, message: { ...big.message, body: "x".repeat(200_000) } }], null);
      await one.inbox.ack(await one.inbox.take(1, 1500));
      await eventually("it waits for a push", () => one.wake.waiting);
      expect(one.wake.fetches).toBe(false);
      await producer.publish([toQueue("q", "m1")], null);
      expect(ids(await one.inbox.take(1, 1500))).toEqual(["m1"]);
    });
  });

  test("many idle consumers: each message goes to one of them, and the losers' delay keeps the herd small", async () => {
    const producer = await open({ role: "producer" });
    const all: Idle[] = [];
    for (let i = 0; i < 8; i++) all.push(await idle());
    await server.command("CONFIG", "RESETSTAT");
    const count = 100;
    const total = (): number => all.reduce((sum, one) => sum + one.inbox.deliveries.length, 0);
    for (let i = 0; i < count; i++) {
      await producer.publish([toQueue("q", `m${i}`)], null);
      const winner = await eventually("it arrived", () => all.find((one) => one.inbox.untaken.length > 0), {
        intervalMs: 1,
      });
      await winner.inbox.ack(await winner.inbox.take(1));
    }
    expect(total()).toBe(count);
    const stats = await server.command("INFO", "commandstats");
    const scripts = Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(stats)?.[1]);
    // One fetch and one ack each at least; all eight would fetch each time without the delay.
    expect(scripts / count).toBeLessThan(8);
    expect(await producer.size("q")).toBe(0);
  });
});
