#!/usr/bin/env node
/**
 * Petiole beside BullMQ and Python Celery on one private Redis. Prints tables, verdicts and JSON.
 *
 *   node bench/run.mjs [--only drain,latency] [--peers petiole,bullmq] [--rounds 5] [--quick] [--json FILE] [--python PATH]
 *
 * One round measures every section for every peer in turn (A B C A B C), so that a busy minute of the machine hits all
 * of them; what is quoted are medians over the rounds and ratios within one run. Method: docs/performance.md.
 */
import { writeFileSync } from "node:fs";
import os from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machine } from "./lib/machine.mjs";
import { endAll } from "./lib/process-tree.mjs";
import { RedisServer } from "./lib/redis-server.mjs";
import { summary } from "./lib/stats.mjs";
import { peersWith } from "./peers/index.mjs";
import { measurementsOf, SECTIONS } from "./plan.mjs";
import { renderText } from "./render.mjs";

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    peers: { type: "string", default: "petiole,bullmq,celery" },
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    python: { type: "string", default: fileURLToPath(new URL("../.venv/bin/python", import.meta.url)) },
    concurrency: { type: "string" },
  },
});

function fail(message) {
  console.error(message);
  process.exit(64);
}

const everyPeer = peersWith(flags.python);
const names = flags.peers.split(",");
const sections = flags.only ? flags.only.split(",") : Object.keys(SECTIONS);
for (const name of names) if (!everyPeer[name]) fail(`no peer ${name}: ${Object.keys(everyPeer).join(", ")}`);
for (const name of sections)
  if (!SECTIONS[name]) fail(`no section ${name}: ${Object.keys(SECTIONS).join(", ")}`);

const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 5));
const notRun = [];
const peers = names.flatMap((name) => {
  const why = everyPeer[name].missing();
  if (why === null) return [everyPeer[name]];
  notRun.push({ peer: name, why });
  console.error(`NOT RUN: ${name}: ${why}`);
  return [];
});
const probe = await RedisServer.start();
const report = {
  machine: machine({
    python: peers.some((peer) => peer.name === "celery") ? flags.python : null,
    redisVersion: probe.version,
  }),
  startedAt: new Date().toISOString(),
  rounds,
  quick: flags.quick,
  notRun,
  samples: [],
};
await probe.stop();

const only = flags.concurrency?.split(",").map(Number);
for (let round = 1; round <= rounds; round += 1) {
  for (const section of sections) {
    for (const { peer, key, measure } of measurementsOf(SECTIONS[section], {
      peers,
      quick: flags.quick,
      only,
    })) {
      const startedAt = Date.now();
      try {
        const values = await measure();
        report.samples.push({ round, peer: peer.name, key, values });
        const shown = Object.entries(values)
          .filter(([, value]) => typeof value === "number")
          .map(([name, value]) => `${name} ${value < 100 ? value.toFixed(2) : Math.round(value)}`);
        console.error(`round ${round}  ${key.padEnd(18)} ${peer.name.padEnd(8)} ${shown.join("  ")}`);
      } catch (error) {
        report.samples.push({ round, peer: peer.name, key, failed: error.message });
        console.error(`round ${round}  ${key.padEnd(18)} ${peer.name.padEnd(8)} FAILED ${error.message}`);
      } finally {
        endAll();
      }
      report.seconds = (report.seconds ?? 0) + (Date.now() - startedAt) / 1000;
    }
  }
}
report.machine.loadAfter = Number(os.loadavg()[0].toFixed(2));

const groups = new Map();
for (const { peer, key, values } of report.samples) {
  for (const [field, value] of Object.entries(values ?? {})) {
    const id = JSON.stringify([peer, key, field]);
    groups.set(id, [...(groups.get(id) ?? []), value]);
  }
}
report.summaries = [...groups].flatMap(([id, values]) => {
  const s = summary(values);
  const [peer, key, field] = JSON.parse(id);
  return s === null ? [] : [{ peer, key, field, ...s }];
});

console.log(renderText(report));
if (flags.json) writeFileSync(flags.json, `${JSON.stringify(report, null, 1)}\n`);
else console.log(JSON.stringify({ machine: report.machine, rounds, summaries: report.summaries }));
const failed = report.samples.filter((sample) => sample.failed);
if (failed.length > 0) {
  console.error(`${failed.length} of ${report.samples.length} measurements failed`);
  process.exitCode = 1;
}
