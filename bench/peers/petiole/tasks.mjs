import { Celery } from "petiole";
import { stamp, stampNow } from "../../lib/stamps.mjs";

export const app = new Celery("bench", {
  brokerUrl: process.env.BENCH_BROKER,
  resultBackend: process.env.BENCH_BACKEND,
});
/** What the drain runs. */
export const noop = app.task("bench.noop", { params: ["at", "i"] }, (_at, _i) => null);
export const late = app.task("bench.stamp", { params: ["at"] }, (at) => {
  stamp(at);
  return null;
});
export const first = app.task("bench.first", { params: ["at"] }, (at) => {
  stampNow(at);
  return null;
});
