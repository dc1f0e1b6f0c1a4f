/** Whether what this service needs answers: for `/readyz`, and said when the web server starts. */
import { app } from "./app.ts";
import { db } from "./db/index.ts";

export interface Unreachable {
  readonly part: string;
  readonly reason: string;
  /** The environment variable that says where it is. */
  readonly variable: string;
}

/** No task has it: asking for it reaches the result backend and finds nothing. */
const NO_TASK = "00000000-0000-0000-0000-000000000000";

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
        (error: unknown) => [{ part, reason: (error as Error).message, variable }],
      ),
    ),
  );
  return found.flat();
}
