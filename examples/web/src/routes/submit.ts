import { randomUUID } from "node:crypto";
import { OperationalError, type RemoteTask, type SendOptions } from "petiole";
import type { Queries } from "../db/database.ts";
import { db } from "../db/index.ts";
import { addSubmission, removeSubmission } from "../db/submissions.ts";

/** Sends a task, and notes that it was sent. Gives its id. */
export async function submit<P extends readonly unknown[]>(
  task: RemoteTask<P, unknown>,
  args: P,
  options?: SendOptions,
): Promise<string> {
  return noted(task.name, (taskId) => task.applyAsync(args, { ...options, taskId }));
}

/** Noted before it is sent: where the database is away, nothing is sent that nobody could ask for. */
export async function noted(name: string, send: (taskId: string) => Promise<unknown>): Promise<string> {
  const taskId = randomUUID();
  await addSubmission(db, taskId, name);
  try {
    await send(taskId);
  } catch (error) {
    const mayBeSent = error instanceof OperationalError && error.outcome === "unknown";
    if (!mayBeSent) await removeSubmission(db, taskId);
    throw error;
  }
  return taskId;
}

/** The same within a transaction: the task is sent when it commits, and never when it is rolled back. */
export async function submitOnCommit<P extends readonly unknown[]>(
  tx: Queries,
  task: RemoteTask<P, unknown>,
  args: P,
): Promise<string> {
  const { id } = task.delayOnCommit(...args);
  await addSubmission(tx, id, task.name);
  return id;
}
