/** Limits over all workers, end to end: real workers, over the memory broker and over Redis. */
import { type AsyncResult, Celery } from "petiole";
import { Worker, type WorkerOptions } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { petioleRun } from "./cli-support.ts";
import { makePoolProject } from "./pool-support.ts";

let redis: RedisServer;
let count = 0;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const places: Readonly<Record<string, () => { brokerUrl: string; resultBackend: string }>> = {
  "memory://": () => ({ brokerUrl: `memory://lim-${count}`, resultBackend: `memory://lim-${count}` }),
  Redis: () => ({ brokerUrl: `${redis.url}/0`, resultBackend: `${redis.url}/0` }),
  "Redis, results in another database": () => ({
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
  }),
};

describe.each(Object.entries(places))("over %s", (_name, place) => {
  let apps: Celery[];
  let workers: Worker[];
  /** By key: how many run, and the most that ever did. */
  let running: Map<string, number>;
  let most: Map<string, number>;

  beforeEach(async () => {
    count += 1;
    await redis.command("FLUSHALL");
    apps = [];
    workers = [];
    running = new Map();
    most = new Map();
  });
  afterEach(async () => {
    await Promise.all(workers.map((one) => one.stop({ how: "cold" })));
    await Promise.all(apps.map((app) => app.close()));
  });

  async function inside<T>(key: string, body: () => Promise<T>): Promise<T> {
    const now = (running.get(key) ?? 0) + 1;
    running.set(key, now);
    most.set(key, Math.max(most.get(key) ?? 0, now));
    try {
      return await body();
    } finally {
      running.set(key, (running.get(key) ?? 1) - 1);
    }
  }

  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

  async function worker(options: WorkerOptions = {}): Promise<Celery> {
    const app = new Celery("lim", { ...place(), logger: silentLogger });
    apps.push(app);
    const key = (tenant: string): string => tenant;
    app.task("lim.one", { maxConcurrency: 2 }, (n: number) => inside("one", async () => (await turn(), n)));
    app.task("lim.late", { acksLate: true, maxConcurrency: { limit: 1, key } }, (tenant: string, n: number) =>
      inside(tenant, async () => (await turn(), n)),
    );
    app.task("lim.retry", { bind: true, maxConcurrency: 1, maxRetries: 2 }, (task, n: number) =>
      inside("retry", async () => {
        await turn();
        if (task.request.retries < 2) throw task.retry({ countdown: 0 });
        return n;
      }),
    );
    app.task("lim.fail", { maxConcurrency: 1 }, (n: number) =>
      inside("fail", async () => {
        await turn();
        if (n % 2 === 0) throw new RangeError("even");
        return n;
      }),
    );
    app.task("lim.sync", { maxConcurrency: 1 }, (n: number) => n);
    app.task("lim.rated", { globalRateLimit: { rate: 50, burst: 2 } }, () => performance.now());
    app.task("lim.free", (n: number) => n);
    app.task(
      "lim.held",
      { bind: true, maxConcurrency: 1 },
      (task) =>
        new Promise<null>((_, reject) => {
          task.signal.addEventListener("abort", () => reject(task.signal.reason as Error));
        }),
    );
    const one = new Worker(app, { concurrency: 4, hostname: `w${apps.length}@here`, ...options });
    workers.push(one);
    await one.start();
    return app;
  }

  const all = (results: readonly AsyncResult<unknown>[]): Promise<unknown[]> =>
    Promise.all(results.map((one) => one.get({ timeout: 30 })));
  const send = (
    app: Celery,
    task: string,
    calls: readonly (readonly unknown[])[],
  ): Promise<AsyncResult<unknown>[]> => Promise.all(calls.map((args) => app.sendTask(task, [...args])));
  const numbers = (n: number): readonly [number][] => Array.from({ length: n }, (_, i) => [i]);

  test("two workers run no more at once than the limit, and all get done", async () => {
    const app = await worker();
    await worker();
    const results = await send(app, "lim.one", numbers(60));
    expect(await all(results)).toEqual(numbers(60).map(([n]) => n));
    expect(most.get("one")).toBe(2);
    await eventually("no limit is in use", async () => (await app.control.limits()).length === 0);
  });

  test("by key, acked late; retries and failures give their slots back", async () => {
    const app = await worker();
    await worker();
    const tenants = ["a", "b", "c"];
    const late = await send(
      app,
      "lim.late",
      numbers(45).map(([n]) => [tenants[n % 3], n]),
    );
    const retried = await send(app, "lim.retry", numbers(8));
    const failed = await send(app, "lim.fail", numbers(10));
    const sync = await send(app, "lim.sync", numbers(30));
    expect(await all(late)).toEqual(numbers(45).map(([n]) => n));
    expect(await all(retried)).toEqual(numbers(8).map(([n]) => n));
    expect(await all(sync)).toEqual(numbers(30).map(([n]) => n));
    const outcomes = await Promise.allSettled(failed.map((one) => one.get({ timeout: 30 })));
    expect(outcomes.map((one) => one.status === "rejected")).toEqual(numbers(10).map(([n]) => n % 2 === 0));
    expect(Object.fromEntries(most)).toEqual({ a: 1, b: 1, c: 1, fail: 1, retry: 1 });
    await eventually("no limit is in use", async () => (await app.control.limits()).length === 0);
  });

  test("no more start in a time than the rate, and other tasks do not wait for them", async () => {
    const app = await worker({ concurrency: 1 });
    const rated = await send(
      app,
      "lim.rated",
      numbers(12).map(() => []),
    );
    const free = await send(app, "lim.free", numbers(3));
    expect(await all(free)).toEqual([0, 1, 2]);
    const starts = (await all(rated)) as number[];
    starts.sort((a, b) => a - b);
    // 2 at once, then one each 20 ms. The first may have been late itself, so that others seem early by as much.
    expect(starts[11]! - starts[0]!).toBeGreaterThanOrEqual(10 * 20 - 60);
  });

  test("a refusal can be asked for; a revoked task that waits leaves its turn to the next", async () => {
    const app = await worker();
    const [held, second, third] = await send(app, "lim.held", [[], [], []]);
    const state = async () => (await app.control.limits())[0];
    await eventually("two wait", async () => (await state())?.waiting === 2);
    const told = await state();
    expect(told).toMatchObject({
      kind: "concurrency",
      task: "lim.held",
      key: "",
      limit: 1,
      perSecond: null,
      holders: [held!.id],
      freeAt: null,
    });
    const waits = told!.waiters.map((one) => one.id);
    expect(waits.toSorted()).toEqual([second!.id, third!.id].toSorted());
    expect(Date.now() - told!.waiters[0]!.since.getTime()).toBeLessThan(20_000);
    await app.control.revoke(waits[0]!);
    await eventually("it is known", async () => {
      const revoked = await app.control.inspect().revoked();
      return Object.values(revoked).every((ids) => ids.includes(waits[0]!));
    });
    await app.control.terminate(held!.id);
    await eventually("the last one runs", async () => (await state())?.holders[0] === waits[1]);
    expect((await state())?.waiting).toBe(0);
    await expect(app.asyncResult(waits[0]!).get({ timeout: 5 })).rejects.toThrow("revoked");
  });
});

