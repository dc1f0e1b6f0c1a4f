import type { PeriodicTask } from "../../app/periodic.ts";
import { onlyRuns, runsOnly } from "./runs-only.ts";
import type { ListedEntry, LoadedSchedule, ScheduleStore, StoredRuns } from "./store.ts";

/** Forgets with the process. Python: `celery.beat.Scheduler`. */
export class MemoryScheduleStore implements ScheduleStore {
  readonly location = "memory";
  readonly lease = null;
  readonly keepsEntries = false;
  #runs: StoredRuns = new Map();

  async take(): Promise<null> {
    return null;
  }

  async renew(): Promise<boolean> {
    return true;
  }

  async load(tasks: readonly PeriodicTask[]): Promise<LoadedSchedule> {
    return { tasks, runs: this.#runs };
  }

  async save(runs: StoredRuns): Promise<boolean> {
    this.#runs = new Map(runs);
    return true;
  }

  claim(): null {
    return null;
  }

  follow(): void {}

  async release(): Promise<void> {}

  async list(tasks: readonly PeriodicTask[]): Promise<readonly ListedEntry[]> {
    return onlyRuns(tasks, this.#runs);
  }

  put({ name }: PeriodicTask): Promise<never> {
    return runsOnly(this.location, name);
  }

  remove(name: string): Promise<never> {
    return runsOnly(this.location, name);
  }

  async close(): Promise<void> {}
}
