/** All that differs between machines, from environment variables. Names with `CELERY_` are settings of Celery: see app.ts. */
const { env } = process;

export const HOST = env.HOST ?? "127.0.0.1";
export const PORT = Number(env.PORT ?? 8000);

/** `postgresql://user:password@host/database`, or `sqlite:` and a file. */
export const DATABASE_URL = env.DATABASE_URL ?? "sqlite:./var/web.db";

/** A file of its own: a transaction on rows is not to hold up the sending of a task. */
export const CELERY_BROKER_URL = env.CELERY_BROKER_URL ?? "sqlite://./var/celery.db";
export const CELERY_RESULT_BACKEND = env.CELERY_RESULT_BACKEND ?? CELERY_BROKER_URL;
/** A running task shows as STARTED, not as PENDING. */
export const CELERY_TASK_TRACK_STARTED = true;
/** Seconds that results are kept. */
export const CELERY_RESULT_EXPIRES = 86_400;
