#!/usr/bin/env node
/**
 * `node bench/faults/kill.mjs [--kills 300] [--seed S] [--workers 3]`
 *
 * Random SIGKILLs of workers under load, Redis with AOF. A kill counts when the victim held messages; another worker
 * takes its place. At the end every task that the broker had taken must have ended with a stored result, nothing may be
 * left over, and whatever ran more than once must have been in flight at that many kills. Prints JSON; exit code 1 when
 * one of these does not hold.
 */
import { parseArgs } from "node:util";
import { Fleet, pause } from "./fleet.mjs";
import { random } from "./random.mjs";

const { values: flags } = parseArgs({
  options: {
    kills: { type: "string", default: "300" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    workers: { type: "string", default: "3" },
  },
});
const wanted = Number(flags.kills);
const seed = Number(flags.seed);
const next = random(seed);
const LEASE_MS = 5000;

const fleet = await Fleet.open({
  seed,
  brokerArgs: ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""],
});
console.error(`seed ${seed}: ${wanted} kills of ${flags.workers} workers`);
let report;
try {
  const producer = fleet.startProducer();
  for (let i = 0; i < Number(flags.workers); i += 1) await fleet.addWorker();

  /** id -> at how many kills it was in flight. */
  const inFlight = new Map();
  let kills = 0;
  let idleKills = 0;
  let heldInAll = 0;
  const startedAt = Date.now();
  while (kills < wanted) {
    await pause(50 + next() * 700);
    if (!producer.running) throw new Error(`the producer ended: ${producer.errors().slice(-2000)}`);
    const [victim] = fleet.workers.splice(Math.floor(next() * fleet.workers.length), 1);
    victim.process.child.kill("SIGKILL");
    await victim.process.exited;
    // What it had written to its socket is carried out by now: nobody else touches its tags before its lease ends.
    await pause(30);
    const held = await fleet.heldBy(victim.nodes);
    for (const id of held) inFlight.set(id, (inFlight.get(id) ?? 0) + 1);
    heldInAll += held.length;
    if (held.length > 0) kills += 1;
    else idleKills += 1;
    if (idleKills > wanted) throw new Error("most victims held nothing: the load is too small");
    await fleet.addWorker();
    if (kills % 25 === 0) console.error(`${kills} kills, ${fleet.accepted().length} tasks accepted`);
  }
  producer.child.kill("SIGTERM");
  await producer.exited;
  const { accepted, ends, open, left } = await fleet.settle({ timeoutMs: LEASE_MS + 60_000 });
  const starts = await fleet.record.hgetall("starts");
  const lost = [...new Set([...open, ...(await fleet.withoutResult(accepted))])];
  const known = new Set(accepted);
  const duplicates = Object.entries(starts).filter(([, runs]) => Number(runs) > 1);
  const unexcused = duplicates.filter(([id, runs]) => Number(runs) > 1 + (inFlight.get(id) ?? 0));
  report = {
    seed,
    kills,
    idleKills,
    seconds: Math.round((Date.now() - startedAt) / 1000),
    accepted: accepted.length,
    notAccepted: fleet.refused().length,
    executions: Object.values(starts).reduce((sum, runs) => sum + Number(runs), 0),
    ended: Object.keys(ends).filter((id) => known.has(id)).length,
    inFlightAtKills: heldInAll,
    lost: lost.length,
    lostIds: lost.slice(0, 20),
    duplicates: duplicates.length,
    unexcusedDuplicates: unexcused
      .map(([id, runs]) => ({ id, runs: Number(runs), kills: inFlight.get(id) ?? 0 }))
      .slice(0, 20),
    left,
  };
} finally {
  await fleet.close();
}
const stuck =
  report.left.queued + report.left.unacked + report.left.index + report.left.lease + report.left.dead;
report.ok = report.lost === 0 && report.unexcusedDuplicates.length === 0 && stuck === 0;
console.log(JSON.stringify(report, null, 1));
process.exitCode = report.ok ? 0 : 1;
