/** The threads pool, and autoscale, as users start them. */
import { Redis } from "ioredis";
import { type Celery, SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError } from "petiole";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import type { CliProcess } from "./cli-support.ts";
import { childrenOf, makePoolProject, type PoolProject } from "./pool-support.ts";

const SECONDS = { timeout: 20 };

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
beforeEach(async () => {
  const admin = new Redis(redis.port);
  await admin.flushall();
  admin.disconnect();
  app = project.client();
});
afterEach(async () => {
  worker.kill("SIGKILL");
  await worker.ended;
  await app.close();
});

async function start(...words: readonly string[]): Promise<number> {
  worker = project.worker("-l", "INFO", ...words);
  await worker.says(/tasks: +p\.add/);
  return worker.child.pid as number;
}

async function ended(task: string, args: readonly unknown[] = [], options = {}): Promise<unknown> {
  const handle = await app.sendTask(task, [...args], options);
  return handle.get(SECONDS).catch((error: unknown) => error);
}

describe("tasks in threads", () => {
  test("run in the worker's process, and can be stopped there", async () => {
    const pid = await start("-P", "threads", "-c", "2");
    expect(worker.out).toMatch(/concurrency: +2 \(threads\), prefetch 8/);
    expect(await ended("p.pid")).toBe(pid);
    expect(await ended("p.echo", [new Date(99)])).toEqual(new Date(99));
    expect(await ended("p.wait", [], { softTimeLimit: 0.2 })).toBeInstanceOf(SoftTimeLimitExceeded);
    expect(await ended("p.spin", [], { timeLimit: 0.4 })).toBeInstanceOf(TimeLimitExceeded);
    expect(await ended("p.exit", [5])).toMatchObject({ args: ["Worker exited prematurely: exitcode 5."] });
    expect(await ended("p.add", [1, 2])).toBe(3);
    worker.kill("SIGTERM");
    expect((await worker.ended).code).toBe(0);
  });

  test("one that fills its heap ends alone", async () => {
    await start("-P", "threads", "-c", "2", "--max-memory-per-child", "65536");
    expect(await ended("p.heap")).toBeInstanceOf(WorkerLostError);
    expect(await ended("p.add", [1, 2])).toBe(3);
    await worker.says(/a child of the pool broke down under a task.*memory/);
  });
});

describe("names and sizes", () => {
  test("Celery's green threads are the async pool, and it says so", async () => {
    await start("-P", "gevent");
    expect(worker.out).toMatch(/concurrency: +100 \(async\), prefetch 100/);
    await worker.says(/this pool is Python's/);
  });

  test("Celery's processes are the prefork pool", async () => {
    await start("-P", "processes", "-c", "1");
    expect(worker.out).toMatch(/concurrency: +1 \(prefork\), prefetch 4/);
  });

  test("--autoscale: children come with the work", async () => {
    const pid = await start("-P", "prefork", "--autoscale", "3,1");
    expect(worker.out).toMatch(/concurrency: +1 to 3 \(prefork\), prefetch 12/);
    expect(childrenOf(pid)).toHaveLength(1);
    const handles = await Promise.all(Array.from({ length: 6 }, () => app.sendTask("p.sleep", [400])));
    await eventually("three children are there", () => childrenOf(pid).length === 3);
    await Promise.all(handles.map((handle) => handle.get(SECONDS)));
    await worker.says(/the pool grows/);
  });
});
