/** What `app.schedules` takes and gives. */
import type { Schedule } from "../schedules/schedule.ts";
import type { SendOptions } from "../task/send-types.ts";
import type { BeatEntry } from "./periodic.ts";
import type { AsyncResult } from "./result-types.ts";

/** An entry of the schedule, as it stands. */
export interface ScheduleInfo {
  readonly kind: "entry";
  readonly name: string;
  readonly task: string;
  readonly schedule: Schedule;
  /** As Celery shows it: `<crontab: 0 4 * * * (m/h/dM/MY/d)>`. */
  readonly when: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: SendOptions;
  readonly enabled: boolean;
  /** null: it has never run. */
  readonly lastRunAt: Date | null;
  readonly totalRunCount: number;
  /** null: it is disabled, or has no further run. */
  readonly nextRunAt: Date | null;
  /** It is an app's own, of `beatSchedule` or `addPeriodicTask`: the next start of a scheduler writes it anew, `enabled` aside. */
  readonly own: boolean;
}

/** An entry that does not run, for it cannot be read. */
export interface UnreadableSchedule {
  readonly kind: "unreadable";
  readonly name: string;
  readonly reason: string;
}

/**
 * The entries of the schedule that schedulers of this app run (`beatScheduler`). What is changed counts at once for the one that runs. Python has
 * no counterpart beside RedBeat's and Django's classes.
 *
 * Where the schedule keeps what has run alone (a file), its entries are looked at and run by hand, not changed.
 */
export interface Schedules {
  /** By name. */
  list(): Promise<readonly (ScheduleInfo | UnreadableSchedule)[]>;
  /** Rejects with `PET_SCHEDULE` when there is none, as the others. */
  get(name: string): Promise<ScheduleInfo | UnreadableSchedule>;
  /** Rejects when there is one of this name. */
  add(name: string, entry: BeatEntry): Promise<ScheduleInfo>;
  /** What is left out stays as it is; its runs are kept. */
  edit(name: string, changes: Partial<BeatEntry>): Promise<ScheduleInfo>;
  /** It runs again; its `catchUp` says what becomes of what it missed meanwhile. */
  enable(name: string): Promise<ScheduleInfo>;
  /** It stays, and does not run. */
  disable(name: string): Promise<ScheduleInfo>;
  /** Sends its task now, besides its runs and under an id of its own; disabled or not. */
  run(name: string): Promise<AsyncResult<unknown>>;
  /** What it has sent stays queued. */
  remove(name: string): Promise<void>;
}
