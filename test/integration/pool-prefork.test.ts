/** The prefork pool as users start it: the program, its children, a real Redis. */
import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import {
  type Celery,
  type RemoteError,
  SoftTimeLimitExceeded,
  TimeLimitExceeded,
  WorkerLostError,
} from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { bestOf, median } from "../support/best-of.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import type { CliProcess } from "./cli-support.ts";
import { childrenOf, isAlive, makePoolProject, type PoolProject } from "./pool-support.ts";

const SECONDS = { timeout: 20 };

let redis: RedisServer;
let admin: Redis;
let project: PoolProject;
let app: Celery;
let workers: CliProcess[];

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.port);
  project = makePoolProject(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
  project.remove();
});
beforeEach(async () => {
  await admin.flushall();
  workers = [];
  app = project.client();
});
afterEach(async () => {
  for (const one of workers) one.kill("SIGKILL");
  await Promise.all(workers.map((one) => one.ended));
  await app.close();
});

async function started(...words: readonly string[]): Promise<{ worker: CliProcess; pid: number }> {
  const worker = project.worker("-P", "prefork", "-l", "INFO", ...words);
  workers.push(worker);
  // The banner's last lines: the worker runs.
  await worker.says(/tasks: +p\.add/);
  return { worker, pid: worker.child.pid as number };
}

async function send<T>(task: string, ...args: readonly unknown[]): Promise<T> {
  const handle = await app.sendTask(task, [...args]);
  return (await handle.get(SECONDS)) as T;
}

async function failureOf(task: string, args: readonly unknown[] = [], options = {}): Promise<RemoteError> {
  const handle = await app.sendTask(task, [...args], options);
  return handle.get(SECONDS).then(
    () => Promise.reject(new Error("it succeeded")),
    (error: unknown) => error as RemoteError,
  );
}

describe("tasks in child processes", () => {
  test("run there, and everything of a task works as in the worker itself", async () => {
    const { worker, pid } = await started("-c", "2");
    expect(worker.out).toMatch(/concurrency: +2 \(prefork\), prefetch 8/);
    const child = await send<number>("p.pid");
    expect(childrenOf(pid)).toContain(child);
    expect(await send("p.add", 2, 3)).toBe(5);
    expect(await send("p.echo", new Date(1234))).toEqual(new Date(1234));
    const failed = await failureOf("p.fail");
    expect([failed.type, failed.args, failed.remoteTraceback]).toEqual([
      "ValueError",
      ["no"],
      expect.stringContaining("tasks.mjs"),
    ]);
    expect((await failureOf("p.bad")).type).toBe("EncodeError");
    expect(await send("p.retry")).toBe(2);
    await send("p.talk");
    await worker.says(/said by \d+/);
    await worker.says(/WARNING\/MainProcess\] p\.talk\[[-\w]+\]: a line of a task.*red/);
    worker.kill("SIGTERM");
    expect((await worker.ended).code).toBe(0);
    expect(isAlive(child)).toBe(false);
  });

  test("send with the ids of their parent, and report what they sent", async () => {
    await started("-c", "1");
    const handle = await app.sendTask("p.parent", []);
    const sent = (await handle.get(SECONDS)) as { id: string; rootId: string; child: string };
    expect([sent.id, sent.rootId]).toEqual([handle.id, handle.id]);
    expect(await app.asyncResult(sent.child).get(SECONDS)).toBe(3);
    const results = admin.duplicate();
    await results.select(1);
    const metaOf = async (id: string): Promise<Record<string, unknown>> =>
      JSON.parse((await results.get(`celery-task-meta-${id}`)) ?? "{}") as Record<string, unknown>;
    expect((await metaOf(handle.id))["children"]).toEqual([[[sent.child, null], null]]);
    expect((await metaOf(sent.child))["parent_id"]).toBe(handle.id);
    results.disconnect();
  });

  test("store states of their own before their result", async () => {
    await started("-c", "1");
    const states: string[] = [];
    const spy = new Redis(redis.port, { db: 1 });
    await spy.psubscribe("celery-task-meta-*");
    spy.on("pmessage", (_pattern, _channel, text: string) => {
      states.push((JSON.parse(text) as { status: string }).status);
    });
    expect(await send("p.progress")).toEqual(expect.any(Number));
    await eventually("both were published", () => states.length === 2);
    expect(states).toEqual(["PROGRESS", "SUCCESS"]);
    spy.disconnect();
  });

  test("have a session of their own and no standard input", async () => {
    const { pid } = await started("-c", "1");
    const child = await send<number>("p.pid");
    const session = (of: number): number =>
      Number(/\) \S+ \d+ \d+ (\d+)/.exec(readFileSync(`/proc/${of}/stat`, "utf8"))?.[1]);
    expect(session(child)).toBe(child);
    expect(session(pid)).not.toBe(child);
  });
});

