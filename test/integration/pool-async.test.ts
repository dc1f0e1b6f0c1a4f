/** The async pool as users start it: what happens to a task that cannot be stopped there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Celery } from "petiole";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import type { CliProcess } from "./cli-support.ts";
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

test("an endless loop is named in the log with its task and its stack, also before anything can be flushed", async () => {
  worker = project.worker("-c", "4", "-f", "log.txt");
  await worker.says(/tasks: +p\.add/);
  const handle = await app.sendTask("p.spin", []);
  const log = await eventually(
    "the log names it",
    () => {
      const text = readFileSync(join(project.dir, "log.txt"), "utf8");
      return text.includes("holds up the event loop") && text;
    },
    { timeoutMs: 20_000 },
  );
  expect(log).toContain("p.spin");
  expect(log).toContain(handle.id);
  expect(log).toMatch(/tasks\.mjs:\d+:\d+/);
});

test("one that ends is told of twice, and costs nothing else", async () => {
  worker = project.worker("-c", "4");
  await worker.says(/tasks: +p\.add/);
  const slow = await app.sendTask("p.block", [join(project.dir, "end")]);
  const other = await app.sendTask("p.add", [1, 2]);
  await worker.says(/a task holds up the event loop.*p\.block/);
  project.write("end", "");
  expect(await slow.get({ timeout: 30 })).toBe("done");
  expect(await other.get({ timeout: 30 })).toBe(3);
  await worker.says(/the event loop was held up, and goes on.*p\.block/);
  expect(worker.child.exitCode).toBe(null);
});
