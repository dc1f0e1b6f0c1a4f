#!/usr/bin/env node
/**
 * `node bench/sql/run.mjs [--tasks 4000] [--rounds 2]`
 *
 * How many results a second a worker stores in PostgreSQL: ours, and a Python worker with django-celery-results (2 processes), in
 * turns on the same servers. From the first row of a filled queue to the last. Prints JSON; fails below 3 times Python's rate.
 */
import { execFileSync, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Celery } from "petiole";
import pg from "pg";
import { freePort } from "../../scripts/lib/ports.mjs";
import { makePostgres } from "../../scripts/lib/postgres.mjs";
import { endAll, start } from "../lib/process-tree.mjs";
import { RedisServer } from "../lib/redis-server.mjs";

const WANTED = 3;
const READY_MS = 30_000;
const { values: flags } = parseArgs({
  options: { tasks: { type: "string", default: "4000" }, rounds: { type: "string", default: "2" } },
});
const count = Number(flags.tasks);
const here = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));
const python = JSON.parse(
  execFileSync(process.execPath, [`${root}scripts/oracle.mjs`], { encoding: "utf8" }),
).python;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const redis = await RedisServer.start();
const cluster = makePostgres();
const port = await freePort();
const server = spawn(cluster.program, cluster.args(port), { ...cluster.spawnOptions, stdio: "ignore" });
const gone = new Promise((resolve) => server.once("exit", resolve));
const pool = new pg.Pool({ connectionString: cluster.url(port), max: 2 });
pool.on("error", () => {});
const env = {
  ...process.env,
  BENCH_BROKER: redis.url,
  BENCH_DATABASE: cluster.url(port),
  DATABASE_URL: cluster.url(port),
};

const WORKERS = {
  petiole: [process.execPath, [`${root}dist/cli/main.js`, "-A", `${here}tasks.mjs`, "worker", "-c", "100"]],
  celery: [python, ["-m", "celery", "-A", "sql_tasks", "worker", "-c", "2", "--without-heartbeat"]],
};

const answers = () =>
  pool.query("SELECT 1").then(
    () => true,
    () => false,
  );

async function ready() {
  const deadline = Date.now() + READY_MS;
  while (!(await answers())) {
    const code = server.exitCode ?? server.signalCode;
    if (code !== null) throw new Error(`postgres ended with ${code}`);
    if (Date.now() > deadline) throw new Error(`postgres does not answer within ${READY_MS / 1000} s`);
    await pause(50);
  }
}

async function rows() {
  const { rows: found } = await pool.query("SELECT count(*)::int AS n FROM django_celery_results_taskresult");
  return found[0].n;
}

/** Results a second. */
async function drain(name) {
  await pool.query("TRUNCATE django_celery_results_taskresult");
  const app = new Celery("sql-bench", { brokerUrl: env.BENCH_BROKER });
  const noop = app.remote("sql.noop");
  for (let at = 0; at < count; at += 1000)
    await noop.delayMany(Array.from({ length: Math.min(1000, count - at) }, (_, i) => [at + i]));
  await app.close();
  const [program, words] = WORKERS[name];
  const line = [...words, "-l", "warning", "--without-gossip", "--without-mingle"];
  const worker = start(program, line, { cwd: here, env });
  let first = 0;
  let from = 0;
  while (first === 0) {
    if (!worker.running) throw new Error(worker.errors());
    first = await rows();
    from = performance.now();
    await pause(2);
  }
  while ((await rows()) < count) await pause(5);
  const rate = (count - first) / ((performance.now() - from) / 1000);
  worker.child.kill("SIGTERM");
  await worker.exited;
  return Math.round(rate);
}

try {
  await ready();
  execFileSync(python, [`${here}sql_tasks.py`], { env, stdio: "inherit" });
  const rates = { petiole: [], celery: [] };
  for (let round = 0; round < Number(flags.rounds); round += 1) {
    for (const name of Object.keys(rates)) rates[name].push(await drain(name));
  }
  const ratio = Math.min(...rates.petiole) / Math.max(...rates.celery);
  console.log(
    JSON.stringify({ tasks: count, rates, ratio: Math.round(ratio * 10) / 10, wanted: WANTED }, null, 2),
  );
  if (ratio < WANTED) process.exitCode = 1;
} finally {
  endAll();
  await pool.end();
  server.kill("SIGINT");
  await gone;
  rmSync(cluster.dir, { recursive: true, force: true });
  await redis.stop();
}