describe("a child that dies", () => {
  test("fails its task and no other; another child takes its place", async () => {
    const { pid } = await started("-c", "2");
    const exited = await failureOf("p.exit", [3]);
    expect(exited).toBeInstanceOf(WorkerLostError);
    expect([exited.module, exited.args]).toEqual([
      "billiard.exceptions",
      ["Worker exited prematurely: exitcode 3."],
    ]);
    await eventually("two are there again", () => childrenOf(pid).length === 2);
    expect(await send("p.add", 1, 1)).toBe(2);
  });

  test("by SIGKILL, ten times under load: nothing is lost, slots are back soon", async () => {
    const { worker, pid } = await started("-c", "2", "-l", "ERROR");
    const file = project.write("served", "");
    const serving = (): readonly number[] => readFileSync(file, "utf8").split("\n").map(Number);
    const handles = await Promise.all(
      Array.from({ length: 500 }, (_, n) => app.sendTask("p.late", [n, 10, file])),
    );
    const backMs: number[] = [];
    for (let kills = 0; kills < 10; kills += 1) {
      const victim = await eventually("two run tasks", () => {
        const now = childrenOf(pid).filter((one) => serving().includes(one));
        return now.length === 2 && now[kills % 2];
      });
      process.kill(victim, "SIGKILL");
      const killed = performance.now();
      await eventually("another one runs tasks in its place", () => {
        const now = childrenOf(pid);
        return now.length === 2 && !now.includes(victim) && now.every((one) => serving().includes(one));
      });
      backMs.push(performance.now() - killed);
    }
    const values = await Promise.all(handles.map((handle) => handle.get(SECONDS)));
    expect(values).toEqual(Array.from({ length: 500 }, (_, n) => n));
    expect([worker.child.exitCode, worker.child.pid]).toEqual([null, pid]);
    // How soon is measured by `make faults`, on a machine that does nothing else.
    expect(median(backMs)).toBeLessThan(10_000);
    expect(await admin.llen("celery")).toBe(0);
  });

  test("of its task again and again, with rejectOnWorkerLost: the task is given up at the third, others run", async () => {
    await started("-c", "2");
    const error = await failureOf("p.poison", []);
    expect(error).toBeInstanceOf(WorkerLostError);
    expect(error.args).toEqual(["the task was given up: its worker was lost 3 times while it ran"]);
    expect(await admin.llen("celery.dead")).toBe(1);
    expect(await send("p.add", 1, 1)).toBe(2);
  });

  test("of its worker, however that died, and even while a task holds it up", async () => {
    const { worker, pid } = await started("-c", "2");
    const file = project.write("pids", "");
    await app.sendTask("p.spin", [file]);
    await eventually("it spins", () => readFileSync(file, "utf8") !== "");
    const children = childrenOf(pid);
    expect(children).toHaveLength(2);
    worker.kill("SIGKILL");
    await eventually("they are gone", () => !children.some(isAlive), { timeoutMs: 2000 });
    expect(children.some(isAlive)).toBe(false);
  });

  test("at the start says why, and the worker does not start", async () => {
    const broken = project.write("broken.mjs", "throw new Error('not today');");
    const worker = new Worker(app, { pool: "prefork", concurrency: 2, appModule: broken });
    await expect(worker.start()).rejects.toThrow(/cannot start a child: .*broken\.mjs.*not today/);
  });

  test("because its module starts a worker is told so", async () => {
    const { petiole } = await import("./cli-support.ts");
    const text = `
      import { Celery } from ${petiole};
      import { Worker } from ${petiole.replace("index.js", "worker/index.js")};
      export const app = new Celery("again", { brokerUrl: "memory://x" });
      await new Worker(app, { pool: "solo" }).start();`;
    const again = project.write("again.mjs", text);
    const worker = new Worker(app, { pool: "prefork", concurrency: 1, appModule: again });
    await expect(worker.start()).rejects.toThrow(/starts a worker itself/);
  });
});

