/** Which tasks this service has sent. Celery itself cannot tell a task that waits from an id that nobody ever sent. */
import type { Queries } from "./database.ts";

export interface Submission {
  readonly task_id: string;
  readonly task: string;
  /** ISO 8601. */
  readonly submitted_at: string;
}

export async function addSubmission(queries: Queries, taskId: string, task: string): Promise<void> {
  await queries.query("INSERT INTO submissions (task_id, task, submitted_at) VALUES ($1, $2, $3)", [
    taskId,
    task,
    new Date().toISOString(),
  ]);
}

export async function removeSubmission(queries: Queries, taskId: string): Promise<void> {
  await queries.query("DELETE FROM submissions WHERE task_id = $1", [taskId]);
}

export async function wasSubmitted(queries: Queries, taskId: string): Promise<boolean> {
  return (await queries.query("SELECT task_id FROM submissions WHERE task_id = $1", [taskId])).length > 0;
}

/** The newest first. */
export function recentSubmissions(queries: Queries, limit: number): Promise<Submission[]> {
  return queries.query("SELECT task_id, task, submitted_at FROM submissions ORDER BY number DESC LIMIT $1", [
    limit,
  ]);
}
