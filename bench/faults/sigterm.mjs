#!/usr/bin/env node
/**
 * `node bench/faults/sigterm.mjs [--times 100] [--pool async] [--concurrency 8] [--acks late|early] [--seed S]`
 *
 * SIGTERM to one of two workers under load, again and again; another one takes its place. Each must end with exit code 0, and
 * at that moment hold nothing any more: what it ran has ended, what it had reserved is back on its queue. At the end every task
 * that the broker had taken must have run exactly once. A time counts when the victim held messages, of which some ran and
 * some waited. Prints JSON; exit code 1 when one of these does not hold.
 */
import { parseArgs } from "node:util";
import { percentile } from "../lib/stats.mjs";
import { Fleet, pause } from "./fleet.mjs";
import { random } from "./random.mjs";

const { values: flags } = parseArgs({
  options: {
    times: { type: "string", default: "100" },
    pool: { type: "string", default: "async" },
    concurrency: { type: "string", default: "8" },
    acks: { type: "string", default: "late" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const wanted = Number(flags.times);
const seed = Number(flags.seed);
const next = random(seed);

const fleet = await Fleet.open({
  seed,
  concurrency: Number(flags.concurrency),
  tasks: "pool-tasks.mjs",
  words: ["-P", flags.pool, "--prefetch-multiplier", "4"],
  env: { FAULTS_ACKS: flags.acks, FAULTS_LONGEST_MS: "120", FAULTS_BACKLOG: "300" },
});

/** How many tasks of this worker run at this moment. With early acks its messages do not tell; its process does, in `async`. */
async function runningOf({ process: { pid } }, held) {
  const busy = Object.entries(await fleet.record.hgetall("busy"));
  return busy.filter(([run, id]) => run.startsWith(`${pid}:`) || held.includes(id)).length;
}

const stopMs = [];
const failures = [];
let idle = 0;
let heldInAll = 0;
let runningInAll = 0;
let report;
try {
  const producer = fleet.startProducer();
  await fleet.addWorker();
  await fleet.addWorker();
  const startedAt = Date.now();
  while (stopMs.length < wanted) {
    await pause(50 + next() * 300);
    if (!producer.running) throw new Error(`the producer ended: ${producer.errors().slice(-2000)}`);
    const [victim] = fleet.workers.splice(Math.floor(next() * fleet.workers.length), 1);
    const held = await fleet.heldBy(victim.nodes);
    const running = await runningOf(victim, held);
    const sentAt = performance.now();
    victim.process.child.kill("SIGTERM");
    const code = await victim.process.exited;
    const stillHeld = await fleet.heldBy(victim.nodes);
    if (code !== 0 || stillHeld.length > 0) {
      failures.push({ code, stillHeld: stillHeld.slice(0, 5), log: victim.process.errors().slice(-1000) });
    }
    if (running > 0 && held.length > (flags.acks === "early" ? 0 : running)) {
      stopMs.push(performance.now() - sentAt);
      heldInAll += held.length;
      runningInAll += running;
    } else idle += 1;
    if (idle > wanted + 20) throw new Error("most victims held nothing: the load is too small");
    await fleet.addWorker();
    if (stopMs.length % 25 === 0) console.error(`${stopMs.length} times`);
  }
  producer.child.kill("SIGTERM");
  await producer.exited;
  const { accepted, open, left } = await fleet.settle({ timeoutMs: 60_000 });
  const starts = new Map();
  for (const line of await fleet.record.lrange("runs", 0, -1)) {
    const [id] = JSON.parse(line);
    starts.set(id, (starts.get(id) ?? 0) + 1);
  }
  const stored = await fleet.storedResults(accepted);
  const lost = [...new Set([...open, ...accepted.filter((id) => !stored.has(id))])];
  const duplicated = [...starts].filter(([, runs]) => runs > 1).map(([id]) => id);
  report = {
    pool: flags.pool,
    acks: flags.acks,
    seed,
    times: stopMs.length,
    idle,
    seconds: Math.round((Date.now() - startedAt) / 1000),
    accepted: accepted.length,
    heldAtSigterm: heldInAll,
    runningAtSigterm: runningInAll,
    exitMs: { median: Math.round(percentile(stopMs, 0.5)), max: Math.round(Math.max(...stopMs)) },
    failures: failures.slice(0, 5),
    lost: lost.length,
    lostIds: lost.slice(0, 10),
    duplicated: duplicated.length,
    duplicatedIds: duplicated.slice(0, 10),
    left,
  };
  const stuck = left.queued + left.unacked + left.index + left.lease + left.dead;
  report.ok = failures.length + lost.length + duplicated.length + stuck === 0;
} finally {
  await fleet.close();
}
console.log(JSON.stringify(report, null, 1));
process.exitCode = report.ok ? 0 : 1;