describe("limits", () => {
  test("the soft one is told to the task within 0.2 s, the hard one kills within 1 s", async () => {
    const { pid } = await started("-c", "2");
    const limits = { softTimeLimit: 0.3, timeLimit: 10 };
    const softMs = bestOf(500, async () => {
      const from = performance.now();
      const soft = await failureOf("p.wait", [], limits);
      const took = performance.now() - from;
      expect(soft).toBeInstanceOf(SoftTimeLimitExceeded);
      expect([soft.module, soft.args]).toEqual(["billiard.exceptions", []]);
      return took;
    });
    expect(await softMs).toBeLessThan(500);
    const hardMs = bestOf(1500, async () => {
      const from = performance.now();
      const hard = await failureOf("p.spin", [], { timeLimit: 0.5 });
      const took = performance.now() - from;
      expect(hard).toBeInstanceOf(TimeLimitExceeded);
      expect([hard.module, hard.args]).toEqual(["billiard.exceptions", [0.5]]);
      return took;
    });
    expect(await hardMs).toBeLessThan(1500);
    await eventually("its child is replaced", () => childrenOf(pid).length === 2);
  });

  test("--max-tasks-per-child: each child runs so many", async () => {
    await started("-c", "1", "--max-tasks-per-child", "2");
    const pids = [];
    for (let n = 0; n < 6; n += 1) pids.push(await send<number>("p.pid"));
    expect(new Set(pids).size).toBe(3);
    expect(pids[0]).toBe(pids[1]);
    expect(pids[4]).toBe(pids[5]);
  });

  test("--max-memory-per-child: a child that grew is replaced after its task", async () => {
    const { worker } = await started("-c", "1", "--max-memory-per-child", "120000");
    const first = await send<number>("p.pid");
    expect(await send("p.pid")).toBe(first);
    expect(await send("p.grow")).toBe(first);
    expect(await send("p.pid")).not.toBe(first);
    await worker.says(/uses more memory than it may/);
  });

  test("a cold stop kills what does not end, and puts back what is acked late", async () => {
    const { worker } = await started("-c", "1");
    const handle = await app.sendTask("p.late", [7, 60_000]);
    await eventually("it runs", async () => (await admin.hlen("unacked")) === 1);
    await worker.says(/received/);
    worker.kill("SIGQUIT");
    expect((await worker.ended).code).toBe(0);
    expect(await admin.llen("celery")).toBe(1);
    expect(await handle.state()).toBe("PENDING");
  });

  test("in-process: the same pool for a worker of one's own", async () => {
    const worker = new Worker(app, {
      pool: "prefork",
      concurrency: 1,
      appModule: project.module,
      logger: silentLogger,
    });
    app.task("p.pid", () => 0);
    await worker.start();
    expect(await send("p.pid")).not.toBe(0);
    await worker.stop();
    expect(worker.state).toBe("stopped");
  });
});
