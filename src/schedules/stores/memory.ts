import type { PeriodicTask } from "../../app/periodic.ts";
import type { LoadedSchedule, ScheduleStore, StoredRuns } from "./store.ts";

/** Forgets with the process. Python: `celery.beat.Scheduler`. */
export class MemoryScheduleStore implements ScheduleStore {
  readonly location = "memory";
  readonly lease = null;
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

  async close(): Promise<void> {}
}
