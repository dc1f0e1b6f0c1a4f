import { expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { openTransport, splitUrls } from "../../../src/transports/index.ts";
import type { Transport } from "../../../src/transports/transport.ts";

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

test("memory URLs open a memory transport, of several the first", async () => {
  const transport = await open("MEMORY://one; memory://two ;");
  expect(transport.location).toEqual({ kind: "memory", name: "one" });
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
