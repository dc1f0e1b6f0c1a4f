/** Two workers and a client that share one file, and nothing else. */
import { Celery, chord } from "petiole";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type SqliteRig, sqliteRig } from "../support/sqlite-rig.ts";
import { CliProcess, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";

let rig: SqliteRig;
let project: Project;
let app: Celery;
let workers: CliProcess[];

beforeEach(async () => {
  rig = await sqliteRig();
  project = makeProject();
  workers = [];
  project.write(
    "app.js",
    `import { Celery } from ${petiole};
export const app = new Celery("s", { brokerUrl: "${rig.url}", resultBackend: "${rig.url}", taskAcksLate: true, workerStateDb: "${rig.url}" });
export const add = app.task("s.add", (x, y) => x + y);
export const total = app.task("s.total", (numbers) => numbers.reduce((sum, one) => sum + one, 0));
export const slow = app.task("s.slow", { bind: true }, async (task, ms) => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return { runs: task.request.deliveryInfo.redelivered };
});`,
  );
  app = new Celery("s", { brokerUrl: rig.url, resultBackend: rig.url, logger: silentLogger });
});
afterEach(async () => {
  for (const worker of workers) worker.kill("SIGKILL");
  await Promise.all(workers.map((worker) => worker.ended));
  await app.close();
  await rig.stop();
  project.remove();
});

async function startWorker(name: string): Promise<CliProcess> {
  const worker = new CliProcess(["-A", "app.js", "worker", "-n", name, "-c", "4", "-l", "info"], {
    cwd: project.dir,
  });
  workers.push(worker);
  await worker.says(/ready/);
  return worker;
}

const SECONDS = { timeout: 30 };

test("tasks, chords and countdowns run, workers know each other and answer", async () => {
  const [one, two] = [await startWorker("one@h"), await startWorker("two@h")];
  const add = app.remote<(x: number, y: number) => number>("s.add");
  const total = app.remote<(numbers: readonly number[]) => number>("s.total");
  const results = await Promise.all(Array.from({ length: 40 }, (_, i) => add.delay(i, 1)));
  expect(await Promise.all(results.map((result) => result.get(SECONDS)))).toEqual(
    Array.from({ length: 40 }, (_, i) => i + 1),
  );
  const sum = await chord([add.s(1, 2), add.s(3, 4), add.s(5, 6)], total.s()).delay();
  expect(await sum.get(SECONDS)).toBe(21);
  const sentAt = Date.now();
  const later = await add.applyAsync([1, 1], { countdown: 1 });
  expect(await later.get(SECONDS)).toBe(2);
  expect(Date.now() - sentAt).toBeGreaterThanOrEqual(1000);
  const pongs = await eventually("both answer", async () => {
    const found = await app.control.inspect({ timeout: 2 }).ping();
    return Object.keys(found ?? {}).length === 2 && found;
  });
  expect(Object.keys(pongs).sort()).toEqual(["one@h", "two@h"]);
  for (const worker of [one, two]) worker.kill("SIGTERM");
  expect((await Promise.all([one.ended, two.ended])).map(({ code }) => code)).toEqual([0, 0]);
  const left = rig.raw().prepare("SELECT count(*) AS n FROM petiole_holders").get();
  expect(left?.["n"]).toBe(0);
});

test("what a killed worker ran is run by another at once", async () => {
  const slow = app.remote<(ms: number) => { runs: boolean }>("s.slow");
  const one = await startWorker("one@h");
  const result = await slow.delay(1500);
  await one.says(/s\.slow\[.*\] received/);
  const two = await startWorker("two@h");
  one.kill("SIGKILL");
  await one.ended;
  const killedAt = Date.now();
  await two.says(/s\.slow\[.*\] received/);
  expect(Date.now() - killedAt).toBeLessThan(10_000);
  expect(await result.get(SECONDS)).toEqual({ runs: true });
});

test("a revoke holds for workers that start later", async () => {
  const add = app.remote<(x: number, y: number) => number>("s.add");
  const one = await startWorker("one@h");
  const revoked = await add.applyAsync([1, 1], { countdown: 3600 });
  await revoked.revoke();
  await eventually("it is in the file", () => {
    const sql = "SELECT count(*) AS n FROM petiole_revoked WHERE member = ?";
    return Number(rig.raw().prepare(sql).get(revoked.id)?.["n"]) > 0;
  });
  one.kill("SIGKILL");
  await one.ended;
  rig.raw().exec("UPDATE petiole_messages SET due = 0 WHERE state = 2");
  await startWorker("other@h");
  await expect(revoked.get(SECONDS)).rejects.toThrow(/revoked/u);
});

test("the command line serves it", async () => {
  const sent = await petioleRun(["-A", "app.js", "call", "s.add", "-a", "[2, 3]"], { cwd: project.dir });
  expect([sent.code, sent.err]).toEqual([0, ""]);
  const listed = await petioleRun(["-A", "app.js", "list", "queues", "--json"], { cwd: project.dir });
  expect(JSON.parse(listed.out)).toMatchObject([{ queue: "celery", messages: 1 }]);
  await startWorker("one@h");
  const result = await petioleRun(["-A", "app.js", "result", sent.out.trim()], { cwd: project.dir });
  expect([result.code, result.out.trim()]).toEqual([0, "5"]);
});
