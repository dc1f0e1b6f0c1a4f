/** A unique task that a Python worker runs: the key is not Python's to free. */
import { Celery } from "petiole";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { redisCommand } from "../support/redis.ts";
import { type Fleet, startFleet } from "./harness.ts";

/** A busy machine comes to the first call's end within it. */
const TTL_S = 120;

let fleet: Fleet;

beforeEach(async () => {
  fleet = await startFleet();
});
afterEach(() => fleet?.stop());

test("Python runs it as any other; its key stays until its ttl, or until a TypeScript worker frees it", async () => {
  await fleet.pythonWorker({ name: "py@test", queues: ["celery"] });
  const { broker: brokerUrl, backend: resultBackend } = fleet;
  await using app = new Celery("client", { brokerUrl, resultBackend });
  const add = app.task(
    "demo.add",
    { unique: { key: () => "sum", ttl: TTL_S } },
    (x: number, y: number) => x + y,
  );
  const first = await add.delay(1, 2);
  expect(await first.get({ timeout: 30 })).toBe(3);
  const stored = await fleet.python.value<string>("return AsyncResult(args[0]).state", [first.id]);
  expect(stored).toBe("SUCCESS");
  expect(await add.delay(1, 2)).toMatchObject({ id: first.id, duplicate: true });
  const keys = (await redisCommand(fleet.broker, "KEYS", "unacked_unique:*")).split("\n");
  expect(keys).toEqual(["unacked_unique:demo.add:sum"]);
  const [key = ""] = keys;
  const leftMs = Number(await redisCommand(fleet.broker, "PTTL", key));
  expect(leftMs).toBeGreaterThan(0);
  expect(leftMs).toBeLessThanOrEqual(TTL_S * 1000);
  await redisCommand(fleet.broker, "PEXPIRE", key, "1");
  await eventually("the ttl is over", async () => !(await add.delay(1, 2)).duplicate);
});
