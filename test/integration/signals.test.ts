/** Signals that cross processes: of children, of modules, of tasks whose child could not tell how they ended. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";

let redis: RedisServer;
let project: Project;
let worker: CliProcess | null;

const TASKS = `
import { appendFileSync } from "node:fs";
import { Celery } from ${petiole};
export const app = new Celery("told", { brokerUrl: process.env.BROKER, resultBackend: process.env.BROKER, include: ["./more.mjs"] });
const note = (...words) => appendFileSync(process.env.NOTES, [process.env.PARENT === String(process.ppid) ? "child" : "worker", ...words].join(" ") + "\\n");
process.env.PARENT ??= String(process.pid);
app.signals.importModules.connect(() => note("importModules"));
app.signals.workerBeforeCreateProcess.connect(() => note("before"));
app.signals.workerProcessInit.connect(async () => { await new Promise(setImmediate); note("init"); });
app.signals.workerProcessShutdown.connect(({ pid, exitcode }) => note("shutdown", pid === process.pid, exitcode));
app.signals.workerProcessShutdown.connect(async ({ exitcode }) => { await new Promise(setImmediate); note("later", exitcode); });
app.signals.taskFailure.connect(({ task, error, request }) => note("failure", task.name, error.constructor.name, request.id), { sender: "told.die" });
app.task("told.die", (how) => { if (how === "exit") process.exit(3); throw new TypeError("x"); });
app.task("told.hang", { timeLimit: 0.5 }, () => { for (;;); });
app.task("told.stray", () => { setTimeout(() => { throw new Error("stray"); }); return 1; });
`;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  project.write("tasks.mjs", TASKS);
  project.write(
    "more.mjs",
    `import { appendFileSync } from "node:fs"; appendFileSync(process.env.NOTES, "more\\n");`,
  );
});
afterEach(async () => {
  worker?.kill("SIGKILL");
  await worker?.ended;
  project.remove();
});

const options = (): { cwd: string; env: Record<string, string> } => ({
  cwd: project.dir,
  env: { BROKER: redis.url, NOTES: join(project.dir, "notes") },
});
const notes = (): string[] => readFileSync(join(project.dir, "notes"), "utf8").trim().split("\n");
const send = async (...words: readonly string[]): Promise<string> => {
  const { out } = await petioleRun(["-b", redis.url, "call", ...words], options());
  return out.trim();
};
async function started(...words: readonly string[]): Promise<CliProcess> {
  worker = new CliProcess(["-A", "tasks.mjs", "worker", "-c", "1", "-l", "INFO", ...words], options());
  await worker.says(/tasks: +told\.die/);
  return worker;
}

test.each([
  ["prefork", "child"],
  ["async", "worker"],
])("of modules and processes, in the pool %s", async (pool, where) => {
  const one = await started("-P", pool);
  const own = pool === "prefork" ? ["worker before", "child importModules", "more"] : [];
  expect(notes()).toEqual(["worker importModules", "more", ...own, `${where} init`]);
  one.kill("SIGTERM");
  expect((await one.ended).code).toBe(0);
  expect(notes().slice(-2)).toEqual([`${where} shutdown true 0`, `${where} later 0`]);
});

test("taskFailure comes from the worker where the child died, from the child where the task threw", async () => {
  await started("-P", "prefork");
  const lost = await send("told.die", "-a", '["exit"]');
  await eventually("the loss is told", () =>
    notes().includes(`worker failure told.die WorkerLostError ${lost}`),
  );
  const thrown = await send("told.die", "-a", '["throw"]');
  await eventually("the error is told", () => notes().includes(`child failure told.die TypeError ${thrown}`));
  expect(notes().filter((line) => line.includes("failure"))).toHaveLength(2);
});

test("workerProcessShutdown is told by a child that ends by an exception", async () => {
  await started("-P", "prefork");
  await send("told.stray");
  await eventually("the end is told", () => notes().includes("child shutdown true 1"));
  expect(notes()).not.toContain("child later 1");
});
