/** All that differs between machines, from environment variables. Names with `CELERY_` are settings of Celery: see app.ts. */
const { env } = process;

export const HOST = env.HOST ?? "127.0.0.1";
export const PORT = Number(env.PORT ?? 8000);

/** `postgresql://user:password@host/database`, or `sqlite:` and a file. */
export const DATABASE_URL = env.DATABASE_URL ?? "sqlite:./var/web.db";

/** A file of its own: a transaction on rows is not to hold up the sending of a task. */
export const CELERY_BROKER_URL = env.CELERY_BROKER_URL ?? "sqlite://./var/celery.db";
/** Revokes outlive the workers: in the same file, or on the Redis of the variable REDIS_STATEDB_URL. */
export const CELERY_WORKER_STATE_DB = CELERY_BROKER_URL.startsWith("sqlite:") ? CELERY_BROKER_URL : null;
export const CELERY_RESULT_BACKEND = env.CELERY_RESULT_BACKEND ?? CELERY_BROKER_URL;
/** A running task shows as STARTED, not as PENDING. */
export const CELERY_TASK_TRACK_STARTED = true;
/** Seconds that results are kept. */
export const CELERY_RESULT_EXPIRES = 86_400;

/** Sent by `petiole beat`. Seconds between two runs, or a `crontab(…)`. */
export const CELERY_BEAT_SCHEDULE = {
  "report counts": { task: "web.report_counts", schedule: Number(env.REPORT_SECONDS ?? 60) },
};
export const CELERY_BEAT_SCHEDULE_FILENAME = "var/celerybeat-schedule";
