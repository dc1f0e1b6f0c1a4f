/** What is known of a task, for the routes that tell it. */
import type { TaskStatus } from "petiole";
import { app } from "../app.ts";
import { db } from "../db/index.ts";
import { wasSubmitted } from "../db/submissions.ts";
import { RequestError } from "../errors.ts";

/** Schema of a path's task id: a UUID. */
export const taskIdParams = {
  type: "object",
  properties: { task_id: { type: "string", format: "uuid" } },
  required: ["task_id"],
};

export interface TaskIdParams {
  readonly task_id: string;
}

/** @throws RequestError 404 where nobody has sent such a task */
export async function statusOf(taskId: string): Promise<TaskStatus<unknown>> {
  const status = await app.asyncResult(taskId).status();
  // PENDING is also what Celery says of an id that does not exist.
  if (status.state === "PENDING" && !(await wasSubmitted(db, taskId))) {
    throw new RequestError(404, "task_id", `there is no task ${taskId}`);
  }
  return status;
}
