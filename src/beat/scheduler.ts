/**
 * Which entry runs when. It keeps no clock running: the service asks it what is due. Python: `celery.beat.Scheduler`.
 *
 * | an entry is | due                                  | sent                 | given up                       |
 * |-------------|--------------------------------------|----------------------|--------------------------------|
 * | waiting     | -> sending, with the slot; too late (`beatCronStartingDeadline`): -> waiting | | |
 * | sending     | the slot before is given up; -> sending, with the new slot | -> waiting; confirmed | -> waiting; confirmed |
 *
 * What is saved is the slot that was confirmed: one that was being sent when the process ended is sent again, with the same id.
 */
import type { PeriodicTask } from "../app/periodic.ts";
import { DueHeap } from "../base/due-heap.ts";
import { dueRun, nextRun } from "../schedules/due.ts";
import type { EntryRuns, StoredRuns } from "../schedules/stores/store.ts";

export interface Entry {
  readonly task: PeriodicTask;
  /** The slot that it counts from. */
  lastRunAtMs: number;
  /** The latest slot that needs no further attempt. */
  confirmedMs: number;
  totalRunCount: number;
}

/** An entry that is to be sent now. */
export interface DueEntry {
  readonly entry: Entry;
  readonly slotMs: number;
  /** Of a crontab, later than the setting allows: it is not to be sent. */
  readonly tooLate: boolean;
}

export interface SchedulerOptions {
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
  /** `beat_cron_starting_deadline`; null: none. */
  readonly deadlineMs: number | null;
}

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #entries = new Map<string, Entry>();
  #heap = new DueHeap<Entry>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** What is not stored begins now: its first run is the first slot after. */
  begin(tasks: readonly PeriodicTask[], stored: StoredRuns, nowMs: number): void {
    this.#entries.clear();
    this.#heap = new DueHeap();
    for (const task of tasks) this.#add(task, stored.get(task.name) ?? null, nowMs);
  }

  /** Takes the place of one of its name. Runs null: those of that one; a slot of it that is being sent is due again, under its id. */
  put(task: PeriodicTask, runs: EntryRuns | null, nowMs: number): void {
    const before = this.#entries.get(task.name);
    const kept = before && { lastRunAtMs: before.confirmedMs, totalRunCount: before.totalRunCount };
    this.#add(task, runs ?? kept ?? null, nowMs);
  }

  remove(name: string): void {
    this.#entries.delete(name);
  }

  /** When there is something to do; null: never. */
  nextMs(): number | null {
    return this.#heap.nextDueMs();
  }

  /** What has become due, earliest first. Runs that were missed are one: the latest. */
  takeDue(nowMs: number): DueEntry[] {
    const { zone, deadlineMs } = this.#options;
    const due: DueEntry[] = [];
    for (const entry of this.#heap.takeDue(nowMs)) {
      if (this.#entries.get(entry.task.name) !== entry) continue;
      const { schedule } = entry.task;
      const slotMs = dueRun(schedule, { lastRunAtMs: entry.lastRunAtMs, nowMs, zone });
      if (slotMs !== null) {
        entry.lastRunAtMs = slotMs;
        const late = schedule.type === "crontab" && deadlineMs !== null && nowMs - slotMs > deadlineMs;
        if (late) entry.confirmedMs = slotMs;
        else entry.totalRunCount += 1;
        due.push({ entry, slotMs, tooLate: late });
      }
      this.#plan(entry);
    }
    return due;
  }

  /** For the store. */
  runs(): StoredRuns {
    return new Map(
      [...this.#entries].map(([name, { confirmedMs, totalRunCount }]) => [
        name,
        { lastRunAtMs: confirmedMs, totalRunCount },
      ]),
    );
  }

  #add(task: PeriodicTask, runs: EntryRuns | null, nowMs: number): void {
    const lastRunAtMs = runs?.lastRunAtMs ?? nowMs;
    const entry: Entry = {
      task,
      lastRunAtMs,
      confirmedMs: lastRunAtMs,
      totalRunCount: runs?.totalRunCount ?? 0,
    };
    this.#entries.set(task.name, entry);
    this.#plan(entry);
  }

  #plan(entry: Entry): void {
    this.#heap.add(nextRun(entry.task.schedule, entry.lastRunAtMs, this.#options.zone), entry);
  }
}
