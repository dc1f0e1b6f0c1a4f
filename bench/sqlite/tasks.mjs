/** The tasks of the runs on the embedded database. */
import { Celery } from "petiole";

export const app = new Celery("sqlite-bench", {
  brokerUrl: process.env.BENCH_FILE,
  resultBackend: process.env.BENCH_FILE,
  taskAcksLate: process.env.BENCH_ACKS !== "early",
  workerPrefetchMultiplier: 4,
});
export const noop = app.task("sqlite.noop", { params: ["n"] }, (_n) => null);
/** Wall clock of its start, ms with fractions. */
export const stamp = app.task("sqlite.stamp", () => performance.timeOrigin + performance.now());
