/**
 * Where a scheduler keeps what has run, so that a restart neither repeats nor skips; some keep entries, too.
 *
 * | state | take                         | renew                 | load, save                          | release |
 * |-------|------------------------------|-----------------------|-------------------------------------|---------|
 * | idle  | null -> held; else who has it | false                 | -                                   | nothing |
 * | held  | null                         | true; false -> idle   | save false: another took it -> idle | -> idle |
 *
 * Each `take` that gives null is a reign of its own: what an earlier one still has to send is refused where the broker can ask.
 */
import type { PeriodicTask } from "../../app/periodic.ts";
import type { RedisPublishClaim } from "../../redis/publish-claim.ts";
import type { SqlitePublishClaim } from "../../sqlite/index.ts";

/** What is kept of one entry. */
export interface EntryRuns {
  /** The slot of its latest run, or the entry's beginning; ms since the epoch. Python: `last_run_at`. */
  readonly lastRunAtMs: number;
  readonly totalRunCount: number;
}

/** By name of the entry. */
export type StoredRuns = ReadonlyMap<string, EntryRuns>;

/** How long a silent holder keeps the store. */
export interface LeaseTerms {
  readonly ttlMs: number;
  readonly renewMs: number;
  /** How often those that stand by ask. */
  readonly askMs: number;
}

/** What is to be scheduled. */
export interface LoadedSchedule {
  readonly tasks: readonly PeriodicTask[];
  readonly runs: StoredRuns;
}

/** What another program has changed. */
export type ScheduleChange =
  /** New, or another than before. Runs null: as they were. */
  | { readonly kind: "put"; readonly task: PeriodicTask; readonly runs: EntryRuns | null }
  /** Removed, or disabled. */
  | { readonly kind: "gone"; readonly name: string };

/** An entry as operators see it. */
export type ListedEntry =
  | {
      readonly kind: "entry";
      readonly name: string;
      readonly task: PeriodicTask;
      readonly enabled: boolean;
      /** null: it has never run. */
      readonly runs: EntryRuns | null;
      /** It is a program's own: its next start writes it anew. */
      readonly own: boolean;
    }
  | { readonly kind: "unreadable"; readonly name: string; readonly reason: string };

export interface ScheduleStore {
  /** For people: `file /srv/celerybeat-schedule`. */
  readonly location: string;
  /** null: it is held as long as its holder lives, and needs no renewal. */
  readonly lease: LeaseTerms | null;
  /** false: its entries are its program's, and nobody puts or removes one. */
  readonly keepsEntries: boolean;
  /** One scheduler at a time has it. Who has it is for people; null: it is ours. */
  take(): Promise<string | null>;
  /** false: it was taken from us. */
  renew(): Promise<boolean>;
  /** `tasks`: those of the program; a store of entries takes them in, and gives all that it has. */
  load(tasks: readonly PeriodicTask[], nowMs: number): Promise<LoadedSchedule>;
  /** All or nothing. false: it was taken from us, and nothing was saved. */
  save(runs: StoredRuns): Promise<boolean>;
  /** What notes a run in the step that publishes it; null: `save` alone notes it. */
  claim(task: PeriodicTask, runs: EntryRuns): RedisPublishClaim | SqlitePublishClaim | null;
  /** Told of changes while the store is held. Called once, before `take`. */
  follow(listener: (changes: readonly ScheduleChange[]) => void): void;
  release(): Promise<void>;

  // For operators, whoever holds it.
  /** `tasks`: those of the program. */
  list(tasks: readonly PeriodicTask[]): Promise<readonly ListedEntry[]>;
  /** New, or in place of one of its name, whose runs it keeps. Who holds the store hears of it. Where it keeps entries. */
  put(task: PeriodicTask, enabled: boolean): Promise<void>;
  /** false: there is none. */
  remove(name: string): Promise<boolean>;
  /** Ends what the others opened. */
  close(): Promise<void>;
}
