import type { ScheduleStore, StoredRuns } from "./store.ts";

/** Forgets with the process. Python: `celery.beat.Scheduler`. */
export class MemoryScheduleStore implements ScheduleStore {
  readonly location = "memory";
  #runs: StoredRuns = new Map();

  async take(): Promise<null> {
    return null;
  }

  async load(): Promise<StoredRuns> {
    return this.#runs;
  }

  async save(runs: StoredRuns): Promise<boolean> {
    this.#runs = new Map(runs);
    return true;
  }

  async release(): Promise<void> {}
}
