/** Whether what this service needs answers: for `/readyz`, and said when the web server starts. */
import { app } from "./app.ts";
import { DatabaseUnavailable } from "./db/database.ts";
import { db } from "./db/index.ts";

export interface Unreachable {
  readonly part: string;
  /** And what to do. */
  readonly reason: string;
}

/** No task has it: asking for it reaches the result backend and finds nothing. */
const NO_TASK = "00000000-0000-0000-0000-000000000000";

/** `variable` says where it is. */
const CHECKS: readonly (readonly [part: string, variable: string, check: () => Promise<unknown>])[] = [
  ["database", "DATABASE_URL", () => db.query("SELECT 1 AS one")],
  // Asks the broker, and no worker.
  ["broker", "CELERY_BROKER_URL", () => app.control.pausedQueues()],
  ["result backend", "CELERY_RESULT_BACKEND", () => app.asyncResult(NO_TASK).state()],
];

/** A connection that was lost is waited for longer than whoever asks for `/readyz` waits. */
const ANSWER_MS = 3000;

function inTime(answer: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

export async function unreachable(): Promise<readonly Unreachable[]> {
  const found = await Promise.all(
    CHECKS.map(async ([part, variable, check]) =>
      inTime(check()).then(
        () => [],
        (error: unknown) => [{ part, reason: explain(error as Error, variable) }],
      ),
    ),
  );
  return found.flat();
}

function explain(error: Error, variable: string): string {
  if (error instanceof DatabaseUnavailable) return error.message;
  return `${error.message}. Start it, or set ${variable} to another one`;
}
