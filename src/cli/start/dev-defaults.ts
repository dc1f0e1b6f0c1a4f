/** What `petiole dev` sets where the project says nothing. In the worker's process, once its app is loaded. */
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import type { Io } from "../io.ts";

const FOLDER = ".petiole";
const URL = `sqlite://./${FOLDER}/dev.db`;
/** Celery's default, beside the project's own files. */
const SCHEDULE = "celerybeat-schedule";

export async function setDevDefaults(app: Celery, io: Io): Promise<void> {
  await internalsOf(app).readConfig();
  const { conf } = app;
  if (conf.beatScheduleFilename === SCHEDULE) conf.beatScheduleFilename = `${FOLDER}/${SCHEDULE}`;
  if (conf.brokerUrl !== null || conf.brokerReadUrl !== null) return;
  conf.brokerUrl = URL;
  conf.resultBackend ??= URL;
  io.out(
    `No brokerUrl is set: messages and results are in ${FOLDER}/dev.db. For programs that send tasks from here:\n` +
      `  export CELERY_BROKER_URL=${URL} CELERY_RESULT_BACKEND=${URL}\n`,
  );
}
