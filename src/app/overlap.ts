/** Entries whose runs must not overlap (`overlap: "skip"`) ask for the result of the run before. */
import { ImproperlyConfigured } from "../errors.ts";
import type { AppInternals } from "./internals.ts";
import type { PeriodicTask } from "./periodic.ts";

type Host = Pick<AppInternals, "conf" | "registry">;

/** @throws ImproperlyConfigured for an entry whose runs say nowhere that they have ended */
export function refuseBlindOverlap(task: PeriodicTask, host: Host): void {
  const why = task.policy.overlap === "skip" ? blind(task, host) : null;
  if (why === null) return;
  throw new ImproperlyConfigured(
    `entry ${JSON.stringify(task.name)}: overlap "skip" asks for the result of the run before, and ${why}`,
  );
}

const SEVERAL: readonly unknown[] = ["chain", "group", "chord", "chunks"];

function blind({ task, options, signature }: PeriodicTask, { conf, registry }: Host): string | null {
  if (conf.resultBackend === null) return "the app has no result backend: set resultBackend";
  if (SEVERAL.includes(signature?.subtaskType)) {
    return `a ${signature?.subtaskType} has several: let a task of its own send it`;
  }
  const asked = options.ignoreResult ?? signature?.options.ignoreResult;
  const ignores = asked ?? registry.get(task)?.options.ignoreResult ?? conf.taskIgnoreResult;
  return ignores === true
    ? `${task} stores none (ignoreResult): set ignoreResult: false in options of the entry, or of the task`
    : null;
}
