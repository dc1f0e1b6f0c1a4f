import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";
import { openTransport } from "../../src/transports/index.ts";
import type { Transport } from "../../src/transports/transport.ts";
import { freePort, startRedis } from "../support/redis.ts";

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

test("where no broker answers all failures are told, and a later start may find one", async () => {
  const ports = [await freePort(), await freePort()];
  const transport = await open(ports.map((port) => `redis://:secret@127.0.0.1:${port}`).join(";"));
  const failure = await transport.start(new AbortController().signal).then(
    () => null,
    (error: unknown) => error as Error & { code: string },
  );
  expect([failure?.name, failure?.code]).toEqual(["OperationalError", "PET_BROKER_UNREACHABLE"]);
  for (const port of ports) expect(failure?.message).toContain(String(port));
  expect(failure?.message).not.toContain("secret");
  const server = await startRedis({ args: ["--port", String(ports[1])] });
  await transport.start(new AbortController().signal);
  expect(await transport.size("q")).toBe(0);
  await transport.stop();
  await server.stop();
});
