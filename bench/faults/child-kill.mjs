#!/usr/bin/env node
/**
 * `node bench/faults/child-kill.mjs [--kills 500] [--pool prefork] [--concurrency 4] [--seed S]`
 *
 * SIGKILLs of pool children that run a task, under load; a thread, which knows no signals, ends itself in the middle of its
 * task. The worker must keep its process, a new child must run a task within a second, no task may be lost, and a task runs
 * again for one reason only: its child was killed before the worker had heard of its end. That is judged by the records: each
 * run but the last of an id was the last of a slot that was killed, and the stored result is that of the last run. Prints JSON;
 * exit code 1 when one of these does not hold.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { percentile } from "../lib/stats.mjs";
import { Fleet, pause } from "./fleet.mjs";
import { random } from "./random.mjs";

const { values: flags } = parseArgs({
  options: {
    kills: { type: "string", default: "500" },
    pool: { type: "string", default: "prefork" },
    concurrency: { type: "string", default: "4" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    "slot-ms": { type: "string", default: "1000" },
  },
});
const wanted = Number(flags.kills);
const concurrency = Number(flags.concurrency);
const seed = Number(flags.seed);
const next = random(seed);
const GIVE_UP_MS = 30_000;

const dir = mkdtempSync(path.join(os.tmpdir(), "petiole-child-kill-"));
const fleet = await Fleet.open({
  seed,
  concurrency,
  tasks: "pool-tasks.mjs",
  words: ["-P", flags.pool, "--prefetch-multiplier", "2"],
  env: { FAULTS_DIR: dir, FAULTS_BACKLOG: "60" },
});
const { record } = fleet;
const dead = new Set();
const backMs = [];
let idleKills = 0;

function kill(slot) {
  const [pid, thread] = slot.split(":");
  if (thread === "0") process.kill(Number(pid), "SIGKILL");
  else writeFileSync(path.join(dir, thread), "");
}

const slotOf = (run) => run.slice(0, run.lastIndexOf(":"));

/** A slot that runs a task now; null: none does. */
async function busySlot() {
  const busy = (await record.hkeys("busy")).map(slotOf).filter((slot) => !dead.has(slot));
  return busy.length === 0 ? null : busy[Math.floor(next() * busy.length)];
}

/** Until a slot that never ran a task before runs one; its time of the first run. */
async function newSlot(known) {
  const deadline = Date.now() + GIVE_UP_MS;
  for (;;) {
    const first = await record.hgetall("first");
    const found = Object.entries(first).find(([slot]) => !known.has(slot));
    if (found) return Number(found[1]);
    if (Date.now() > deadline) return null;
    await pause(5);
  }
}

let report;
try {
  fleet.startProducer();
  const worker = await fleet.addWorker();
  const { pid } = worker.process;
  while ((await record.hlen("first")) < concurrency) await pause(20);
  const startedAt = Date.now();
  while (backMs.length + idleKills < wanted) {
    await pause(next() * 30);
    const slot = await busySlot();
    if (slot === null) continue;
    const known = new Set(await record.hkeys("first"));
    dead.add(slot);
    const killedAt = Date.now();
    kill(slot);
    const firstAt = await newSlot(known);
    if (firstAt === null)
      throw new Error(`no new child within ${GIVE_UP_MS} ms: ${worker.process.errors().slice(-1500)}`);
    const runs = (await record.lrange("runs", 0, -1)).map((line) => JSON.parse(line));
    const last = runs.findLast(([, of]) => of === slot);
    await record.hdel("busy", last[2]);
    if (await record.hexists("ended", last[2])) idleKills += 1;
    else backMs.push(firstAt - killedAt);
    if ((backMs.length + idleKills) % 50 === 0)
      console.error(`${backMs.length} kills, ${idleKills} of idle children`);
  }
  fleet.producer.child.kill("SIGTERM");
  await fleet.producer.exited;
  const { accepted, open, left } = await fleet.settle({ timeoutMs: 60_000 });
  const keptPid = worker.process.running && worker.process.pid === pid;
  worker.process.child.kill("SIGTERM");
  const exitCode = await worker.process.exited;

  const runs = (await record.lrange("runs", 0, -1)).map((line) => JSON.parse(line));
  const byId = new Map();
  for (const run of runs) byId.set(run[0], [...(byId.get(run[0]) ?? []), run]);
  const lastOf = new Map(runs.map(([, slot, run]) => [slot, run]));
  const stored = await fleet.storedResults(accepted);
  const inexact = [];
  let reruns = 0;
  for (const [id, all] of byId) {
    reruns += all.length - 1;
    const excused = all.slice(0, -1).every(([, slot, run]) => dead.has(slot) && lastOf.get(slot) === run);
    if (!excused || stored.get(id) !== all.at(-1)[2])
      inexact.push({ id, runs: all, stored: stored.get(id) ?? null });
  }
  const late = backMs.filter((ms) => ms > Number(flags["slot-ms"]));
  const lost = [...new Set([...open, ...accepted.filter((id) => !stored.has(id))])];
  report = {
    pool: flags.pool,
    seed,
    kills: backMs.length,
    idleKills,
    seconds: Math.round((Date.now() - startedAt) / 1000),
    accepted: accepted.length,
    keptPid,
    exitCode,
    slotBackMs: { median: percentile(backMs, 0.5), p99: percentile(backMs, 0.99), max: Math.max(...backMs) },
    late: late.length,
    reruns,
    inexactReruns: inexact.slice(0, 10),
    lost: lost.length,
    lostIds: lost.slice(0, 10),
    left,
  };
  report.ok =
    keptPid &&
    exitCode === 0 &&
    late.length === 0 &&
    inexact.length === 0 &&
    lost.length === 0 &&
    left.queued + left.unacked + left.index + left.lease + left.dead === 0 &&
    backMs.length > 0;
} finally {
  await fleet.close();
  rmSync(dir, { recursive: true, force: true });
}
console.log(JSON.stringify(report, null, 1));
process.exitCode = report.ok ? 0 : 1;
