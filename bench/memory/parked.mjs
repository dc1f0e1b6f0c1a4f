#!/usr/bin/env node
/**
 * `make parked`, or `node bench/memory/parked.mjs [--tasks 200000] [--grow-mb 20]`
 *
 * How much a worker's memory grows with the tasks that wait for their ETA: they wait in the broker. The worker first runs a
 * few tasks and parks a few, so that its code is loaded and compiled; then the others are sent an hour ahead, and are parked by
 * it. Resident memory before and after, once both have settled. Prints JSON; exit code 1 when it grew by more than that, when
 * a message is not parked, or when the worker does not run a task at the end.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { endAll, runJson, start, usage } from "../lib/process-tree.mjs";
import { RedisServer } from "../lib/redis-server.mjs";
import { until } from "../lib/run-peer.mjs";

const { values: flags } = parseArgs({
  options: { tasks: { type: "string", default: "200000" }, "grow-mb": { type: "string", default: "20" } },
});
const tasks = Number(flags.tasks);
const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const cwd = file("../../");
const HOUR = 3600;
const WARM_UP = 2000;
/** Memory counts when it has not moved by more than this for so long. */
const STILL_MB = 1;
const STILL_MS = 4000;

const server = await RedisServer.start();
const client = server.client();
const env = {
  ...process.env,
  PARKED_BROKER: `redis://127.0.0.1:${server.port}/0`,
  PARKED_BACKEND: `redis://127.0.0.1:${server.port}/1`,
};
const send = (count, countdown) =>
  runJson(process.execPath, [file("producer.mjs"), String(count), String(countdown)], { cwd, env });
const worker = start(
  process.execPath,
  [file("../../dist/cli/main.js"), "-A", file("tasks.mjs"), "worker", "-c", "10", "-n", "w@parked"],
  { cwd, env },
);
const parked = () => client.zcard("unacked_parked");
const wait = { worker, timeoutMs: 300_000, everyMs: 100 };

async function untilParked(count) {
  await until(async () => ((await parked()) >= count ? true : null), {
    ...wait,
    what: `parking ${count} tasks`,
  });
}

async function untilRun() {
  await until(
    async () =>
      (await client.llen("celery")) + (await client.hlen("unacked")) - (await parked()) === 0 ? true : null,
    { ...wait, what: "running what is due" },
  );
}

/** Resident memory, MB, once it is still. */
async function settledMB() {
  let still = { mb: Number.NaN, since: Date.now() };
  return until(
    async () => {
      const mb = usage([worker.pid]).rssBytes / 1e6;
      if (!(Math.abs(mb - still.mb) <= STILL_MB)) still = { mb, since: Date.now() };
      return Date.now() - still.since >= STILL_MS ? mb : null;
    },
    { ...wait, what: "waiting for memory to settle", timeoutMs: 60_000 },
  );
}

let report;
try {
  await send(WARM_UP, 0);
  await untilRun();
  await send(WARM_UP, HOUR);
  await untilParked(WARM_UP);
  const beforeMB = await settledMB();
  let peakMB = beforeMB;
  const watch = setInterval(() => (peakMB = Math.max(peakMB, usage([worker.pid]).rssBytes / 1e6)), 50);
  const startedAt = Date.now();
  await send(tasks, HOUR);
  await untilParked(WARM_UP + tasks);
  const seconds = (Date.now() - startedAt) / 1000;
  clearInterval(watch);
  const afterMB = await settledMB();
  await send(1, 0);
  await untilRun();
  const grewMB = afterMB - beforeMB;
  report = {
    tasks,
    parked: (await parked()) - WARM_UP,
    seconds: Math.round(seconds),
    beforeMB: Math.round(beforeMB * 10) / 10,
    peakMB: Math.round(peakMB * 10) / 10,
    afterMB: Math.round(afterMB * 10) / 10,
    grewMB: Math.round(grewMB * 10) / 10,
  };
  report.ok = report.parked === tasks && grewMB <= Number(flags["grow-mb"]);
} finally {
  endAll();
  client.disconnect();
  await server.stop();
}
console.log(JSON.stringify(report, null, 1));
process.exitCode = report.ok ? 0 : 1;
