/** The task of the run on a SQL database. */
import { Celery } from "petiole";

export const app = new Celery("sql-bench", {
  brokerUrl: process.env.BENCH_BROKER,
  resultBackend: `db+${process.env.BENCH_DATABASE}`,
  workerPrefetchMultiplier: 4,
});
app.task("sql.noop", { params: ["n"] }, (n) => n);
