/** What one event-loop turn costs the server, and in which order its messages arrive. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { RedisTransport } from "../../src/transports/redis/index.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { many } from "../support/redis-rig.ts";
import { redisTransport } from "../support/redis-transport.ts";

let server: RedisServer;
let transport: RedisTransport;

beforeAll(async () => {
  server = await startRedis();
  transport = await started();
});
afterAll(async () => {
  await transport.stop();
  await server.stop();
});
beforeEach(async () => {
  await server.command("DEL", "q");
  await server.command("CONFIG", "RESETSTAT");
});

async function started(): Promise<RedisTransport> {
  const made = await redisTransport(server.url);
  await made.start(new AbortController().signal);
  return made;
}

const lpushes = async (): Promise<number> => {
  const stats = await server.command("INFO", "commandstats");
  return Number(/cmdstat_lpush:calls=(\d+)/.exec(stats)?.[1] ?? 0);
};
/** Ids in the order in which a worker takes them. */
const ids = async (): Promise<string[]> => {
  const texts = await server.command("LRANGE", "q", "0", "-1");
  const found = [...texts.matchAll(/"correlation_id":"([^"]*)"/g)].map(([, id]) => id ?? "");
  return found.toReversed();
};

test("the first message of a turn leaves at once, the others share one LPUSH behind it", async () => {
  const messages = many("q", 50);
  const sent = messages.map((message) => transport.publish([message], null));
  await Promise.all(sent);
  expect(await lpushes()).toBe(2);
  expect(await ids()).toEqual(messages.map(({ message }) => message.properties["correlation_id"]));
});

test("while one is on its way the next wait for the end of their turn", async () => {
  const messages = many("q", 21);
  const sent = messages.map(async (message, index) => {
    // All in the turn of the first, but in promise jobs of their own.
    for (let i = 0; i < index; i++) await Promise.resolve();
    await transport.publish([message], null);
  });
  await Promise.all(sent);
  expect(await lpushes()).toBe(2);
  expect(await ids()).toEqual(messages.map(({ message }) => message.properties["correlation_id"]));
});

test("a call with many messages stays one LPUSH", async () => {
  await transport.publish(many("q", 40), null);
  expect(await lpushes()).toBe(1);
});

test("a message that is sent at once and is refused rejects, and the next one is sent", async () => {
  await server.command("SET", "q", "a text");
  const [message] = many("q", 1);
  if (message === undefined) throw new Error("there is none");
  await expect(transport.publish([message], null)).rejects.toMatchObject({ code: "PET_BROKER_REFUSED" });
  await server.command("DEL", "q");
  await transport.publish([message], null);
  expect(await ids()).toHaveLength(1);
});

test("a stop waits for a message that was sent at once", async () => {
  const own = await started();
  const [message] = many("q", 1);
  if (message === undefined) throw new Error("there is none");
  const sent = own.publish([message], null);
  await own.stop();
  await sent;
  expect(await ids()).toHaveLength(1);
});

test("a message does not overtake those that its turn has published before", async () => {
  const messages = many("q", 6);
  await Promise.all([
    transport.publish(messages.slice(0, 5), null),
    transport.publish(messages.slice(5), null),
  ]);
  expect(await ids()).toEqual(messages.map(({ message }) => message.properties["correlation_id"]));
});
