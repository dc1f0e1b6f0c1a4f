/** `--json` on every command: results on stdout, errors on stderr, each on one line. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CommandName } from "../../src/cli/option-types.ts";
import { COMMANDS } from "../../src/cli/options.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";

const TASKS = `
import { Celery } from ${petiole};
export const app = new Celery("shop", { brokerUrl: process.env.SHOP_BROKER, resultBackend: process.env.SHOP_BROKER });
app.task("shop.add", (x, y) => x + y);
app.task("shop.fail", () => { throw new TypeError("no stock left"); });
`;

let redis: RedisServer;
let project: Project;
let started: CliProcess[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  project.write("tasks.mjs", TASKS);
  started = [];
});
afterEach(async () => {
  for (const one of started) one.kill("SIGKILL");
  await Promise.all(started.map((one) => one.ended));
  project.remove();
});

const options = (): ConstructorParameters<typeof CliProcess>[1] => ({
  cwd: project.dir,
  env: { SHOP_BROKER: redis.url },
});

function start(...words: string[]): CliProcess {
  const one = new CliProcess(["-A", "tasks.mjs", ...words], options());
  started.push(one);
  return one;
}

/** The lines of a command that ends by itself, and its exit code. */
async function lines(
  words: readonly string[],
  wanted = 0,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const { code, out, err } = await petioleRun(["-A", "tasks.mjs", ...words, "--json"], options());
  expect({ code, err }).toEqual({ code: wanted, err: "" });
  expect(out.endsWith("\n")).toBe(true);
  return out
    .trimEnd()
    .split("\n")
    .map((text) => JSON.parse(text) as Record<string, unknown>);
}

async function line(words: readonly string[], wanted = 0): Promise<unknown> {
  const all = await lines(words, wanted);
  expect(all).toHaveLength(1);
  return all[0];
}

async function withWorker(...words: string[]): Promise<void> {
  await start("worker", "-l", "INFO", "-c", "1", "-n", "w@here", ...words).says(/ready/);
}

