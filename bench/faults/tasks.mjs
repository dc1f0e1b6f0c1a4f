/**
 * The tasks of the fault runs. What ran is written to another Redis, which no fault touches: `starts` and `ends` count
 * the executions of each id, `copies` further copies of its message (a publish of unknown outcome is repeated, with a delivery
 * tag of its own), `probes` has the wall clock of each probe.
 */
import { Redis } from "ioredis";
import { Celery } from "petiole";

const record = new Redis(process.env.FAULTS_RECORD, { lazyConnect: true });

export const app = new Celery("faults", {
  brokerUrl: process.env.FAULTS_BROKER,
  resultBackend: process.env.FAULTS_BACKEND,
  taskAcksLate: true,
  // A task may be in flight at many kills: it is not to blame for them.
  brokerTransportOptions: { lease: Number(process.env.FAULTS_LEASE ?? 5), delivery_limit: 1_000_000 },
  taskPublishRetryPolicy: { maxRetries: 20, intervalStart: 0, intervalStep: 0.1, intervalMax: 0.5 },
  taskRoutes: { "faults.probe": "probe" },
});

export const work = app.task("faults.work", { params: ["id", "ms"], bind: true }, async (task, id, ms) => {
  await record.hincrby("starts", id, 1);
  const tag = String(task.request.properties.delivery_tag);
  const isFirst = (await record.hsetnx("tags", id, tag)) === 1;
  if (!isFirst && (await record.hget("tags", id)) !== tag) await record.hincrby("copies", id, 1);
  await new Promise((resolve) => setTimeout(resolve, ms));
  await record.hincrby("ends", id, 1);
  return id;
});

export const probe = app.task("faults.probe", { params: ["n"] }, async (n) => {
  await record.hset("probes", String(n), String(Date.now()));
  return n;
});
