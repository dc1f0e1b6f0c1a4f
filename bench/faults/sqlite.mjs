#!/usr/bin/env node
/**
 * `node bench/faults/sqlite.mjs [--kills 100] [--seed S]`
 *
 * Random SIGKILLs of workers and producers that share one SQLite file, under load. After each kill `PRAGMA integrity_check` must
 * say ok; at the end every task that was taken must have its result, and nothing may be left over. Prints JSON; exit code 1 when one
 * of these does not hold.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock } from "../../dist/base/clock.js";
import { Database } from "../../dist/sqlite/index.js";
import { endAll, start } from "../lib/process-tree.mjs";
import { random } from "./random.mjs";

const { values: flags } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const wanted = Number(flags.kills);
const next = random(Number(flags.seed));
const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const folder = mkdtempSync(join(tmpdir(), "petiole-faults-"));
const path = join(folder, "faults.db");
const env = { ...process.env, FAULTS_FILE: `sqlite://${path}`, FAULTS_SEED: flags.seed };
const db = await Database.open(env.FAULTS_FILE, systemClock);

let started = 0;
const accepted = new Set();
const fleet = { worker: [], producer: [] };

function add(kind) {
  started += 1;
  const words =
    kind === "producer"
      ? [file("sqlite-producer.mjs")]
      : [
          file("../../dist/cli/main.js"),
          "-A",
          file("sqlite-tasks.mjs"),
          "worker",
          "-c",
          "20",
          "-n",
          `w${started}@faults`,
        ];
  const one = start(process.execPath, words, {
    cwd: file("../../"),
    env: { ...env, FAULTS_NUMBER: String(started) },
  });
  fleet[kind].push(one);
  return one;
}

function take(producer) {
  const lines = producer.output().split("\n");
  // What was cut off by the kill was not said.
  for (const line of lines.slice(0, -1)) if (line.startsWith("t-")) accepted.add(line);
}

const number = (sql) => Number(db.get(sql)?.n ?? 0);
const held = () => number("SELECT count(*) AS n FROM petiole_messages WHERE state = 1");
const intact = () => db.get("PRAGMA integrity_check")?.integrity_check;

const report = { seed: Number(flags.seed), kills: 0, workers: 0, producers: 0, heldAtKills: 0, damaged: [] };
console.error(`seed ${flags.seed}: ${wanted} kills`);
try {
  for (const kind of ["worker", "worker", "worker", "producer", "producer"]) add(kind);
  await pause(3000);
  while (report.kills < wanted) {
    await pause(50 + next() * 500);
    const kind = next() < 0.6 ? "worker" : "producer";
    const [victim] = fleet[kind].splice(Math.floor(next() * fleet[kind].length), 1);
    if (!victim.running) throw new Error(`a ${kind} ended by itself: ${victim.errors().slice(-2000)}`);
    report.heldAtKills += held();
    victim.child.kill("SIGKILL");
    await victim.exited;
    if (kind === "producer") take(victim);
    report.kills += 1;
    report[`${kind}s`] += 1;
    const said = intact();
    if (said !== "ok") report.damaged.push(said);
    add(kind);
    if (report.kills % 20 === 0) console.error(`${report.kills} kills`);
  }
  for (const producer of fleet.producer) {
    producer.child.kill("SIGKILL");
    await producer.exited;
    take(producer);
  }
  const deadline = Date.now() + 60_000;
  const left = () => number("SELECT count(*) AS n FROM petiole_messages");
  while (left() > 0 && Date.now() < deadline) await pause(100);
  const succeeded = new Set(
    db
      .all("SELECT key FROM petiole_results WHERE success = 1")
      .map((row) => String(row.key).slice("celery-task-meta-".length)),
  );
  const lost = [...accepted].filter((id) => !succeeded.has(id));
  for (const worker of fleet.worker) worker.child.kill("SIGTERM");
  await Promise.all(fleet.worker.map((worker) => worker.exited));
  Object.assign(report, {
    accepted: accepted.size,
    succeeded: succeeded.size,
    lost: lost.length,
    lostIds: lost.slice(0, 20),
    left: left(),
    holders: number("SELECT count(*) AS n FROM petiole_holders"),
    holderFiles: readdirSync(`${path}-holders`).length,
  });
  report.ok =
    report.lost === 0 &&
    report.left === 0 &&
    report.damaged.length === 0 &&
    accepted.size > 0 &&
    report.holders === 0;
} finally {
  endAll();
  db.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(report, null, 1));
process.exitCode = report.ok ? 0 : 1;
