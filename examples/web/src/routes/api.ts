/** `/api/…`: what a page needs to start a long task and follow it. */
import type { FastifyInstance } from "fastify";
import { longRunningTask } from "../tasks/long-running.ts";
import { submit } from "./submit.ts";
import { statusOf, type TaskIdParams, taskIdParams } from "./task-status.ts";

const startTaskBody = {
  type: ["object", "null"],
  properties: { duration: { type: "integer", minimum: 1, maximum: 3600 } },
  additionalProperties: false,
};

export async function apiRoutes(server: FastifyInstance): Promise<void> {
  server.post<{ Body: { duration?: number } | null }>(
    "/start_task",
    { schema: { body: startTaskBody } },
    async ({ body }, reply) => {
      const taskId = await submit(longRunningTask, [body?.duration ?? 10]);
      return reply.code(202).send({ task_id: taskId, status: "submitted" });
    },
  );

  server.get<{ Params: TaskIdParams }>(
    "/task/:task_id/status",
    { schema: { params: taskIdParams } },
    async ({ params: { task_id: taskId } }) => {
      const status = await statusOf(taskId);
      const result = !status.ready
        ? status.info
        : status.state === "SUCCESS"
          ? status.result
          : status.error.message;
      return { task_id: taskId, status: status.state, result: result ?? null };
    },
  );
}
