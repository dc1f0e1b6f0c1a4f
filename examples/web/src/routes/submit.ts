import type { RemoteTask, SendOptions } from "petiole";
import type { Queries } from "../db/database.ts";
import { db } from "../db/index.ts";
import { addSubmission } from "../db/submissions.ts";

/** Sends a task, and notes that it was sent. Gives its id. */
export async function submit<P extends readonly unknown[]>(
  task: RemoteTask<P, unknown>,
  args: P,
  options?: SendOptions,
): Promise<string> {
  const { id } = await task.applyAsync(args, options);
  await addSubmission(db, id, task.name);
  return id;
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
