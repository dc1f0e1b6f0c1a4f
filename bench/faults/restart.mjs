#!/usr/bin/env node
/**
 * `node bench/faults/restart.mjs [--restarts 50] [--seed S] [--fsync always|everysec]`
 *
 * Restarts of Redis under load, by SIGKILL and by SHUTDOWN in turn, with AOF. After each one, from its first PONG, two
 * times are taken: to the first stored result, and to the body of a task that was sent after the PONG. Workers must be
 * consuming again within 5 s each time, nothing accepted may be lost, nothing may be stuck. Prints JSON; exit code 1
 * when one of these does not hold.
 */
import { parseArgs } from "node:util";
import { Fleet, pause } from "./fleet.mjs";
import { random } from "./random.mjs";

const { values: flags } = parseArgs({
  options: {
    restarts: { type: "string", default: "50" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    workers: { type: "string", default: "2" },
    fsync: { type: "string", default: "always" },
  },
});
const wanted = Number(flags.restarts);
const seed = Number(flags.seed);
const next = random(seed);
const LIMIT_MS = 5000;
const LEASE_MS = 5000;
const LONGEST_DOWN_MS = 12_000;

const fleet = await Fleet.open({
  seed,
  brokerArgs: ["--appendonly", "yes", "--appendfsync", flags.fsync, "--save", ""],
});
Object.assign(process.env, fleet.env);
const { app, probe } = await import("./tasks.mjs");
console.error(`seed ${seed}: ${wanted} restarts, appendfsync ${flags.fsync}`);

/** Milliseconds until `read` gives true; null after the limit. */
async function timeUntil(read, limitMs) {
  const startedAt = Date.now();
  while (Date.now() - startedAt < limitMs) {
    if (await read().catch(() => false)) return Date.now() - startedAt;
    await pause(10);
  }
  return null;
}

let report;
try {
  const producer = fleet.startProducer();
  for (let i = 0; i < Number(flags.workers); i += 1) await fleet.addWorker();
  const restarts = [];
  for (let n = 1; n <= wanted; n += 1) {
    await pause(300 + next() * 1500);
    const how = n % 2 === 1 ? "SIGKILL" : "SHUTDOWN";
    // Mostly short, some long enough for the back-off of the clients to reach its cap.
    const downMs = Math.round(next() ** 3 * LONGEST_DOWN_MS);
    await fleet.broker.down(how === "SIGKILL" ? "SIGKILL" : "SIGTERM");
    await pause(downMs);
    await fleet.broker.up();
    const pongAt = Date.now();
    fleet.reconnect();
    const before = await fleet.results.dbsize();
    const sent = probe.delay(n).then(
      () => null,
      (/** @type {unknown} */ error) => String(error),
    );
    const [resultMs, probeMs] = await Promise.all([
      timeUntil(async () => (await fleet.results.dbsize()) > before, 30_000),
      timeUntil(async () => (await fleet.record.hexists("probes", String(n))) === 1, 30_000),
    ]);
    const at = await fleet.record.hget("probes", String(n));
    restarts.push({
      n,
      how,
      downMs,
      resultMs,
      probeMs: at === null ? probeMs : Number(at) - pongAt,
      sendError: await sent,
    });
    console.error(
      `restart ${n} ${how}, down ${downMs} ms: result ${resultMs} ms, probe ${restarts.at(-1).probeMs} ms`,
    );
    for (const worker of fleet.workers) {
      if (!worker.process.running) {
        throw new Error(`worker ${worker.number} ended: ${worker.process.errors().slice(-2000)}`);
      }
    }
  }
  producer.child.kill("SIGTERM");
  await producer.exited;
  const { accepted, ends, open, left } = await fleet.settle({ timeoutMs: LEASE_MS + 60_000 });
  const starts = await fleet.record.hgetall("starts");
  const copies = await fleet.record.hgetall("copies");
  const duplicates = Object.entries(starts).filter(([, runs]) => Number(runs) > 1);
  const lost = [...new Set([...open, ...(await fleet.withoutResult(accepted))])];
  const times = restarts.map((one) => one.probeMs ?? Number.POSITIVE_INFINITY).toSorted((a, b) => a - b);
  const results = restarts.map((one) => one.resultMs ?? Number.POSITIVE_INFINITY).toSorted((a, b) => a - b);
  report = {
    seed,
    fsync: flags.fsync,
    restarts: restarts.length,
    accepted: accepted.length,
    notAccepted: fleet.refused().slice(0, 20),
    ended: Object.keys(ends).length,
    executions: Object.values(starts).reduce((sum, runs) => sum + Number(runs), 0),
    duplicates: duplicates.length,
    // Nobody died: a task runs twice only when its publish was repeated.
    unexcusedDuplicates: duplicates.filter(([id, runs]) => Number(runs) > 1 + Number(copies[id] ?? 0)),
    lost: lost.length,
    lostIds: lost.slice(0, 20),
    left,
    firstResultMs: { median: results[results.length >> 1], max: results.at(-1) },
    probeMs: { median: times[times.length >> 1], max: times.at(-1) },
    late: restarts.filter((one) => !(one.probeMs <= LIMIT_MS) || !(one.resultMs <= LIMIT_MS)),
    sendErrors: restarts.flatMap((one) => (one.sendError === null ? [] : [one.sendError])),
  };
} catch (error) {
  // Said at once: what ends the connections below makes noise of its own.
  console.error(error);
  throw error;
} finally {
  await app.close().catch(() => {});
  await fleet.close();
}
const stuck =
  report.left.queued + report.left.unacked + report.left.index + report.left.lease + report.left.dead;
report.ok =
  report.lost === 0 && report.late.length === 0 && stuck === 0 && report.unexcusedDuplicates.length === 0;
console.log(JSON.stringify(report, null, 1));
process.exitCode = report.ok ? 0 : 1;
process.exit();
