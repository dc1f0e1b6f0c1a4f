/** Stores that keep what has run, and whose entries are their program's. */
import type { PeriodicTask } from "../../app/periodic.ts";
import { PetioleError } from "../../errors.ts";
import type { ListedEntry, StoredRuns } from "./store.ts";

export function onlyRuns(tasks: readonly PeriodicTask[], runs: StoredRuns): readonly ListedEntry[] {
  return tasks.map((task) => ({
    kind: "entry",
    name: task.name,
    task,
    enabled: true,
    runs: runs.get(task.name) ?? null,
    own: true,
  }));
}

/** @throws PetioleError: there is nothing to change an entry in */
export async function runsOnly(location: string, name: string): Promise<never> {
  throw new PetioleError(
    "PET_SCHEDULE",
    `entry ${JSON.stringify(name)} cannot be changed: the schedule (${location}) keeps what has run, and its entries are in the app: change them there, or keep them in Redis (-S redbeat, beatScheduler)`,
  );
}
