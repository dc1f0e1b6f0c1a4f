/** Entries whose runs must not overlap (`overlap: "skip"`): the result of the run before says whether it has ended. */
import type { AppInternals } from "../app/internals.ts";
import { runOf } from "./runs.ts";
import type { Entry } from "./scheduler.ts";

/** Celery's `result_expires`. */
const DAY_SECONDS = 86_400;

/**
 * Whether the entry's latest run has not ended. One that is older than results are kept counts as ended: it was lost.
 *
 * @throws OperationalError when the backend does not answer
 */
export async function isUnfinished(entry: Entry, app: AppInternals): Promise<boolean> {
  const { task, confirmedMs, totalRunCount } = entry;
  if (totalRunCount === 0) return false;
  const keptMs = (app.conf.resultExpires || DAY_SECONDS) * 1000;
  if (app.clock.now() - confirmedMs > keptMs) return false;
  const id = task.options.taskId ?? runOf(app.app.name, task.name, confirmedMs).id;
  const status = await app.app.asyncResult(id).status();
  return !status.ready;
}
