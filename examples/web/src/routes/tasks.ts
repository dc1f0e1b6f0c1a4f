/** `/tasks/…`: sends tasks, tells what became of them, revokes them. */
import type { FastifyInstance } from "fastify";
import { chain, OperationalError } from "petiole";
import { app } from "../app.ts";
import { db } from "../db/index.ts";
import { recentSubmissions } from "../db/submissions.ts";
import { Unavailable } from "../errors.ts";
import { add, hello, multiply } from "../tasks/arithmetic.ts";
import { debugTask } from "../tasks/debug.ts";
import { longRunningTask } from "../tasks/long-running.ts";
import { wholeNumber } from "./input.ts";
import { noted, submit } from "./submit.ts";
import { statusOf, type TaskIdParams, taskIdParams } from "./task-status.ts";

/** The product of two of them is exact. */
const OPERAND = { min: 0, max: 1_000_000 };
const SECONDS = { min: 1, max: 3600, fallback: 10 };
const LISTED = 100;

export async function taskRoutes(server: FastifyInstance): Promise<void> {
  server.get("/hello/", async () => {
    return { task_id: await submit(hello, []), status: "Task triggered" };
  });

  server.get("/add/", async ({ query }) => {
    const x = wholeNumber(query, "x", OPERAND);
    const y = wholeNumber(query, "y", OPERAND);
    return { task_id: await submit(add, [x, y]), status: "Task triggered", x, y };
  });

  server.get("/multiply/", async ({ query }) => {
    const x = wholeNumber(query, "x", OPERAND);
    const y = wholeNumber(query, "y", OPERAND);
    return { task_id: await submit(multiply, [x, y]), status: "Task triggered", x, y };
  });

  server.get("/long/", async ({ query }) => {
    const duration = wholeNumber(query, "duration", SECONDS);
    return { task_id: await submit(longRunningTask, [duration]), status: "Long task triggered", duration };
  });

  // (x + 10) * 2, in two tasks. The id is the last one's.
  server.get("/chain/", async ({ query }) => {
    const x = wholeNumber(query, "x", OPERAND);
    const both = chain(add.s(x, 10), multiply.s(2));
    const taskId = await noted(multiply.name, (id) => both.applyAsync([], { taskId: id }));
    return { task_id: taskId, status: "Chain triggered", x };
  });

  server.get("/future/", async ({ query }) => {
    const eta = wholeNumber(query, "eta", SECONDS);
    const taskId = await submit(hello, [], { countdown: eta });
    return { task_id: taskId, status: "Future task triggered", eta };
  });

  server.get("/debug/", async () => {
    return { task_id: await submit(debugTask, []), status: "Task triggered" };
  });

  server.get<{ Params: TaskIdParams }>(
    "/status/:task_id/",
    { schema: { params: taskIdParams } },
    async ({ params: { task_id: taskId } }) => {
      const status = await statusOf(taskId);
      const known = { task_id: taskId, state: status.state, ready: status.ready };
      if (!status.ready) return { ...known, successful: null, failed: null, info: status.info };
      const ended = { ...known, successful: status.state === "SUCCESS", failed: status.state === "FAILURE" };
      if (status.state === "SUCCESS") return { ...ended, result: status.result, info: status.result };
      return { ...ended, error: status.error.message, info: status.error.message };
    },
  );

  server.post<{ Params: TaskIdParams }>(
    "/revoke/:task_id/",
    { schema: { params: taskIdParams } },
    async ({ params: { task_id: taskId } }) => {
      await statusOf(taskId);
      await revoke(taskId);
      return { task_id: taskId, status: "Task revoked" };
    },
  );

  server.get("/list/", async () => {
    const registered = [...app.tasks.keys()].filter((name) => !name.startsWith("celery.")).sort();
    return { tasks: await recentSubmissions(db, LISTED), registered };
  });
}

/** Workers may have been told although the state DB was not, or the other way round. Twice is once. */
async function revoke(taskId: string): Promise<void> {
  try {
    await app.control.revoke(taskId, { terminate: true });
  } catch (cause) {
    if (!(cause instanceof OperationalError)) throw cause;
    const what =
      "the broker or the state DB does not answer: whether the task is revoked is not known, try again";
    throw new Unavailable(what, { cause });
  }
}
