#!/usr/bin/env node
/**
 * `node bench/sqlite/run.mjs [--tasks 40000] [--deep 1000000] [--only drain,latency,deep]`
 *
 * The embedded database: how fast one worker, and two, drain no-op tasks with results; how long a lone task takes to an idle
 * worker; and whether a deep queue is drained as fast as a short one. Prints JSON.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock } from "../../dist/base/clock.js";
import { Database } from "../../dist/sqlite/index.js";
import { endAll, start } from "../lib/process-tree.mjs";

const { values: flags } = parseArgs({
  options: {
    tasks: { type: "string", default: "40000" },
    deep: { type: "string", default: "1000000" },
    only: { type: "string", default: "drain,latency,deep" },
  },
});
const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const only = flags.only.split(",");
const count = Number(flags.tasks);
const folder = mkdtempSync(join(tmpdir(), "petiole-bench-"));
process.env.BENCH_FILE = `sqlite://${join(folder, "bench.db")}`;
const { app, noop, stamp } = await import("./tasks.mjs");
const db = await Database.open(process.env.BENCH_FILE, systemClock);
const done = () => db.get("SELECT max(seq) AS seq FROM petiole_results").seq ?? 0;

async function startWorker() {
  const words = [
    "-A",
    file("tasks.mjs"),
    "worker",
    "-c",
    "100",
    "-l",
    "info",
    "--without-gossip",
    "--without-mingle",
  ];
  const worker = start(process.execPath, [file("../../dist/cli/main.js"), ...words], {
    cwd: file("../../"),
    env: process.env,
  });
  while (!/ready/.test(worker.output() + worker.errors())) {
    if (!worker.running) throw new Error(worker.errors());
    await pause(20);
  }
  return worker;
}

async function stopAll(workers) {
  for (const worker of workers) worker.child.kill("SIGTERM");
  await Promise.all(workers.map((worker) => worker.exited));
}

async function fill(total) {
  const calls = Array.from({ length: 1000 }, (_, i) => [i]);
  for (let left = total; left > 0; left -= 1000) await noop.delayMany(calls.slice(0, Math.min(1000, left)));
}

/** Tasks a second from the moment that the queue is opened until the last of `measured` results is stored. */
async function drain({ processes, queued, measured }) {
  await app.control.pauseQueue("celery");
  await fill(queued);
  const workers = [];
  for (let i = 0; i < processes; i += 1) workers.push(await startWorker());
  const from = done();
  const startedAt = performance.now();
  await app.control.resumeQueue("celery");
  while (done() - from < measured) await pause(2);
  const rate = (done() - from) / ((performance.now() - startedAt) / 1000);
  await stopAll(workers);
  await db.write(() => db.run("DELETE FROM petiole_messages"));
  return Math.round(rate);
}

async function latency(times) {
  const worker = await startWorker();
  await (await stamp.delay()).get({ timeout: 10 });
  const found = [];
  for (let i = 0; i < times; i += 1) {
    await pause(5 + Math.random() * 15);
    const sentAt = performance.timeOrigin + performance.now();
    const result = await stamp.delay();
    found.push((await result.get({ timeout: 10 })) - sentAt);
  }
  await stopAll([worker]);
  found.sort((a, b) => a - b);
  const at = (part) => Number(found[Math.floor(found.length * part)].toFixed(2));
  return { p50: at(0.5), p95: at(0.95), max: Number(found.at(-1).toFixed(2)) };
}

const report = {};
try {
  if (only.includes("drain")) {
    report.oneProcess = await drain({ processes: 1, queued: count, measured: count });
    report.twoProcesses = await drain({ processes: 2, queued: count, measured: count });
  }
  if (only.includes("latency")) report.idleMs = await latency(200);
  if (only.includes("deep")) {
    const deep = Number(flags.deep);
    report.short = await drain({ processes: 1, queued: count, measured: count });
    report.deep = await drain({ processes: 1, queued: deep, measured: count });
    report.deepShare = Number((report.deep / report.short).toFixed(2));
  }
} finally {
  endAll();
  db.close();
  await app.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(report, null, 1));