/** One run of each command, with what it must print. A command that is not here does not compile. */
const RUNS: Readonly<Record<CommandName, () => Promise<void>>> = {
  async worker() {
    const steps = (await line(["worker", "--print-steps"])) as { name: string; requires: string[] }[];
    expect(steps.map((one) => one.name)).toContain("pool");
    const one = start("worker", "-l", "INFO", "-c", "1", "-q", "--json");
    await one.says(/ready/);
    for (const text of one.err.trimEnd().split("\n")) expect(JSON.parse(text)).toHaveProperty("msg");
  },
  async beat() {
    const one = start("beat", "-l", "INFO", "-q", "--json", "-S", "celery.beat:Scheduler");
    await one.says(/beat: Starting/);
    for (const text of one.err.trimEnd().split("\n")) expect(JSON.parse(text)).toHaveProperty("msg");
  },
  async multi() {
    expect(await line(["multi", "names", "a@h", "b@h"])).toEqual(["a@h", "b@h"]);
    expect(await line(["multi", "show", "a@h"])).toEqual([
      { name: "a@h", command: expect.arrayContaining(["worker", "--detach", "-n", "a@h"]) },
    ]);
  },
  async call() {
    expect(await line(["call", "shop.add", "-a", "[1, 2]"])).toEqual({
      id: expect.stringMatching(/^[\da-f-]{36}$/),
      task: "shop.add",
    });
  },
  async result() {
    await withWorker();
    const sent = async (name: string): Promise<string> =>
      ((await line(["call", name, "-a", name === "shop.add" ? "[1, 2]" : "[]"])) as { id: string }).id;
    const id = await sent("shop.add");
    expect(await line(["result", id, "--timeout", "20"])).toEqual({ id, state: "SUCCESS", result: 3 });
    const failed = await sent("shop.fail");
    const traceback = expect.stringContaining("no stock left");
    expect(await line(["result", failed, "--timeout", "20"], 1)).toEqual({
      id: failed,
      state: "FAILURE",
      error: { type: "TypeError", message: "TypeError: no stock left" },
      traceback,
    });
    expect(await line(["result", failed, "--traceback"])).toEqual({ id: failed, traceback });
  },
  async inspect() {
    await withWorker();
    expect(await line(["inspect", "ping"])).toEqual({ "w@here": { ok: "pong" } });
    expect(await line(["inspect", "--list"])).toContainEqual({
      name: "ping",
      arguments: "",
      about: expect.any(String),
    });
  },
  async control() {
    await withWorker();
    expect(await line(["control", "rate_limit", "shop.add", "5/m"])).toEqual([
      { "w@here": { ok: expect.stringContaining("rate limit") } },
    ]);
    expect(await line(["control", "--list"])).toContainEqual(expect.objectContaining({ name: "revoke" }));
  },
  async status() {
    await withWorker();
    expect(await line(["status"])).toEqual({ "w@here": { ok: "pong" } });
  },
  async db() {
    const url = `sqlite:///${project.dir}/results.db`;
    expect(await line(["db", "migrate", "--database", url, "--only", "results"])).toMatchObject({
      apps: [{ app: "django_celery_results", state: "absent", recorded: true }],
    });
    const sql = await line(["db", "migrate", "--sql", "--database", url]);
    expect(sql).toEqual({ sql: expect.stringContaining("CREATE TABLE") });
  },
  async events() {
    await withWorker("-E", "--heartbeat-interval", "0.2");
    const one = start("events", "--json", "-q");
    await one.says(/worker-heartbeat/);
    one.kill("SIGINT");
    const { code, out, err } = await one.ended;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    for (const text of out.trimEnd().split("\n")) expect(JSON.parse(text)).toHaveProperty("type");
  },
  async list() {
    await line(["call", "shop.add", "-a", "[1, 2]"]);
    expect(await line(["list", "queues"])).toEqual([{ queue: "celery", messages: 1, exchange: "celery" }]);
    expect(await line(["list", "bindings"])).toEqual([
      { queue: "celery", exchange: "celery", routing_key: "celery" },
    ]);
  },
  async purge() {
    await line(["call", "shop.add", "-a", "[1, 2]"]);
    expect(await line(["purge", "-f"])).toEqual({ purged: 1, queues: ["celery"] });
  },
  async migrate() {
    const source = `sqlite://${join(project.dir, "old.db")}`;
    const all = ["migrate", source, redis.url, "-t", "0"];
    expect(await line(all)).toEqual({ migrated: 0, parked: 0, held: 0, moved: false });
  },
  async statedb() {
    const location = redis.url;
    const listed = await line(["statedb", "list", "--redis-statedb", location]);
    expect(listed).toEqual({ location, shared: { ids: 0, stamps: 0 }, workers: [] });
  },
  async queue() {
    const pausedSince = expect.stringMatching(/Z$/);
    expect(await line(["queue", "pause", "celery"])).toEqual([{ queue: "celery", waiting: 0, pausedSince }]);
    await line(["call", "shop.add", "-a", "[1, 2]"]);
    expect(await line(["queue", "list"])).toEqual([{ queue: "celery", waiting: 1, pausedSince }]);
    const resumed = [{ queue: "celery", waiting: 1, pausedSince: null }];
    expect(await line(["queue", "resume", "celery"])).toEqual(resumed);
  },
  async limits() {
    expect(await line(["limits"])).toEqual([]);
  },
  async schedule() {
    const words = ["--task", "shop.add", "--every", "60"];
    const [added] = (await line(["schedule", "add", "minute", ...words, "-S", "redbeat"])) as object[];
    expect(added).toMatchObject({ kind: "entry", name: "minute", enabled: true, totalRunCount: 0 });
    expect(await line(["schedule", "list", "-S", "redbeat"])).toEqual([added]);
    expect(await line(["schedule", "run", "minute", "-S", "redbeat"])).toEqual([
      { name: "minute", id: expect.any(String) },
    ]);
    expect(await line(["schedule", "remove", "minute", "-S", "redbeat"])).toEqual([
      { name: "minute", removed: true },
    ]);
  },
  async dead() {
    for (const raw of ["no message", "nor this"]) {
      await redis.command(
        "LPUSH",
        "celery.dead",
        `{"queue":"celery","reason":"odd","at":1,"count":0}\n${raw}`,
      );
    }
    const listed = await lines(["dead", "list"]);
    expect(listed).toMatchObject([{ reason: "odd", queue: "celery" }, { reason: "odd" }]);
    expect(await lines(["dead", "show", String(listed[0]?.["id"])])).toEqual([listed[0]]);
    expect(await line(["dead", "requeue", "--all"], 1)).toEqual({ requeued: 0, kept: 2 });
    expect(await line(["dead", "purge", "--all", "-f"])).toEqual({ deleted: 2 });
  },
  async report() {
    expect(await line(["report"])).toMatchObject({ node: expect.any(String), settings: expect.any(Object) });
  },
  async shell() {
    expect(await line(["shell", "--eval", "(await app.control.ping({ timeout: 0.05 }), 1 + 1)"])).toEqual({
      value: 2,
    });
  },
  async graph() {
    expect(await line(["graph", "bindings"])).toEqual({
      nodes: [
        { id: "exchange:celery", label: "celery", kind: "exchange" },
        { id: "queue:celery", label: "celery", kind: "queue" },
      ],
      edges: [{ from: "exchange:celery", to: "queue:celery", label: "celery" }],
    });
  },
  async logtool() {
    const log = project.write("w.log", "[2026-01-01 00:00:00,000: INFO/MainProcess] Task a.b[1] received\n");
    expect(await line(["logtool", "stats", log])).toMatchObject({ total: 1, types: { "a.b": 1 } });
    expect(await line(["logtool", "incomplete", log])).toEqual({ task: "a.b", id: "1" });
  },
  async dev() {
    const one = start("dev", "-q", "--json");
    await one.says(/ready/);
    one.kill("SIGINT");
    const { code, err } = await one.ended;
    expect(code).toBe(0);
    for (const text of err.trimEnd().split("\n")) expect(JSON.parse(text)).toHaveProperty("msg");
  },
  async init() {
    expect(await line(["init", "shop"])).toEqual({
      folder: join(project.dir, "shop"),
      files: expect.arrayContaining(["package.json", "src/tasks.ts"]),
    });
  },
  async explain() {
    expect(await line(["explain", "timeout"])).toEqual([
      { code: "PET_TIMEOUT", meaning: expect.any(String), remedy: expect.any(String), exitCode: 69 },
    ]);
  },
  async complete() {
    expect(await line(["complete", "bash"])).toEqual({
      shell: "bash",
      script: expect.stringContaining("_petiole"),
    });
  },
};

