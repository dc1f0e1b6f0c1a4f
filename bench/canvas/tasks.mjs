/** The worker's tasks. `canvas.blocked` tells how long its event loop stood still at most since the last call, ms. */
import { Celery, group } from "petiole";
import { LoopProbe } from "../lib/loop-probe.mjs";

const probe = new LoopProbe();

export const app = new Celery("canvas", {
  brokerUrl: process.env.CANVAS_BROKER,
  resultBackend: process.env.CANVAS_BACKEND,
});
export const part = app.task("canvas.part", { params: ["n"] }, (n) => n);
export const sum = app.task("canvas.sum", { params: ["all"] }, (all) =>
  all.reduce((total, n) => total + n, 0),
);
/** Sends the chord itself: in the worker. */
export const send = app.task("canvas.send", { params: ["count"], bind: true }, (task, count) =>
  task.replace(group(Array.from({ length: count }, (_, n) => part.s(n))).pipe(sum.s())),
);
export const blocked = app.task("canvas.blocked", () => {
  const most = probe.stop();
  probe.start();
  return most;
});
