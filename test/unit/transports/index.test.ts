import { expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { openTransport, splitUrls } from "../../../src/transports/index.ts";
import type { Transport } from "../../../src/transports/transport.ts";
import { toQueue } from "../../conformance/inbox.ts";
import { freePort } from "../../support/redis.ts";

function open(url: string): Promise<Transport> {
  return openTransport({
    url,
    tls: null,
    options: {},
    role: "producer",
    logger: silentLogger,
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    defaultQueue: "celery",
    clientName: null,
  });
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
    expect(failure?.message).not.toContain("secret");
    expect([failure?.name, failure?.code]).toEqual(["ImproperlyConfigured", "PET_URL_INVALID"]);
  }
});
