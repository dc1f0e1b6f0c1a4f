/** `petiole multi` with real workers in the background. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { type Ended, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";
import { isAlive } from "./pool-support.ts";

let redis: RedisServer;
let project: Project;
const pids = new Set<number>();

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(() => {
  project = makeProject();
  project.write(
    "app.mjs",
    `import { Celery } from ${petiole};
     export const app = new Celery("shop", { brokerUrl: ${JSON.stringify(redis.url)} });
     app.task("m.wait", () => new Promise((resolve) => setTimeout(resolve, 1500)));`,
  );
});
afterEach(() => {
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  pids.clear();
  project.remove();
});

const FILES = ["--pidfile=%n.pid", "--logfile=%n%I.log"] as const;
const multi = (...words: readonly string[]): Promise<Ended> =>
  petioleRun(["-A", "app.mjs", "multi", ...words, ...FILES], { cwd: project.dir });
const text = (name: string): string => {
  const file = join(project.dir, name);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
};
function pidOf(name: string): number {
  const pid = Number(text(`${name}.pid`));
  if (pid > 1) pids.add(pid);
  return pid;
}
const host = hostname();

test("start, a second start, restart, stopwait", async () => {
  const up = await multi("start", "2", "-c", "1", "-c:2", "3", "-l", "INFO");
  const first = [pidOf("celery1"), pidOf("celery2")];
  expect(up.out).toMatch(/^petiole multi v\S+\n> Starting nodes\.\.\.\n/);
  expect(up.out).toContain(`\t> celery1@${host}: OK\n\t> celery2@${host}: OK\n`);
  expect([up.code, up.err]).toEqual([0, ""]);
  expect(first.every(isAlive)).toBe(true);
  await eventually(
    "both are ready",
    () => [1, 2].every((n) => text(`celery${n}.log`).includes("worker ready")),
    {
      timeoutMs: 20_000,
    },
  );
  expect(text("celery2.log")).toMatch(/concurrency: +3/);

  const again = await multi("start", "2");
  expect(again.code).toBe(1);
  expect(again.out).toContain(`celery1@${host}: FAILED`);
  expect(again.err).toContain(`names process ${first[0]}`);

  const restarted = await multi("restart", "2", "-c", "1");
  expect(restarted.code).toBe(0);
  const second = [pidOf("celery1"), pidOf("celery2")];
  expect(second.filter((pid) => first.includes(pid))).toEqual([]);
  expect([first.some(isAlive), second.every(isAlive)]).toEqual([false, true]);

  const down = await multi("stopwait", "2");
  expect(down.out).toContain(`> celery1@${host}: TERM -> ${second[0]}`);
  expect(down.out).toContain(`> Waiting for 2 nodes -> ${second.join(", ")}`);
  expect(down.out).toContain(`\t> celery2@${host}: OK`);
  expect(second.some(isAlive)).toBe(false);
  expect([pidOf("celery1"), pidOf("celery2")]).toEqual([0, 0]);
  expect((await multi("stop", "2")).out).toContain(`> celery1@${host}: DOWN`);
}, 90_000);

test("stopwait waits for running tasks, kill does not", async () => {
  await multi("start", "a", "-l", "INFO");
  const pid = pidOf("a");
  await petioleRun(["-A", "app.mjs", "call", "m.wait"], { cwd: project.dir });
  await eventually("the task runs", () => /m\.wait\[.*received/.test(text("a.log")), { timeoutMs: 20_000 });
  await multi("stop_verify", "a");
  expect(isAlive(pid)).toBe(false);
  expect(text("a.log")).toMatch(/m\.wait\[.*succeeded/);

  await multi("start", "a");
  const other = pidOf("a");
  const { out } = await multi("kill", "a");
  expect(out).toContain(`KILL -> ${other}`);
  await eventually("it is gone", () => !isAlive(other));
}, 60_000);

test("a worker that does not come up is FAILED, with what it said", async () => {
  writeFileSync(join(project.dir, "app.mjs"), "throw new Error('bad day')");
  const { code, out, err } = await multi("start", "a");
  expect(code).toBe(1);
  expect(out).toContain(`a@${host}: FAILED`);
  expect(err).toMatch(/bad day.*\[PET_MODULE_FAILED\]/);
});

test("names, show, get and expand start nothing", async () => {
  expect((await multi("names", "2")).out).toBe(`celery1@${host}\ncelery2@${host}\n`);
  expect((await multi("names", "2", "--json")).out).toBe(`["celery1@${host}","celery2@${host}"]\n`);
  expect((await multi("expand", "/x/%n", "a", "b")).out).toBe("/x/a\n/x/b\n");
  const shown = await multi("show", "a@h", "-Q", "two words");
  expect(shown.out).toMatch(
    /main\.js -A app\.mjs worker --detach -n a@h -Q 'two words' --pidfile=a\.pid --logfile=a/,
  );
  expect((await multi("get", "b", "a@h", "b@h")).out).toContain("-n b@h");
  expect((await multi("get", "c", "a@h")).code).toBe(1);
  const env = { CELERY_MULTI_RANGE_PREFIX: "w", CELERY_MULTI_HOSTNAME: "h" };
  const words = ["multi", "names", "1", "--hostname=own"];
  expect((await petioleRun(words, { cwd: project.dir, env })).out).toBe("w1@own\n");
  expect(pidOf("a")).toBe(0);
});

test("an unknown command is exit code 64", async () => {
  const { code, err } = await multi("strat", "a");
  expect(code).toBe(64);
  expect(err).toMatch(
    /^petiole multi: there is no command "strat" of petiole multi, did you mean "start".*\[PET_USAGE\]\n$/,
  );
});
