/**
 * The task of the runs that kill children of a pool, or end workers with SIGTERM. Each execution is written to another Redis,
 * which no fault touches: `runs` has `[id, slot, run, ms since the epoch]` of each start, `ended` the runs whose function came to
 * its end, `busy` the ids of those that run, `first` when a slot ran its first task. A slot is `<pid>:<thread>`, a run is one execution.
 */
import { existsSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { Redis } from "ioredis";
import { Celery } from "petiole";

const record = new Redis(process.env.FAULTS_RECORD, { lazyConnect: true });
const slot = `${process.pid}:${threadId}`;
const LOOK_MS = 5;
let runs = 0;

export const app = new Celery("faults", {
  brokerUrl: process.env.FAULTS_BROKER,
  resultBackend: process.env.FAULTS_BACKEND,
  taskAcksLate: process.env.FAULTS_ACKS !== "early",
  taskRejectOnWorkerLost: true,
  brokerTransportOptions: { lease: 5, delivery_limit: 1_000_000 },
});

export const work = app.task("faults.pool_work", { params: ["id", "ms"] }, async (id, ms) => {
  const run = `${slot}:${(runs += 1)}`;
  const now = Date.now();
  await record
    .multi()
    .rpush("runs", JSON.stringify([id, slot, run, now]))
    .hset("busy", run, id)
    .hsetnx("first", slot, String(now))
    .exec();
  const until = now + ms;
  while (Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    // A thread cannot be killed from outside: it ends itself, without a word, where it is told to.
    if (threadId !== 0 && existsSync(`${process.env.FAULTS_DIR}/${threadId}`)) process.exit(9);
  }
  await record.multi().hset("ended", run, "1").hdel("busy", run).hincrby("ends", id, 1).exec();
  return run;
});
