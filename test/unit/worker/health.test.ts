import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { OperationalError } from "../../../src/errors.ts";
import { block } from "../../support/block.ts";
import { eventually } from "../../support/eventually.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { Gate, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;
let clock: VirtualClock;

beforeEach(() => {
  rig = new WorkerRig({ worker: { hostname: "w1@h", health: { port: 0 } } });
  clock = new VirtualClock();
  Object.defineProperty(internalsOf(rig.app), "clock", { value: clock });
});
afterEach(() => rig.stop());

function address(): string {
  const line = rig.logger.lines.find(({ message }) => message === "health is served");
  return `http://${String(line?.fields["host"])}:${String(line?.fields["port"])}`;
}

async function ask(
  path: string,
  init: RequestInit = {},
): Promise<{ code: number; body: Record<string, unknown> }> {
  const response = await fetch(address() + path, init);
  const text = await response.text();
  return { code: response.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

test("is closed unless it was asked for, and listens on this machine alone", async () => {
  const other = new WorkerRig();
  await other.start();
  expect(other.logger.lines.map(({ message }) => message)).not.toContain("health is served");
  await other.stop();
  await rig.start();
  expect(address()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

describe("/readyz", () => {
  test("is 200 while fetches are answered, and shows the oldest task", async () => {
    await rig.start();
    const gate = new Gate();
    rig.app.task("t.wait", async () => (await gate.promise, 1));
    await rig.run({ task: "t.wait", id: "old" });
    clock.advance(4_000);
    await rig.run({ task: "t.wait", id: "new" });
    expect(await ask("/readyz")).toEqual({
      code: 200,
      body: {
        status: "ready",
        hostname: "w1@h",
        broker: "live",
        fetchedSecondsAgo: 4,
        slots: 2,
        active: 2,
        reserved: 0,
        oldestTask: { id: "old", task: "t.wait", runningSeconds: 4 },
      },
    });
    gate.open();
  });

  test("is 503 when no fetch was answered for 15 s", async () => {
    await rig.start();
    clock.advance(15_000);
    expect((await ask("/readyz")).code).toBe(200);
    clock.advance(1);
    expect(await ask("/readyz")).toMatchObject({
      code: 503,
      body: { status: "no fetch was answered in time" },
    });
    rig.consumer.fetchedMs = clock.monotonic();
    expect((await ask("/readyz")).code).toBe(200);
  });

  test("is 503 while the broker is away, and while the worker stops", async () => {
    await rig.start();
    rig.consumer.state = "waiting";
    expect(await ask("/readyz")).toMatchObject({
      code: 503,
      body: { status: "the broker is away", broker: "waiting" },
    });
    rig.consumer.state = "live";
    const gate = new Gate();
    rig.app.task("t.wait", async () => (await gate.promise, 1));
    await rig.run({ task: "t.wait" });
    const stopped = rig.worker?.stop();
    await turns();
    expect(await ask("/readyz")).toMatchObject({ code: 503, body: { status: "stopping" } });
    expect((await ask("/livez")).code).toBe(200);
    const open = address();
    gate.open();
    await stopped;
    await expect(fetch(`${open}/livez`)).rejects.toThrow("fetch failed");
  });

  test("is 503 before the broker was ever there; the process lives", async () => {
    rig.transport.start = () => Promise.reject(new OperationalError("away"));
    const starting = rig.start().catch(() => {});
    await turns();
    expect(await ask("/readyz")).toMatchObject({
      code: 503,
      body: { status: "starting", broker: null, slots: 0 },
    });
    expect((await ask("/livez")).code).toBe(200);
    await rig.worker?.stop();
    await starting;
  });
});

describe("/livez", () => {
  const lag = async (): Promise<number> => Number((await ask("/livez")).body["loopLagMs"]);
  const stand = async (ms: number): Promise<void> => {
    block(ms);
    await turns();
  };
  /** Node measures from its own first look on. */
  const measured = (): Promise<unknown> =>
    eventually("a stop is measured", async () => {
      await stand(100);
      return (await lag()) > 50;
    });

  test("tells how long the event loop stood still, and forgets it", async () => {
    await rig.start();
    expect(await ask("/livez")).toMatchObject({ code: 200, body: { status: "ok", pid: process.pid } });
    await measured();
    await stand(600);
    expect(await lag()).toBeGreaterThan(500);
    clock.advance(15_000);
    expect(await lag()).toBeGreaterThan(500);
    clock.advance(15_000);
    expect(await lag()).toBeLessThan(500);
  });

  test("is 503 after a stop of 5 s", async () => {
    await rig.start();
    await measured();
    await stand(5_200);
    expect(await ask("/livez")).toMatchObject({ code: 503, body: { status: "the event loop stood still" } });
  });
});

test("answers to nothing else", async () => {
  await rig.start();
  expect((await ask("/")).code).toBe(404);
  expect((await ask("/livez", { method: "POST", body: "x" })).code).toBe(405);
  expect((await ask("/readyz?verbose", { method: "HEAD" })).code).toBe(200);
});

test("a port that is taken ends the start, and is named", async () => {
  await rig.start();
  const port = Number(new URL(address()).port);
  const second = new WorkerRig({ worker: { health: { port } } });
  await expect(second.start()).rejects.toMatchObject({
    code: "PET_DAEMON",
    message: expect.stringContaining(`127.0.0.1:${port}`),
  });
});
