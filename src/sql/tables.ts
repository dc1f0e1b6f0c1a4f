/**
 * The tables of django-celery-results 2.6 and django-celery-beat 2.9, as their last migrations leave them. No column has a
 * default of the database: an INSERT gives every one that is not null, but `id`.
 */
import type { Generated } from "kysely";

/** UTC, `YYYY-MM-DD HH:MM:SS[.ffffff]`: the same on all databases, sorts as time. See `time.ts`. */
export type SqlTime = string;

export interface TaskResultTable {
  readonly id: Generated<number>;
  readonly task_id: string;
  readonly status: string;
  readonly content_type: string;
  readonly content_encoding: string;
  readonly result: string | null;
  readonly date_done: SqlTime;
  readonly traceback: string | null;
  readonly meta: string | null;
  readonly task_args: string | null;
  readonly task_kwargs: string | null;
  readonly task_name: string | null;
  readonly worker: string | null;
  readonly date_created: SqlTime;
  readonly periodic_task_name: string | null;
  readonly date_started: SqlTime | null;
}

export interface GroupResultTable {
  readonly id: Generated<number>;
  readonly group_id: string;
  readonly date_created: SqlTime;
  readonly date_done: SqlTime;
  readonly content_type: string;
  readonly content_encoding: string;
  readonly result: string | null;
}

export interface ChordCounterTable {
  readonly id: Generated<number>;
  readonly group_id: string;
  readonly sub_tasks: string;
  readonly count: number;
}

export interface ClockedScheduleTable {
  readonly id: Generated<number>;
  readonly clocked_time: SqlTime;
}

export interface CrontabScheduleTable {
  readonly id: Generated<number>;
  readonly minute: string;
  readonly hour: string;
  readonly day_of_week: string;
  readonly day_of_month: string;
  readonly month_of_year: string;
  readonly timezone: string;
}

export interface IntervalScheduleTable {
  readonly id: Generated<number>;
  readonly every: number;
  /** `days`, `hours`, `minutes`, `seconds` or `microseconds`; the database does not check it. */
  readonly period: string;
}

export interface SolarScheduleTable {
  readonly id: Generated<number>;
  readonly event: string;
  /** Six decimals. */
  readonly latitude: number;
  readonly longitude: number;
}

export interface PeriodicTaskTable {
  readonly id: Generated<number>;
  readonly name: string;
  readonly task: string;
  readonly args: string;
  readonly kwargs: string;
  readonly queue: string | null;
  readonly exchange: string | null;
  readonly routing_key: string | null;
  readonly expires: SqlTime | null;
  readonly enabled: boolean;
  readonly last_run_at: SqlTime | null;
  readonly total_run_count: number;
  readonly date_changed: SqlTime;
  readonly description: string;
  readonly crontab_id: number | null;
  readonly interval_id: number | null;
  readonly solar_id: number | null;
  readonly one_off: boolean;
  readonly start_time: SqlTime | null;
  readonly priority: number | null;
  readonly headers: string;
  readonly clocked_id: number | null;
  readonly expire_seconds: number | null;
}

/** One row, `ident` 1: when a schedule was last changed through Django's models. */
export interface PeriodicTasksTable {
  readonly ident: number;
  readonly last_update: SqlTime;
}

/** What Django has done to a database. */
export interface MigrationsTable {
  readonly id: Generated<number>;
  readonly app: string;
  readonly name: string;
  readonly applied: SqlTime;
}

export interface Tables {
  readonly django_celery_results_taskresult: TaskResultTable;
  readonly django_celery_results_groupresult: GroupResultTable;
  readonly django_celery_results_chordcounter: ChordCounterTable;
  readonly django_celery_beat_clockedschedule: ClockedScheduleTable;
  readonly django_celery_beat_crontabschedule: CrontabScheduleTable;
  readonly django_celery_beat_intervalschedule: IntervalScheduleTable;
  readonly django_celery_beat_solarschedule: SolarScheduleTable;
  readonly django_celery_beat_periodictask: PeriodicTaskTable;
  readonly django_celery_beat_periodictasks: PeriodicTasksTable;
  readonly django_migrations: MigrationsTable;
}

/** SQLite has no type for them: whatever is named so is read as a boolean. */
export const BOOLEAN_COLUMNS: ReadonlySet<string> = new Set(["enabled", "one_off"]);
