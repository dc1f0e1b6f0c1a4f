/** What `petiole dev` sets where the project says nothing. In the worker's process, once its app is loaded. */
import type { Celery } from "../../app/app.ts";
import type { Io } from "../io.ts";

const FOLDER = ".petiole";
const URL = `sqlite://./${FOLDER}/dev.db`;

export function setDevDefaults(app: Celery, io: Io): void {
  const { conf } = app;
  if (conf.brokerUrl !== null || conf.brokerReadUrl !== null) return;
  conf.brokerUrl = URL;
  conf.resultBackend ??= URL;
  io.out(
    `No brokerUrl is set: messages and results are in ${FOLDER}/dev.db. For programs that send tasks from here:\n` +
      `  export CELERY_BROKER_URL=${URL} CELERY_RESULT_BACKEND=${URL}\n`,
  );
}