test("connections that break again and again: never more at once, each task done, no slot left behind", async () => {
  await redis.command("FLUSHALL");
  const here = { brokerUrl: `${redis.url}/0`, resultBackend: `${redis.url}/1` };
  const app = new Celery("cut", { ...here, logger: silentLogger });
  let [most, ran] = [0, 0];
  /** A message that was sent twice, as the answer to the first was lost, counts once. */
  const running: number[] = [];
  const body = async (n: number): Promise<number> => {
    running.push(n);
    most = Math.max(most, new Set(running).size);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running.splice(running.indexOf(n), 1);
    ran += 1;
    return n;
  };
  app.task("cut.early", { maxConcurrency: { limit: 2, key: () => "k" } }, body);
  app.task(
    "cut.retry",
    { bind: true, acksLate: true, maxConcurrency: 1, maxRetries: 1 },
    (task, n: number) => {
      if (task.request.retries === 0) throw task.retry({ countdown: 0 });
      return n;
    },
  );
  const workers = [1, 2].map((n) => new Worker(app, { concurrency: 3, hostname: `cut${n}@here` }));
  await Promise.all(workers.map((one) => one.start()));
  // Whenever some have run since: a busy machine would do nothing else than connect.
  let ranAtCut = 0;
  const cutter = setInterval(() => {
    if (ran - ranAtCut < 10) return;
    ranAtCut = ran;
    redis.command("CLIENT", "KILL", "TYPE", "normal").catch(() => {});
  }, 100);
  try {
    const numbers = Array.from({ length: 150 }, (_, n) => n);
    const results: AsyncResult<unknown>[] = [];
    for (const n of numbers) results.push(await app.sendTask(n % 3 === 0 ? "cut.retry" : "cut.early", [n]));
    const values = await Promise.all(results.map((one) => one.get({ timeout: 40 })));
    expect(values).toEqual(numbers);
    clearInterval(cutter);
    expect(most).toBeLessThanOrEqual(2);
    await eventually("no limit is in use", async () => (await app.control.limits()).length === 0, {
      timeoutMs: 20_000,
    });
    await eventually("nothing is held", async () => (await redis.command("HLEN", "unacked")) === "0");
  } finally {
    clearInterval(cutter);
    await Promise.all(workers.map((one) => one.stop({ how: "cold" })));
    await app.close();
  }
}, 90_000);

