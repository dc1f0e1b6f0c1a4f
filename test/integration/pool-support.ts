/** A project with an app whose tasks run in children: `tasks.mjs`, and a client for it. */
import { readFileSync } from "node:fs";
import { Celery } from "petiole";
import { silentLogger } from "../../src/base/logger.ts";
import { CliProcess, makeProject, type Project, petiole } from "./cli-support.ts";

/** Of the app in `tasks.mjs`. */
const TASKS = `
import { appendFileSync, existsSync } from "node:fs";
import { Celery, currentTask } from ${petiole};

export const app = new Celery("pools", { brokerTransportOptions: { lease: 5 } });
export const add = app.task("p.add", (x, y) => x + y);
export const pid = app.task("p.pid", () => process.pid);
export const echo = app.task("p.echo", (value) => value);
export const fail = app.task("p.fail", () => { throw new RangeError("no"); });
export const exit = app.task("p.exit", (code) => process.exit(code));
export const late = app.task("p.late", { acksLate: true, rejectOnWorkerLost: true }, async (n, ms, file) => {
  if (file && !globalThis.told) appendFileSync(file, process.pid + "\\n");
  globalThis.told = true;
  await new Promise((resolve) => setTimeout(resolve, ms));
  return n;
});
export const limited = app.task("p.limited", { maxConcurrency: 1 }, (how) => {
  while (how === "spin") Math.random();
  return how;
});
export const poison = app.task("p.poison", { acksLate: true, rejectOnWorkerLost: true }, () => process.exit(9));
export const spin = app.task("p.spin", (file) => {
  if (file) appendFileSync(file, process.pid + "\\n");
  for (;;) Math.random();
});
export const block = app.task("p.block", (file) => {
  // Holds the loop up without a load for the machine.
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(file)) Atomics.wait(cell, 0, 0, 20);
  return "done";
});
export const wait = app.task("p.wait", async () => {
  const { signal } = currentTask();
  await new Promise((resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
});
export const sleep = app.task("p.sleep", async (ms) => {
  await new Promise((resolve) => setTimeout(resolve, ms));
});
export const parent = app.task("p.parent", async () => {
  const child = await add.delay(1, 2);
  const { id, rootId } = currentTask().request;
  return { id, rootId, child: child.id };
});
export const progress = app.task("p.progress", async function () {
  await currentTask().updateState("PROGRESS", { half: new Date(5) });
  return process.pid;
});
export const stubborn = app.task("p.retry", () => {
  const task = currentTask();
  if (task.request.retries < 2) throw task.retry({ countdown: 0, args: [], options: { priority: 3 } });
  return task.request.retries;
});
export const talk = app.task("p.talk", () => {
  console.log("said by " + process.pid);
  currentTask().log.warn({ colour: "red", err: new Error("inner") }, "a line of a task");
});
export const told = app.task("p.told", { storeLogs: true }, async (spin) => {
  const { log } = currentTask();
  for (let i = 0; i < 3; i += 1) log.info({ i }, "a kept line");
  if (spin) for (;;) Math.random();
});
export const bad = app.task("p.bad", () => ({ inside: () => {} }));
export const heap = app.task("p.heap", () => {
  const kept = [];
  for (;;) kept.push(Array.from({ length: 1000 }, (_, n) => ({ n })));
});
export const grow = app.task("p.grow", () => {
  globalThis.kept = Buffer.alloc(80_000_000, 1);
  return process.pid;
});
`;

export interface PoolProject extends Project {
  /** The program, in this project. */
  worker(...words: readonly string[]): CliProcess;
  /** A client of the app, in this process. */
  client(): Celery;
  /** The module of the app. */
  readonly module: string;
}

export function makePoolProject(redisUrl: string): PoolProject {
  const project = makeProject();
  const module = project.write("tasks.mjs", TASKS);
  const env = { CELERY_BROKER_URL: `${redisUrl}/0`, CELERY_RESULT_BACKEND: `${redisUrl}/1` };
  return {
    ...project,
    module,
    worker: (...words) => new CliProcess(["-A", "tasks.mjs", "worker", ...words], { cwd: project.dir, env }),
    client: () =>
      new Celery("client", {
        brokerUrl: env.CELERY_BROKER_URL,
        resultBackend: env.CELERY_RESULT_BACKEND,
        logger: silentLogger,
      }),
  };
}

/** Processes that a process has started, as the system tells. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
