/** Django's two apps whose tables these are, and the migrations that lead to them, as Django records them. */

export type DjangoApp = "django_celery_results" | "django_celery_beat";

/** In the order of their making. */
export const DJANGO_APPS: readonly DjangoApp[] = ["django_celery_results", "django_celery_beat"];

/** Of django-celery-results 2.6.0 and django-celery-beat 2.9.0, in an order that Django's dependencies allow. */
export const MIGRATIONS: Readonly<Record<DjangoApp, readonly string[]>> = {
  django_celery_results: [
    "0001_initial",
    "0002_add_task_name_args_kwargs",
    "0003_auto_20181106_1101",
    "0004_auto_20190516_0412",
    "0005_taskresult_worker",
    "0006_taskresult_date_created",
    "0007_remove_taskresult_hidden",
    "0008_chordcounter",
    "0009_groupresult",
    "0010_remove_duplicate_indices",
    "0011_taskresult_periodic_task_name",
    "0012_taskresult_date_started",
    "0013_taskresult_django_cele_periodi_1993cf_idx",
    "0014_alter_taskresult_status",
  ],
  django_celery_beat: [
    "0001_initial",
    "0002_auto_20161118_0346",
    "0003_auto_20161209_0049",
    "0004_auto_20170221_0000",
    "0005_add_solarschedule_events_choices",
    "0006_auto_20180322_0932",
    "0007_auto_20180521_0826",
    "0008_auto_20180914_1922",
    "0006_auto_20180210_1226",
    "0006_periodictask_priority",
    "0009_periodictask_headers",
    "0010_auto_20190429_0326",
    "0011_auto_20190508_0153",
    "0012_periodictask_expire_seconds",
    "0013_auto_20200609_0727",
    "0014_remove_clockedschedule_enabled",
    "0015_edit_solarschedule_events_choices",
    "0016_alter_crontabschedule_timezone",
    "0017_alter_crontabschedule_month_of_year",
    "0018_improve_crontab_helptext",
    "0019_alter_periodictasks_options",
  ],
};

/** Table -> the statements that make it and its indexes, in the order of their making. */
type AppTables = Readonly<Record<string, readonly string[]>>;

/** What a dialect makes. */
export interface Ddl {
  /** The table of Django's records. */
  readonly migrations: string;
  readonly apps: Readonly<Record<DjangoApp, AppTables>>;
}