test("no command is left out", () => {
  expect(Object.keys(RUNS).sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
});

test.each(Object.keys(RUNS) as CommandName[])(
  "%s --json",
  async (name) => {
    await RUNS[name]();
    expect.hasAssertions();
  },
  60_000,
);

describe("errors", () => {
  const failing = async (words: readonly string[]): Promise<unknown> => {
    const { code, out, err } = await petioleRun(words, options());
    expect(out).toBe("");
    const { error } = JSON.parse(err) as { error: { exitCode: number } };
    expect(err).toBe(`${JSON.stringify({ error })}\n`);
    expect(error.exitCode).toBe(code);
    return error;
  };

  test("are one line on stderr: code, message, command, exit code", async () => {
    expect(await failing(["-b", "redis://:s3cret@127.0.0.1:1/0", "status", "--json"])).toEqual({
      code: "PET_BROKER_UNREACHABLE",
      message: expect.stringMatching(/127\.0\.0\.1:1.*Check that/),
      command: "petiole status",
      exitCode: 69,
    });
    expect(await failing(["-A", "tasks.mjs", "status", "-j", "-t", "0.05"])).toMatchObject({
      code: "PET_NO_REPLY",
      exitCode: 69,
    });
  });

  test("also of words that cannot be parsed, and where a question would be asked", async () => {
    for (const words of [
      ["staus", "--json"],
      ["purge", "--json", "--froce"],
      ["-A", "tasks.mjs", "purge", "--json"],
      ["-A", "tasks.mjs", "dead", "purge", "--all", "--json"],
    ]) {
      expect(await failing(words)).toMatchObject({ code: "PET_USAGE", exitCode: 64 });
    }
  });
});