test("a prefork child that is killed, and a worker that is killed, leave no slot behind", async () => {
  await redis.command("FLUSHALL");
  const project = makePoolProject(redis.url);
  const app = project.client();
  const worker = project.worker("-P", "prefork", "-c", "2", "-l", "INFO");
  try {
    await worker.says(/tasks: +p\.add/);
    const spinning = await app.sendTask("p.limited", ["spin"]);
    const next = await app.sendTask("p.limited", ["quick"]);
    await eventually("one waits", async () => (await app.control.limits())[0]?.waiting === 1);
    const shown = async (...words: readonly string[]): Promise<string> => {
      const env = { CELERY_BROKER_URL: `${redis.url}/0` };
      const { code, out, err } = await petioleRun(["limits", ...words], { cwd: project.dir, env });
      expect({ code, err }).toEqual({ code: 0, err: "" });
      return out;
    };
    const [head, runs, waits = ""] = (await shown()).split("\n");
    expect([head, runs]).toEqual(["p.limited: 1 of 1 at once, 1 waits", `  runs   ${spinning.id}`]);
    expect(waits).toMatch(new RegExp(`^  waits  ${next.id} since 20\\d\\d-[-0-9T:.]+Z$`));
    expect(JSON.parse(await shown("--json", "--task", "p.limited"))).toMatchObject([
      {
        kind: "concurrency",
        task: "p.limited",
        holders: [spinning.id],
        waiters: [{ id: next.id, until: null }],
      },
    ]);
    expect(await shown("--task", "p.other")).toBe("No task runs or waits under a limit over all workers.\n");
    await app.control.terminate(spinning.id);
    expect(await next.get({ timeout: 20 })).toBe("quick");
    await eventually("none is left", async () => (await app.control.limits()).length === 0);
    await app.sendTask("p.limited", ["spin"]);
    await eventually("it runs", async () => (await app.control.limits())[0]?.holders.length === 1);
    worker.kill("SIGKILL");
    await worker.ended;
    const second = project.worker("-P", "prefork", "-c", "2", "-l", "INFO");
    try {
      const last = await app.sendTask("p.limited", ["quick"]);
      // The lease of 5 s ends, and a look each 1.5 s calls the next.
      expect(await last.get({ timeout: 20 })).toBe("quick");
    } finally {
      second.kill("SIGKILL");
      await second.ended;
    }
  } finally {
    worker.kill("SIGKILL");
    await worker.ended;
    await app.close();
    project.remove();
  }
}, 60_000);
