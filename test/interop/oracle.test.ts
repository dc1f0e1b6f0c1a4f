/** The instrument itself: if Python cannot talk to Python here, the other files of this folder prove nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PythonClient, startPythonClient, startPythonWorker } from "../support/python.ts";
import { type RedisServer, redisCommand, startRedis } from "../support/redis.ts";

let redis: RedisServer;
let python: PythonClient;

beforeAll(async () => {
  redis = await startRedis();
  python = await startPythonClient({ broker: `${redis.url}/0`, backend: `${redis.url}/1` });
});

afterAll(async () => {
  await python?.stop();
  await redis?.stop();
});

test("the oracle is Celery 5.6.3 with kombu 5.6.2", async () => {
  expect(await python.value("return [celery.__version__, kombu.__version__]")).toEqual(["5.6.3", "5.6.2"]);
});

test("what Python returns is seen with its type and its repr", async () => {
  const answer = await python.run("return decimal.Decimal(args['text'])", { text: "1.50" });
  expect(answer).toEqual({
    type: "Decimal",
    repr: "Decimal('1.50')",
    value: { __type__: "decimal", __value__: "1.50" },
  });
});

test("what Python raises is seen with its type, its module and its arguments", async () => {
  const error = await python.raised("raise KeyError('a', 1)");
  expect([error.type, error.module, error.args]).toEqual(["KeyError", "builtins", ["'a'", "1"]]);
});

test("a Python client and a Python worker share a task", async () => {
  const worker = await startPythonWorker({
    broker: `${redis.url}/0`,
    backend: `${redis.url}/1`,
    name: "py@test",
  });
  try {
    expect(await python.value("return add.delay(2, 3).get(timeout=10)")).toBe(5);
    expect(await python.value("return whoami.delay('x').get(timeout=10)")).toEqual(["py", "py@test", "x"]);
    expect(await redisCommand(`${redis.url}/1`, "DBSIZE")).toBe("2");
  } finally {
    await worker.stop();
  }
});
