/** The log of `petiole worker` as it is seen: what tasks print, colours. */
import type { Celery } from "petiole";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cli } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { Pty } from "../support/pty.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import type { CliProcess } from "./cli-support.ts";
import { makePoolProject, type PoolProject } from "./pool-support.ts";

let redis: RedisServer;
let project: PoolProject;
let app: Celery;
let started: (CliProcess | Pty)[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makePoolProject(redis.url);
  app = project.client();
  started = [];
});
afterEach(async () => {
  for (const one of started) one.kill("SIGKILL");
  await Promise.all(started.map((one) => one.ended));
  await app.close();
  project.remove();
});

async function talk(...words: readonly string[]): Promise<{ one: CliProcess; id: string }> {
  const one = project.worker("-c", "1", "-l", "INFO", ...words);
  started.push(one);
  await one.says(/worker ready/);
  const handle = await app.sendTask("p.talk", []);
  await handle.get({ timeout: 20 });
  await one.says(/said by \d+/);
  return { one, id: handle.id };
}

describe("what a task prints", () => {
  test.each(["async", "prefork", "threads"])(
    "of a pool %s is a line of the log, with its task",
    async (pool) => {
      const { one, id } = await talk("-P", pool, "--", "worker.redirect_stdouts=true");
      expect(one.err).toMatch(new RegExp(`WARNING/MainProcess\\] p\\.talk\\[${id}\\]: said by \\d+\\n`));
      one.kill("SIGTERM");
      expect((await one.ended).code).toBe(0);
      expect(one.out).toMatch(/concurrency: /);
      expect(one.out).not.toContain("said by");
      expect(one.err.match(/said by/g)).toHaveLength(1);
    },
  );

  test("is a JSON record with --json, at the level of the setting", async () => {
    const { one, id } = await talk(
      "--json",
      "--",
      "worker.redirect_stdouts=true",
      "worker.redirect_stdouts_level=ERROR",
    );
    const line = one.err.split("\n").find((text) => text.includes("said by")) ?? "";
    expect(JSON.parse(line)).toMatchObject({ level: 50, task_id: id, task_name: "p.talk" });
  });

  test("is on stdout by default, as it is", async () => {
    const { one } = await talk();
    expect(one.out).toMatch(/^said by \d+$/m);
    expect(one.err).not.toContain("said by");
  });
});

describe("colours", () => {
  const YELLOW = "\u001b[33msignal received";

  async function onTerminal(...words: readonly string[]): Promise<string> {
    const { NO_COLOR: _none, NODE_OPTIONS: _options, ...inherited } = process.env;
    const one = new Pty([process.execPath, cli, "-A", "tasks.mjs", "worker", "-l", "INFO", ...words], {
      cwd: project.dir,
      env: { ...inherited, TERM: "xterm", CELERY_BROKER_URL: redis.url },
      rows: 40,
      columns: 200,
    });
    started.push(one);
    await eventually("it is ready", () => one.raw.includes("worker ready"), { timeoutMs: 20_000 });
    one.press("\u0003");
    await one.ended;
    return one.raw;
  }

  test("are there on a terminal, and not with --no-color or the setting", async () => {
    expect(await onTerminal()).toContain(YELLOW);
    expect(await onTerminal("--no-color")).not.toContain("\u001b[");
    expect(await onTerminal("--", "worker.log_color=false")).not.toContain("\u001b[");
  });

  test("are not there in a pipe, unless the setting says so", async () => {
    const ended = async (...words: readonly string[]): Promise<string> => {
      const one = project.worker("-c", "1", "-l", "INFO", ...words);
      started.push(one);
      await one.says(/worker ready/);
      one.kill("SIGTERM");
      return (await one.ended).err;
    };
    expect(await ended()).not.toContain("\u001b[");
    expect(await ended("--", "worker.log_color=true")).toContain(YELLOW);
  });
});
