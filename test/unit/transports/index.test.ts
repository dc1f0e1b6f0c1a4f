import { expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { openTransport, splitUrls } from "../../../src/transports/index.ts";
import {
  type StoreLocation,
  sameStore,
  type Transport,
  type TransportOptions,
} from "../../../src/transports/transport.ts";
import { Inbox, idOf, taskMessage, toQueue } from "../../conformance/inbox.ts";
import { freePort } from "../../support/redis.ts";

const OPTIONS: Omit<TransportOptions, "url"> = {
  tls: null,
  options: {},
  role: "producer",
  logger: silentLogger,
  clock: systemClock,
  limits: DEFAULT_LIMITS,
  defaultQueue: "celery",
  clientName: null,
};

function open(url: string): Promise<Transport> {
  return openTransport({ ...OPTIONS, url });
}

test("memory URLs open a memory transport, of several the first that starts", async () => {
  const transport = await open("MEMORY://one; memory://two ;");
  await transport.start(new AbortController().signal);
  expect(transport.location).toEqual({ kind: "memory", name: "one" });
  await transport.stop();
});

test("of several brokers the first that answers is used", async () => {
  const port = await freePort();
  const transport = await open(`redis://u:secret@127.0.0.1:${port};memory://second;memory://third`);
  expect(transport.capabilities.durable).toBe(true);
  await transport.start(new AbortController().signal);
  expect(transport.location).toEqual({ kind: "memory", name: "second" });
  await transport.publish([toQueue("q", "m0")], null);
  expect([await transport.size("q"), await transport.purge("q"), transport.capabilities.durable]).toEqual([
    1,
    1,
    false,
  ]);
  await transport.stop();
});

test("the parts of a list are told apart", () => {
  expect(splitUrls(" a://x ; ;b://y;")).toEqual(["a://x", "b://y"]);
});

test("a scheme that is not served is named, with those that are, without the password", async () => {
  const cases: readonly (readonly [url: string, text: string])[] = [
    ["kafka://u:secret@h", "has the scheme kafka://"],
    ["amqp://u:secret@h//", "amqp:// comes with a later version"],
    ["sentinel://:secret@h:26379;sentinel://:secret@h2", "sentinel:// comes with a later version"],
    ["localhost", "has no scheme"],
    ["", "has no scheme"],
  ];
  for (const [url, text] of cases) {
    const failure = await open(url).then(
      () => null,
      (error: unknown) => error as Error & { code: string },
    );
    expect(failure?.message).toContain(text);
    expect(failure?.message).toContain("redis://");
    expect(failure?.message).toContain("sqlite://");
    expect(failure?.message).not.toContain("secret");
    expect([failure?.name, failure?.code]).toEqual(["ImproperlyConfigured", "PET_URL_INVALID"]);
  }
});

test("a transport of several brokers does all that the one in use does", async () => {
  const transport = await openTransport({
    ...OPTIONS,
    url: "memory://failover;memory://other",
    role: "worker",
  });
  await transport.start(new AbortController().signal);
  await transport.start(new AbortController().signal);
  await transport.declare([{ name: "q", exchange: "ex", type: "direct", routingKey: "k" }]);
  const heard: string[] = [];
  const subscription = await transport.subscribe({
    exchange: "fan",
    routingKey: "",
    onMessage: (message) => heard.push(idOf({ message })),
    onGap: () => {},
  });
  const message = taskMessage("fan");
  await transport.publish(
    [
      { ...toQueue("k", "direct"), exchange: "ex" },
      { message, exchange: "fan", type: "fanout", routingKey: "", priority: 0 },
    ],
    null,
  );
  const inbox = new Inbox(transport, ["q"]);
  expect((await inbox.take(1)).map(idOf)).toEqual(["direct"]);
  expect(heard).toEqual(["fan"]);
  await subscription.close();
  await transport.stop();
  expect(inbox.consumer.state).toBe("closed");
});

test("stores are the same by run id and reachable database, by path, by name", () => {
  const redis = (runId: string, db: number, selectAllowed = true): StoreLocation => ({
    kind: "redis",
    runId,
    db,
    selectAllowed,
  });
  const file = (path: string): StoreLocation => ({ kind: "file", path });
  const memory = (name: string): StoreLocation => ({ kind: "memory", name });
  const same: readonly (readonly [StoreLocation, StoreLocation])[] = [
    [redis("a", 0), redis("a", 0)],
    [redis("a", 0), redis("a", 1)],
    [redis("a", 0, false), redis("a", 0)],
    [file("/x"), file("/x")],
    [memory("m"), memory("m")],
  ];
  const different: readonly (readonly [StoreLocation, StoreLocation])[] = [
    [redis("a", 0), redis("b", 0)],
    [redis("a", 0, false), redis("a", 1)],
    [file("/x"), file("/y")],
    [memory("m"), memory("n")],
    [memory("m"), redis("m", 0)],
    [file("m"), memory("m")],
    [redis("a", 0), file("a")],
    [{ kind: "other" }, { kind: "other" }],
  ];
  for (const [a, b] of same) expect([sameStore(a, b), sameStore(b, a)]).toEqual([true, true]);
  for (const [a, b] of different) expect([sameStore(a, b), sameStore(b, a)]).toEqual([false, false]);
});
