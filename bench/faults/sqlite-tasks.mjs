/** The tasks of the fault run on the embedded database. */
import { Celery } from "petiole";

export const app = new Celery("sqlite-faults", {
  brokerUrl: process.env.FAULTS_FILE,
  resultBackend: process.env.FAULTS_FILE,
  taskAcksLate: true,
  // A task may be in flight at many kills: it is not to blame for them.
  brokerTransportOptions: { delivery_limit: 1_000_000, redelivery_backoff: 0 },
});

export const work = app.task("faults.work", { params: ["id", "ms"] }, async (id, ms) => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return id;
});
