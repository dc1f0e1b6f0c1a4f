/** Logs that are kept beside results, in every pool, read by a client and by `petiole result --logs`. */
import type { Celery } from "petiole";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { type CliProcess, petioleRun } from "./cli-support.ts";
import { makePoolProject, type PoolProject } from "./pool-support.ts";

let redis: RedisServer;
let project: PoolProject;
let app: Celery;
let worker: CliProcess;

beforeAll(async () => {
  redis = await startRedis();
  project = makePoolProject(redis.url);
});
afterAll(async () => {
  await redis.stop();
  project.remove();
});
beforeEach(() => {
  app = project.client();
});
afterEach(async () => {
  worker.kill("SIGKILL");
  await worker.ended;
  await app.close();
});

async function start(pool: string): Promise<void> {
  worker = project.worker("-P", pool, "-c", "1", "-l", "WARNING");
  await worker.says(/tasks: +p\.add/);
}

const KEPT = [0, 1, 2].map((i) => ({ level: "info", message: "a kept line", fields: { i } }));

describe.each(["async", "prefork", "threads"])("in the pool %s", (pool) => {
  test("whoever has the result has the log, though the worker's own log leaves such lines out", async () => {
    await start(pool);
    const result = await app.sendTask("p.told", []);
    await result.get({ timeout: 20 });
    const logs = await result.logs();
    expect(logs).toMatchObject(KEPT);
    expect(logs[0]?.time).toBeInstanceOf(Date);
    expect(worker.out).not.toContain("a kept line");
    await result.forget();
    expect(await result.logs()).toEqual([]);
    const silent = await app.sendTask("p.add", [1, 2]);
    await silent.get({ timeout: 20 });
    expect(await silent.logs()).toEqual([]);
  });
});

test("a task that was killed at its time limit has left its log", async () => {
  await start("prefork");
  const result = await app.sendTask("p.told", [true], { timeLimit: 1 });
  await expect(result.get({ timeout: 20 })).rejects.toThrow("TimeLimitExceeded");
  expect(await result.logs()).toMatchObject(KEPT);
});

test("petiole result --logs prints it", async () => {
  await start("async");
  const result = await app.sendTask("p.told", []);
  await result.get({ timeout: 20 });
  const words = ["-b", redis.url, "--result-backend", `${redis.url}/1`, "result", result.id, "--logs"];
  const { out, code } = await petioleRun(words, { cwd: project.dir });
  expect(code).toBe(0);
  expect(out).toMatch(/^\[[-\d]+T[:.\d]+Z: INFO\] a kept line \{"i": ?0\}\n/);
  const json = await petioleRun([...words, "--json"], { cwd: project.dir });
  expect(JSON.parse(json.out)).toMatchObject({ id: result.id, logs: KEPT });
});
