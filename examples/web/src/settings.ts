/** All that differs between machines, from environment variables. Names with `CELERY_` are settings of Celery: see app.ts. */
import { StartError } from "./start.ts";

const { env } = process;

function wholeNumber(name: string, fallback: number, max: number): number {
  const value = Number(env[name] || fallback);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new StartError(`${name}=${env[name]} must be a whole number from 1 to ${max}`);
}

export const HOST = env.HOST ?? "127.0.0.1";
export const PORT = wholeNumber("PORT", 8000, 65_535);

/** `postgresql://user:password@host/database`, or `sqlite:` and a file. */
export const DATABASE_URL = env.DATABASE_URL ?? "sqlite:./var/web.db";

/** A file of its own: a transaction on rows is not to hold up the sending of a task. */
export const CELERY_BROKER_URL = env.CELERY_BROKER_URL ?? "sqlite://./var/celery.db";
/** Revokes outlive the workers: they are kept where the messages are, or on a Redis of their own. */
export const CELERY_WORKER_STATE_DB = env.REDIS_STATEDB_URL || CELERY_BROKER_URL;
export const CELERY_RESULT_BACKEND = env.CELERY_RESULT_BACKEND ?? CELERY_BROKER_URL;
/** A running task shows as STARTED, not as PENDING. */
export const CELERY_TASK_TRACK_STARTED = true;
/** Seconds that results are kept. */
export const CELERY_RESULT_EXPIRES = 86_400;

/** Sent by `petiole beat`. Seconds between two runs, or a `crontab(…)`. */
export const CELERY_BEAT_SCHEDULE = {
  "report counts": { task: "web.report_counts", schedule: wholeNumber("REPORT_SECONDS", 60, 86_400) },
};
export const CELERY_BEAT_SCHEDULE_FILENAME = "var/celerybeat-schedule";
