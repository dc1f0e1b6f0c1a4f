/** Flower 2, as people run it beside Celery's workers, beside one of ours: its HTTP API and its pages. */
import type { Worker } from "petiole/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type PythonProgram, startPythonProgram } from "../support/python.ts";
import { freePort } from "../support/redis.ts";
import { type Fleet, startFleet } from "./harness.ts";

const NODE = "ts@flower";
let fleet: Fleet;
let flower: PythonProgram;
let worker: Worker;
let base: string;

type Json = Record<string, unknown>;

async function page(path: string, parameters?: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(`${base}${path}`, {
    signal: AbortSignal.timeout(15_000),
    ...(parameters === undefined ? {} : { method: "POST", body: new URLSearchParams(parameters) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return text;
}

const get = async <T = Json>(path: string): Promise<T> => JSON.parse(await page(path)) as T;
const post = async (path: string, parameters: Readonly<Record<string, string>> = {}): Promise<Json> =>
  JSON.parse(await page(path, parameters)) as Json;

/** What Flower has heard of a task, once that satisfies. */
const heardOf = (id: string, satisfies: (task: Json) => boolean): Promise<Json> =>
  eventually(
    `Flower has heard of ${id}`,
    async () => {
      const task = await get(`/api/task/info/${id}`);
      return satisfies(task) && task;
    },
    { timeoutMs: 20_000 },
  );

beforeAll(async () => {
  fleet = await startFleet();
  const port = await freePort();
  base = `http://127.0.0.1:${port}`;
  flower = await startPythonProgram(
    ["flower", "--address=127.0.0.1", `--port=${port}`, "--inspect_timeout=3000"],
    {
      broker: fleet.broker,
      backend: fleet.backend,
      env: { FLOWER_UNAUTHENTICATED_API: "true" },
    },
  );
  worker = await fleet.worker({ hostname: NODE, concurrency: 4, heartbeatInterval: 0.5 });
  await eventually("Flower serves", () => page("/healthcheck"), { timeoutMs: 40_000, intervalMs: 200 });
  await eventually("it knows the worker", async () => (await get("/api/workers?status=1"))[NODE] === true, {
    timeoutMs: 30_000,
  });
  // Flower switches the events of tasks on itself.
  await eventually(
    "it hears of tasks",
    async () => {
      await fleet.app.sendTask("demo.whoami", []);
      return Object.keys(await get("/api/tasks")).length > 0;
    },
    { timeoutMs: 30_000, intervalMs: 300 },
  );
}, 90_000);

afterAll(async () => {
  await flower?.stop();
  await fleet?.stop();
});

describe("Flower", () => {
  test("lists the worker with its pool, its queues, its tasks and its settings", async () => {
    const workers = await get<Record<string, Json>>(`/api/workers?refresh=1&workername=${NODE}`);
    expect(workers[NODE]).toMatchObject({
      stats: { pid: process.pid, pool: { "max-concurrency": 4 } },
      active_queues: [expect.objectContaining({ name: "celery" })],
      conf: expect.objectContaining({ result_backend: fleet.backend }),
      active: [],
    });
    expect((workers[NODE] as { registered: string[] }).registered).toContain("demo.add");
    expect(await page(`/worker/${NODE}`)).toContain(NODE);
    expect(await page("/workers")).toContain(NODE);
    expect(await get("/api/queues/length")).toEqual({ active_queues: [{ name: "celery", messages: 0 }] });
  });

  test("shows a task that succeeded: arguments, result, times, worker", async () => {
    const { id } = await fleet.app.sendTask("demo.add", [2, 3]);
    const task = await heardOf(id, ({ state }) => state === "SUCCESS");
    expect(task).toMatchObject({
      uuid: id,
      name: "demo.add",
      args: "(2, 3)",
      kwargs: "{}",
      result: "5",
      worker: NODE,
      runtime: expect.any(Number),
      received: expect.any(Number),
      started: expect.any(Number),
      succeeded: expect.any(Number),
      traceback: null,
    });
    expect(await get(`/api/task/result/${id}`)).toMatchObject({ state: "SUCCESS", result: 5 });
    const html = await page(`/task/${id}`);
    expect(html).toContain(">demo.add</a>");
    expect(html).toContain("<code>(2, 3)</code>");
    expect(html).toMatch(/<dt>Result<\/dt>\s*<dd><pre class="detail-code"><code>5<\/code>/);
    const all = await get<Record<string, Json>>(`/api/tasks?taskname=demo.add&workername=${NODE}`);
    expect(Object.keys(all)).toContain(id);
    expect(await get("/api/task/types")).toEqual({ "task-types": expect.arrayContaining(["demo.add"]) });
  });

  test("shows a task that failed: its exception and its traceback", async () => {
    const { id } = await fleet.app.sendTask("demo.fail", ["broken"]);
    const task = await heardOf(id, ({ state }) => state === "FAILURE");
    expect(task).toMatchObject({ exception: "ValueError('broken', 42)", worker: NODE });
    expect(task["traceback"]).toContain("Traceback (most recent call last)");
    expect(await page(`/task/${id}`)).toContain("ValueError(&#x27;broken&#x27;, 42)");
  });

  test("sends a task and waits for its result", async () => {
    const response = await fetch(`${base}/api/task/apply/demo.add`, {
      method: "POST",
      body: JSON.stringify({ args: [20, 22] }),
    });
    expect(await response.json()).toMatchObject({ state: "SUCCESS", result: 42 });
  });

  test("terminates a task that runs", async () => {
    const { id } = await fleet.app.sendTask("demo.until_aborted", []);
    await heardOf(id, ({ state }) => state === "STARTED");
    expect(await post(`/api/task/revoke/${id}`, { terminate: "true" })).toEqual({
      message: `Revoked '${id}'`,
    });
    expect(await heardOf(id, ({ state }) => state === "REVOKED")).toMatchObject({ worker: NODE });
    expect((await fleet.app.asyncResult(id).outcome({ timeout: 10 })).state).toBe("REVOKED");
  });

  test("revokes a task before it comes", async () => {
    const { id } = await fleet.app.sendTask("demo.record", ["never", 1], { countdown: 3 });
    await post(`/api/task/revoke/${id}`);
    await heardOf(id, ({ state }) => state === "REVOKED");
    expect(await fleet.seen("never")).toEqual([]);
  });

  test("sets limits of rate and time", async () => {
    expect(await post("/api/task/rate-limit/demo.echo", { workername: NODE, ratelimit: "7/m" })).toEqual({
      message: "new rate limit set successfully",
    });
    expect(await post("/api/task/timeout/demo.echo", { workername: NODE, soft: "5", hard: "10" })).toEqual({
      message: "time limits set successfully",
    });
    const registered = await fleet.app.control.inspect().registered();
    expect(registered[NODE]).toContain("demo.echo [rate_limit=7/m]");
  });

  test("grows and shrinks the pool, adds and cancels a queue", async () => {
    const size = async (): Promise<unknown> => {
      const stats = await fleet.app.control.inspect().stats();
      return (stats[NODE]?.["pool"] as Json | undefined)?.["max-concurrency"];
    };
    await post(`/api/worker/pool/grow/${NODE}`, { n: "2" });
    expect(await size()).toBe(6);
    await post(`/api/worker/pool/shrink/${NODE}`, { n: "3" });
    expect(await size()).toBe(3);
    expect(await post(`/api/worker/queue/add-consumer/${NODE}`, { queue: "late" })).toEqual({
      message: "add consumer late",
    });
    expect(
      await fleet.python.value("return app.send_task('demo.add', (1, 2), queue='late').get(timeout=10)"),
    ).toBe(3);
    expect(await post(`/api/worker/queue/cancel-consumer/${NODE}`, { queue: "late" })).toEqual({
      message: "no longer consuming from late",
    });
  });

  test("counts the worker's events in its metrics", async () => {
    const metrics = await page("/metrics");
    expect(metrics).toMatch(
      new RegExp(`flower_events_total{task="demo.add",type="task-succeeded",worker="${NODE}"} [1-9]`),
    );
    expect(metrics).toContain(`flower_worker_online{worker="${NODE}"} 1.0`);
  });

  test("shuts the worker down, and says that it is off line", async () => {
    await post(`/api/worker/shutdown/${NODE}`);
    await eventually("it is off line", async () => (await get("/api/workers?status=1"))[NODE] === false);
    await eventually("it has stopped", () => worker.state === "stopped");
    expect(flower.output()).not.toMatch(/Traceback|\[E |ERROR/);
  });
});
