import type { RemoteTask, SendOptions } from "petiole";
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
