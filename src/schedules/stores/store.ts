/**
 * Where a scheduler keeps what has run, so that a restart neither repeats nor skips.
 *
 * | state | take                          | load, save      | release |
 * |-------|-------------------------------|-----------------|---------|
 * | idle  | true -> held; false: another has it | -         | nothing |
 * | held  | true                          | save false: another took it -> idle | -> idle |
 */

/** What is kept of one entry. */
export interface EntryRuns {
  /** The slot of its latest run, or the entry's beginning; ms since the epoch. Python: `last_run_at`. */
  readonly lastRunAtMs: number;
  readonly totalRunCount: number;
}

/** By name of the entry. */
export type StoredRuns = ReadonlyMap<string, EntryRuns>;

export interface ScheduleStore {
  /** For people: `file /srv/celerybeat-schedule`. */
  readonly location: string;
  /** One scheduler at a time has it. Who has it is for people; null: it is ours. */
  take(): Promise<string | null>;
  load(): Promise<StoredRuns>;
  /** All or nothing. false: it was taken from us, and nothing was saved. */
  save(runs: StoredRuns): Promise<boolean>;
  release(): Promise<void>;
}
