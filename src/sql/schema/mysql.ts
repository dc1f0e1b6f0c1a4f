/** Django's tables on MariaDB and MySQL. Character set and collation are the database's, as with Django. */
import type { Ddl } from "./apps.ts";

const ID = "`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY";

/** Its index has the name of the key. */
function foreignKey(column: string, table: string, hash: string): string {
  return `CONSTRAINT \`django_celery_beat_p_${column}_${hash}_fk_django_ce\` FOREIGN KEY (\`${column}\`) REFERENCES \`django_celery_beat_${table}\` (\`id\`)`;
}

export const MYSQL: Ddl = {
  migrations: `CREATE TABLE IF NOT EXISTS \`django_migrations\` (
  ${ID},
  \`app\` varchar(255) NOT NULL,
  \`name\` varchar(255) NOT NULL,
  \`applied\` datetime(6) NOT NULL
)`,
  apps: {
    django_celery_results: {
      django_celery_results_taskresult: [
        `CREATE TABLE \`django_celery_results_taskresult\` (
  ${ID},
  \`task_id\` varchar(255) NOT NULL UNIQUE,
  \`status\` varchar(50) NOT NULL,
  \`content_type\` varchar(128) NOT NULL,
  \`content_encoding\` varchar(64) NOT NULL,
  \`result\` longtext NULL,
  \`date_done\` datetime(6) NOT NULL,
  \`traceback\` longtext NULL,
  \`meta\` longtext NULL,
  \`task_args\` longtext NULL,
  \`task_kwargs\` longtext NULL,
  \`task_name\` varchar(255) NULL,
  \`worker\` varchar(100) NULL,
  \`date_created\` datetime(6) NOT NULL,
  \`periodic_task_name\` varchar(255) NULL,
  \`date_started\` datetime(6) NULL,
  KEY \`django_cele_task_na_08aec9_idx\` (\`task_name\`),
  KEY \`django_cele_status_9b6201_idx\` (\`status\`),
  KEY \`django_cele_worker_d54dd8_idx\` (\`worker\`),
  KEY \`django_cele_date_cr_f04a50_idx\` (\`date_created\`),
  KEY \`django_cele_date_do_f59aad_idx\` (\`date_done\`),
  KEY \`django_cele_periodi_1993cf_idx\` (\`periodic_task_name\`)
)`,
      ],
      django_celery_results_chordcounter: [
        `CREATE TABLE \`django_celery_results_chordcounter\` (
  ${ID},
  \`group_id\` varchar(255) NOT NULL UNIQUE,
  \`sub_tasks\` longtext NOT NULL,
  \`count\` integer UNSIGNED NOT NULL CHECK (\`count\` >= 0)
)`,
      ],
      django_celery_results_groupresult: [
        `CREATE TABLE \`django_celery_results_groupresult\` (
  ${ID},
  \`group_id\` varchar(255) NOT NULL UNIQUE,
  \`date_created\` datetime(6) NOT NULL,
  \`date_done\` datetime(6) NOT NULL,
  \`content_type\` varchar(128) NOT NULL,
  \`content_encoding\` varchar(64) NOT NULL,
  \`result\` longtext NULL,
  KEY \`django_cele_date_cr_bd6c1d_idx\` (\`date_created\`),
  KEY \`django_cele_date_do_caae0e_idx\` (\`date_done\`)
)`,
      ],
    },
    django_celery_beat: {
      django_celery_beat_crontabschedule: [
        `CREATE TABLE \`django_celery_beat_crontabschedule\` (
  ${ID},
  \`minute\` varchar(240) NOT NULL,
  \`hour\` varchar(96) NOT NULL,
  \`day_of_week\` varchar(64) NOT NULL,
  \`day_of_month\` varchar(124) NOT NULL,
  \`month_of_year\` varchar(64) NOT NULL,
  \`timezone\` varchar(63) NOT NULL
)`,
      ],
      django_celery_beat_intervalschedule: [
        `CREATE TABLE \`django_celery_beat_intervalschedule\` (
  ${ID},
  \`every\` integer NOT NULL,
  \`period\` varchar(24) NOT NULL
)`,
      ],
      django_celery_beat_periodictasks: [
        `CREATE TABLE \`django_celery_beat_periodictasks\` (
  \`ident\` smallint NOT NULL PRIMARY KEY,
  \`last_update\` datetime(6) NOT NULL
)`,
      ],
      django_celery_beat_solarschedule: [
        `CREATE TABLE \`django_celery_beat_solarschedule\` (
  ${ID},
  \`event\` varchar(24) NOT NULL,
  \`latitude\` numeric(9, 6) NOT NULL,
  \`longitude\` numeric(9, 6) NOT NULL,
  UNIQUE KEY \`django_celery_beat_solar_event_latitude_longitude_ba64999a_uniq\` (\`event\`, \`latitude\`, \`longitude\`)
)`,
      ],
      django_celery_beat_clockedschedule: [
        `CREATE TABLE \`django_celery_beat_clockedschedule\` (
  ${ID},
  \`clocked_time\` datetime(6) NOT NULL
)`,
      ],
      django_celery_beat_periodictask: [
        `CREATE TABLE \`django_celery_beat_periodictask\` (
  ${ID},
  \`name\` varchar(200) NOT NULL UNIQUE,
  \`task\` varchar(200) NOT NULL,
  \`args\` longtext NOT NULL,
  \`kwargs\` longtext NOT NULL,
  \`queue\` varchar(200) NULL,
  \`exchange\` varchar(200) NULL,
  \`routing_key\` varchar(200) NULL,
  \`expires\` datetime(6) NULL,
  \`enabled\` bool NOT NULL,
  \`last_run_at\` datetime(6) NULL,
  \`total_run_count\` integer UNSIGNED NOT NULL CHECK (\`total_run_count\` >= 0),
  \`date_changed\` datetime(6) NOT NULL,
  \`description\` longtext NOT NULL,
  \`crontab_id\` integer NULL,
  \`interval_id\` integer NULL,
  \`solar_id\` integer NULL,
  \`one_off\` bool NOT NULL,
  \`start_time\` datetime(6) NULL,
  \`priority\` integer UNSIGNED NULL CHECK (\`priority\` >= 0),
  \`headers\` longtext NOT NULL,
  \`clocked_id\` integer NULL,
  \`expire_seconds\` integer UNSIGNED NULL CHECK (\`expire_seconds\` >= 0),
  ${foreignKey("crontab_id", "crontabschedule", "d3cba168")},
  ${foreignKey("interval_id", "intervalschedule", "a8ca27da")},
  ${foreignKey("solar_id", "solarschedule", "a87ce72c")},
  ${foreignKey("clocked_id", "clockedschedule", "47a69f82")}
)`,
      ],
    },
  },
};
