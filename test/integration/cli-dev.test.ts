/** `petiole dev`: real processes in a folder of a user. That it reloads is --watch: watch.test.ts. */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Celery } from "petiole";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";
import { childrenOf, isAlive } from "./pool-support.ts";

let redis: RedisServer;
let project: Project;
const started: CliProcess[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(() => {
  project = makeProject();
  mkdirSync(`${project.dir}/src`);
});
afterEach(async () => {
  for (const one of started) {
    for (const pid of childrenOf(one.child.pid ?? 0)) process.kill(pid, "SIGKILL");
    one.kill("SIGKILL");
  }
  await Promise.all(started.splice(0).map((one) => one.ended));
  project.remove();
});

const taskModule = (settings: string, result = "1"): string => `import { Celery } from ${petiole};
  export const app = new Celery("mine", { ${settings} });
  app.task("mine.answer", () => ${result});`;

function dev(env: Readonly<Record<string, string>>, ...words: readonly string[]): CliProcess {
  const one = new CliProcess([...words, "dev"], { cwd: project.dir, env });
  started.push(one);
  return one;
}

const onRedis = (): Readonly<Record<string, string>> => ({
  CELERY_BROKER_URL: redis.url,
  CELERY_RESULT_BACKEND: redis.url,
});

test("it finds the task module, runs its tasks, reloads it when it changes, and Ctrl-C ends all", async () => {
  // The server of the project, not its tasks.
  project.write("app.mjs", "export const app = 1;");
  project.write("src/tasks.mjs", taskModule(""));
  const one = dev(onRedis());
  await one.says(/worker ready/);
  expect(one.out).toMatch(/mine\.answer/);
  expect(one.out).toContain(redis.url);
  const client = new Celery("client", {
    brokerUrl: redis.url,
    resultBackend: redis.url,
    logger: silentLogger,
  });
  const answer = async (): Promise<unknown> =>
    (await client.sendTask("mine.answer", [])).get({ timeout: 20 });
  try {
    expect(await answer()).toBe(1);
    project.write("src/tasks.mjs", taskModule("", "2"));
    await eventually("it has started anew", () => (one.err.match(/worker ready/g)?.length ?? 0) === 2, {
      timeoutMs: 20_000,
    });
    expect(await answer()).toBe(2);
  } finally {
    await client.close();
  }
  const children = childrenOf(one.child.pid ?? 0);
  one.kill("SIGINT");
  expect((await one.ended).code).toBe(0);
  expect(children.filter(isAlive)).toEqual([]);
});

test("without a brokerUrl it takes a file, and says how a program that sends tasks finds it", async () => {
  project.write("app.mjs", taskModule(""));
  const one = dev({});
  await one.says(/worker ready/);
  const [, url = ""] = /export CELERY_BROKER_URL=(\S+) CELERY_RESULT_BACKEND=\1\n/.exec(one.out) ?? [];
  expect(url).toBe("sqlite://./.petiole/dev.db");
  const sent = await petioleRun(["-A", "app.mjs", "call", "mine.answer"], {
    cwd: project.dir,
    env: { CELERY_BROKER_URL: url, CELERY_RESULT_BACKEND: url },
  });
  expect({ code: sent.code, err: sent.err }).toEqual({ code: 0, err: "" });
  const result = await petioleRun(["result", sent.out.trim(), "--timeout", "20"], {
    cwd: project.dir,
    env: { CELERY_RESULT_BACKEND: url },
  });
  expect({ code: result.code, out: result.out }).toEqual({ code: 0, out: "1\n" });
});

test("the schedule of the project is run, too", async () => {
  const entry = '{ task: "mine.answer", schedule: 1 }';
  project.write("app.mjs", taskModule(`beatSchedule: { often: ${entry} }`));
  const one = dev({});
  await one.says(/Task mine\.answer\[.*succeeded/);
  expect(one.text).toContain("Scheduler: Sending due task often (mine.answer)");
  const kept = join(project.dir, ".petiole/celerybeat-schedule");
  await eventually("what has run is kept", () => existsSync(kept));
  expect(readdirSync(project.dir).toSorted()).toEqual([".petiole", "app.mjs", "package.json", "src"]);
});

test("the broker and the schedule's file that the project names are kept, also those of a settings module", async () => {
  project.write(
    "settings.mjs",
    `export const brokerUrl = "${redis.url}/3";
     export const beatScheduleFilename = "src/runs";
     export const beatSchedule = { often: { task: "mine.answer", schedule: 60 } };`,
  );
  project.write("tasks.mjs", `${taskModule("")} app.configFromObject("settings.mjs");`);
  const one = dev({});
  await one.says(/worker ready/);
  expect(one.out).toContain(`${redis.url}/3`);
  expect(one.out).not.toContain("No brokerUrl is set");
  one.kill("SIGINT");
  expect((await one.ended).code).toBe(0);
  expect(existsSync(join(project.dir, "src/runs"))).toBe(true);
  expect(existsSync(join(project.dir, ".petiole"))).toBe(false);
});

test("without a task module it says where it looked, and what to do", async () => {
  project.write("src/app.mjs", "export const app = 1;");
  const { code, err } = await petioleRun(["dev"], { cwd: project.dir });
  expect(code).toBe(64);
  expect(err).toContain(`no task module was found in ${project.dir}: looked for app, tasks, celery, index`);
  expect(err).toContain(
    "src/app.mjs has no Celery app. Name yours, as in petiole -A lib/tasks.ts dev, or begin a project with petiole init",
  );
  expect(err).toContain("[PET_APP_NOT_FOUND]");
});
