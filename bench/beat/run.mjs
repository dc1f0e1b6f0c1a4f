#!/usr/bin/env node
/**
 * `make beat-bench`, or `node bench/beat/run.mjs [--entries 10000] [--seconds 120]`
 *
 * A scheduler of 10,000 entries, half of them intervals of ten minutes that begin at different times, half crontabs that run once an hour
 * in twenty zones: how long it takes until it leads, what CPU it takes after that, and how much later than its slot each run is in the broker,
 * as a client sees it that waits for it there. Prints JSON; exit code 1 beyond 2 s, 5 % or 100 ms (p99).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { endAll, start, usage } from "../lib/process-tree.mjs";
import { RedisServer } from "../lib/redis-server.mjs";
import { until } from "../lib/run-peer.mjs";

const { values: flags } = parseArgs({
  options: { entries: { type: "string", default: "10000" }, seconds: { type: "string", default: "120" } },
});
const entries = Number(flags.entries);
const seconds = Number(flags.seconds);
const LIMITS = { startSeconds: 2, cpuPercent: 5, delayMs: 100 };
const MINUTE_MS = 60_000;

const dir = mkdtempSync(path.join(tmpdir(), "petiole-beat-bench-"));
const server = await RedisServer.start();
const client = server.client();
const originMs = Date.now();
const startedMs = performance.now();
const beat = start(process.execPath, [fileURLToPath(new URL("beat.mjs", import.meta.url))], {
  cwd: fileURLToPath(new URL("../../", import.meta.url)),
  env: {
    ...process.env,
    BEAT_BROKER: `redis://127.0.0.1:${server.port}/0`,
    BEAT_FILE: path.join(dir, "schedule"),
    BEAT_ENTRIES: String(entries),
    BEAT_ORIGIN: String(originMs),
  },
});
const wait = { worker: beat, timeoutMs: 60_000, everyMs: 5 };

/** The slot that a run belongs to: of an interval, counted from where it began; a crontab's is a whole minute. */
function slotOf([kind, startMs], nowMs) {
  if (kind === "crontab") return Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
  const everyMs = 10 * MINUTE_MS;
  return startMs + Math.floor((nowMs - startMs) / everyMs) * everyMs;
}

const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

let report;
try {
  await until(async () => ((await client.get("beat-leads")) === "1" ? true : null), {
    ...wait,
    what: "starting the scheduler",
  });
  const startSeconds = (performance.now() - startedMs) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await client.del("ticks");
  const before = usage([beat.pid]);
  const measuredMs = performance.now();
  const delays = [];
  while (performance.now() - measuredMs < seconds * 1000) {
    const found = await client.blpop("ticks", 1);
    if (found === null) continue;
    const nowMs = Date.now();
    const [args] = JSON.parse(Buffer.from(JSON.parse(found[1]).body, "base64").toString());
    delays.push(nowMs - slotOf(args, nowMs));
  }
  const after = usage([beat.pid]);
  const wallSeconds = (performance.now() - measuredMs) / 1000;
  delays.sort((a, b) => a - b);
  report = {
    entries,
    startSeconds,
    cpuPercent: ((after.cpuSeconds - before.cpuSeconds) / wallSeconds) * 100,
    rssMB: after.rssBytes / 1e6,
    runs: delays.length,
    runsPerSecond: delays.length / wallSeconds,
    delayMs: { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99), max: delays.at(-1) },
    limits: LIMITS,
  };
} finally {
  endAll();
  client.disconnect();
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
}
console.log(JSON.stringify(report, null, 1));
const held =
  report.startSeconds <= LIMITS.startSeconds &&
  report.cpuPercent <= LIMITS.cpuPercent &&
  report.delayMs.p99 <= LIMITS.delayMs;
process.exitCode = held ? 0 : 1;
