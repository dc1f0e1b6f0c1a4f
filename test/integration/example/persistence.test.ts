/** What the documents promise of a state DB, on the example: a revoke outlives both workers, however they end. */
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { freePort, type RedisServer, startRedis } from "../../support/redis.ts";
import { type Example, type Running, startExample } from "./running-example.ts";

const PREFIX = "myapp:worker:state:";
let redis: RedisServer;
let example: Example;

beforeAll(async () => {
  redis = await startRedis();
  example = await startExample({
    CELERY_BROKER_URL: `${redis.url}/0`,
    REDIS_STATEDB_URL: `${redis.url}/1`,
    CELERY_REDIS_STATE_KEY_PREFIX: PREFIX,
  });
});
afterAll(async () => {
  await example?.stop();
  await redis?.stop();
});

/** Messages of a worker that was killed are others' after 5 s, not after 30. */
const SETTINGS = ["--", 'broker.transport_options={"lease":5}'];

const startBoth = (): Promise<readonly Running[]> =>
  Promise.all(["worker1@here", "worker2@here"].map((name) => example.startWorker(name, ...SETTINGS)));

/** The lines of `redis-cli -n 1 …`, sorted. */
function redisCli(...args: readonly string[]): readonly string[] {
  const words = ["-p", String(redis.port), "-n", "1", ...args];
  return execFileSync("redis-cli", words, { encoding: "utf8" }).trim().split("\n").sort();
}

const send = async (path: string): Promise<string> => String((await example.get(path)).body["task_id"]);
const state = async (id: string): Promise<unknown> =>
  (await example.get(`/tasks/status/${id}/`)).body["state"];
const revoke = async (id: string): Promise<void> => {
  expect((await example.post(`/tasks/revoke/${id}/`)).body["status"]).toBe("Task revoked");
};

test("a revoke outlives both workers, killed or stopped, and the next ones discard the task and say so", async () => {
  const first = await startBoth();
  const later = await send("/tasks/future/?eta=6");
  const long = await send("/tasks/long/?duration=60");
  await eventually("the long task runs", async () => (await state(long)) === "PROGRESS");
  await revoke(later);
  await revoke(long);
  // At once: nothing is left to the workers' ends.
  await Promise.all(first.map((one) => one.stop("SIGKILL")));
  expect(redisCli("ZRANGE", `${PREFIX}shared:revoked`, "0", "-1")).toEqual([later, long].sort());

  const second = await startBoth();
  // As the documents show it: written when a worker stops in good order.
  await Promise.all(second.map((one) => one.stop("SIGTERM")));
  expect(redisCli("KEYS", `${PREFIX}*:zrevoked`)).toEqual([
    `${PREFIX}worker1@here:zrevoked`,
    `${PREFIX}worker2@here:zrevoked`,
  ]);
  expect(redisCli("KEYS", `${PREFIX}worker*:revoked`)).toEqual(
    expect.arrayContaining([expect.stringMatching(/worker[12]@here:revoked$/)]),
  );

  const third = await startBoth();
  // Whoever is there when it is due.
  const logs = (): string => [...second, ...third].map((one) => one.log()).join("");
  await eventually(
    "a worker says so",
    () => logs().includes(`Discarding revoked task: web.hello[${later}]`),
    {
      timeoutMs: 30_000,
    },
  );
  expect(await state(later)).toBe("REVOKED");
  // Its message is given to another worker when the lease of the one that was killed is over.
  expect((await example.ended(long, 60_000))["state"]).toBe("REVOKED");
  expect(logs()).not.toContain("succeeded");
  // They are the same workers otherwise.
  expect((await example.ended(await send("/tasks/add/?x=1&y=2")))["result"]).toBe(3);
}, 120_000);

test("a revoke that the state DB does not have is answered with 503, and not as a task that was not sent", async () => {
  const alone = await startExample({
    CELERY_BROKER_URL: `${redis.url}/2`,
    REDIS_STATEDB_URL: `redis://127.0.0.1:${await freePort()}/1`,
  });
  try {
    const { body } = await alone.get("/tasks/future/?eta=60");
    expect(await alone.post(`/tasks/revoke/${String(body["task_id"])}/`)).toEqual({
      status: 503,
      body: {
        error:
          "the broker or the state DB does not answer: whether the task is revoked is not known, try again",
        field: null,
      },
    });
    expect((await alone.get("/readyz")).status).toBe(200);
  } finally {
    await alone.stop();
  }
});
