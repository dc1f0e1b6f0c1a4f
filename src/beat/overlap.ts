/** Entries whose runs must not overlap (`overlap: "skip"`): the result of the run before says whether it has ended. */
import type { AppInternals } from "../app/internals.ts";
import type { PeriodicTask } from "../app/periodic.ts";
import { ImproperlyConfigured } from "../errors.ts";
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

/** @throws ImproperlyConfigured for an entry whose runs say nowhere that they have ended */
export function refuseBlindOverlap(app: AppInternals): void {
  for (const task of app.periodicTasks) {
    const why = task.policy.overlap === "skip" ? blind(task, app) : null;
    if (why !== null) {
      throw new ImproperlyConfigured(
        `entry ${JSON.stringify(task.name)}: overlap "skip" asks for the result of the run before, and ${why}`,
      );
    }
  }
}

const SEVERAL: readonly unknown[] = ["chain", "group", "chord", "chunks"];

function blind({ task, options, signature }: PeriodicTask, { conf, registry }: AppInternals): string | null {
  if (conf.resultBackend === null) return "the app has no result backend: set resultBackend";
  if (SEVERAL.includes(signature?.subtaskType)) {
    return `a ${signature?.subtaskType} has several: let a task of its own send it`;
  }
  const asked = options.ignoreResult ?? signature?.options.ignoreResult;
  const ignores = asked ?? registry.get(task)?.options.ignoreResult ?? conf.taskIgnoreResult;
  return ignores === true ? `${task} stores none (ignoreResult)` : null;
}
