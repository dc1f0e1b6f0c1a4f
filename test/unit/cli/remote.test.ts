/** `petiole inspect|control|status|list|report` against workers of this process. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/base/logger.ts";
import { Celery } from "../../../src/index.ts";
import { Worker } from "../../../src/worker/index.ts";
import { type Ran, ran } from "./stand-in.ts";

const VARIABLES = ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"] as const;
const before = new Map<string, string | undefined>();
let url = "";
let workers: Worker[] = [];

// The program lays its URLs over the process's environment, as Celery does.
beforeEach(() => {
  url = `memory://${randomUUID()}`;
  for (const name of VARIABLES) {
    before.set(name, process.env[name]);
    delete process.env[name];
  }
});
afterEach(async () => {
  for (const worker of workers) await worker.stop({ how: "cold" });
  workers = [];
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

async function start(hostname: string): Promise<Celery> {
  const app = new Celery("remote", { brokerUrl: url, logger: silentLogger });
  app.task("r.add", { rateLimit: "5/m" }, (x: number, y: number) => x + y);
  const worker = new Worker(app, { hostname, concurrency: 1, withoutMingle: true });
  workers.push(worker);
  await worker.start();
  return app;
}

const cli = (...words: string[]): Promise<Ran> => ran(["-b", url, ...words]);

describe("inspect", () => {
  test("prints each reply as it comes, and how many there were", async () => {
    await start("a@host");
    const { code, out } = await cli("inspect", "registered", "-d", "a@host");
    expect([code, out]).toEqual([0, "->  a@host: OK\n    * r.add [rate_limit=5/m]\n\n1 node online.\n"]);
    expect((await cli("inspect", "active", "-d", "a@host")).out).toContain("OK\n    - empty -\n");
    expect((await cli("-q", "inspect", "ping", "-d", "a@host")).out).toBe("        pong\n");
    const queues = await cli("inspect", "active_queues", "-d", "a@host");
    expect(queues.out).toContain("    * {'name': 'celery', 'exchange': {'name': 'celery', 'type': 'direct'");
  });

  test("objects are JSON with sorted keys, indented", async () => {
    await start("a@host");
    const { out } = await cli("inspect", "query_task", "x", "y", "-d", "a@host");
    expect(out).toBe("->  a@host: OK\n    {}\n\n1 node online.\n");
    const stats = await cli("inspect", "stats", "-d", "a@host");
    expect(stats.out).toMatch(/OK\n {4}\{\n {8}"broker": \{\n {12}"alternates": \[\],\n/);
  });

  test("--json is one object by node", async () => {
    await start("a@host");
    await start("b@host");
    const { out } = await cli("inspect", "ping", "-j", "-d", "a@host,b@host");
    expect(JSON.parse(out)).toEqual({ "a@host": { ok: "pong" }, "b@host": { ok: "pong" } });
  });

  test("nobody there: exit code 69", async () => {
    for (const words of [["inspect", "ping"], ["control", "heartbeat"], ["status"]]) {
      const { code, err } = await cli(...words, "-t", "0.05");
      expect([code, err]).toEqual([
        69,
        expect.stringMatching(
          `^petiole ${words[0]}: No nodes replied within time constraint\\. Look .* \\[PET_NO_REPLY\\]\n$`,
        ),
      ]);
    }
  });

  test.each([
    [["inspect", "pong"], /"pong" not recognized, did you mean "ping"\? Available inspect commands: active,/],
    [["inspect"], /no command is given\. Available inspect commands: active,/],
    [["inspect", "rate_limit", "x", "1/s"], /not recognized/],
    [["inspect", "ping", "x"], /"ping" takes arguments: none/],
    [["control", "rate_limit", "x"], /takes arguments: <task_name> <rate_limit/],
    [["control", "pool_grow", "x"], /n must be a number, not "x"/],
    [
      ["queue", "puase", "q"],
      /petiole queue does not know "puase", did you mean "pause"\? Say one of pause,/,
    ],
    [["list", "what"], /petiole list does not know "what"\. Say one of bindings, queues\./],
  ])("%j is refused with exit code 64", async (words, text) => {
    const { code, err } = await cli(...words);
    expect([code, err]).toEqual([64, expect.stringMatching(text)]);
  });

  test("--list has every command with its arguments, hidden ones left out", async () => {
    const inspect = await cli("inspect", "--list");
    expect(inspect.out).toMatch(/^Inspect Commands:\n {2}active .*currently being executed\.\n/);
    expect(inspect.out).not.toMatch(/hello|rate_limit /);
    const control = await cli("control", "--list");
    expect(control.out).toContain("time_limit <task_name> <soft_secs> [hard_secs]");
  });
});

describe("control", () => {
  test("words become arguments by their types", async () => {
    await start("a@host");
    const to = ["-d", "a@host"];
    expect((await cli("control", "time_limit", "r.add", "1.5", "3", ...to)).out).toBe(
      "->  a@host: OK\n        time limits set successfully\n",
    );
    expect((await cli("control", "pool_grow", "2", ...to)).out).toContain("pool will grow");
    const limits = await cli("inspect", "registered", "soft_time_limit", "time_limit", ...to);
    expect(limits.out).toContain("r.add [soft_time_limit=1.5 time_limit=3]");
    expect((await cli("control", "revoke", "x", "y", ...to)).out).toContain(
      "tasks {'x', 'y'} flagged as revoked",
    );
    expect((await cli("control", "autoscale", "4", "1", ...to)).out).toBe(
      "->  a@host: ERROR\n        ValueError('Autoscale not enabled')\n",
    );
    const json = await cli("control", "rate_limit", "r.add", "0", "-j", ...to);
    expect(JSON.parse(json.out)).toEqual([{ "a@host": { ok: "rate limit disabled successfully" } }]);
  });
});

test("status tells who is online", async () => {
  await start("a@host");
  await start("b@host");
  const { code, out } = await cli("status", "-t", "0.2");
  expect([code, out]).toEqual([0, "->  a@host: OK\n->  b@host: OK\n\n2 nodes online.\n"]);
  const json = await cli("status", "-j", "-d", "a@host");
  expect(JSON.parse(json.out)).toEqual({ "a@host": { ok: "pong" } });
});

test("list shows bindings, and queues with what waits in them", async () => {
  const app = new Celery("remote", { brokerUrl: url, logger: silentLogger });
  await app.sendTask("r.add", [1, 2]);
  await app.close();
  const bindings = await cli("list", "bindings");
  expect(bindings.out).toMatch(/^Queue +Exchange +Routing Key\n(-{16} +){2}-{16}\ncelery +celery +celery\n$/);
  const queues = await cli("list", "queues", "-j");
  expect(JSON.parse(queues.out)).toEqual([{ queue: "celery", messages: 1, exchange: "celery" }]);
});

test("report names versions and settings, and no password", async () => {
  const { code, out } = await ran(["-b", "redis://:hunter2@nowhere:1/0", "report"]);
  expect([code, out]).toEqual([0, expect.stringContaining("transport:redis")]);
  expect(out).toContain("broker_url: 'redis://:**@nowhere:1/0'");
  expect(out).not.toContain("hunter2");
  const json = await ran(["-b", "redis://:hunter2@nowhere:1/0", "report", "-j"]);
  expect(JSON.parse(json.out)).toMatchObject({ node: process.versions.node });
});
