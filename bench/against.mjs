#!/usr/bin/env node
/**
 * What this tree's async pool costs beside an earlier revision's: CPU of the worker per no-op task, results stored, with
 * events off and on. One round measures revision, tree and tree with `-E` in turn; quoted are medians and their ratios.
 *
 *   node bench/against.mjs --rev 1b68606 [--rounds 5] [--count 400000] [--concurrency 100]
 *
 * The revision is checked out beside this tree in a temporary folder and built there with this tree's packages.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { endAll } from "./lib/process-tree.mjs";
import { summary, table } from "./lib/stats.mjs";
import { petioleAt } from "./peers/index.mjs";
import { drain } from "./sections/drain.mjs";

const { values: flags } = parseArgs({
  options: {
    rev: { type: "string" },
    rounds: { type: "string", default: "5" },
    count: { type: "string", default: "400000" },
    concurrency: { type: "string", default: "100" },
  },
});
if (!flags.rev) {
  console.error("say beside what: node bench/against.mjs --rev REVISION");
  process.exit(64);
}

const root = fileURLToPath(new URL("../", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "petiole-against-"));
const other = `${folder}/tree/`;
const git = (...args) =>
  execFileSync("git", ["-C", root, ...args], { stdio: ["ignore", "ignore", "inherit"] });
process.once("exit", () => {
  rmSync(folder, { recursive: true, force: true });
  git("worktree", "prune");
});
git("worktree", "add", "--detach", other, flags.rev);
symlinkSync(`${root}node_modules`, `${other}node_modules`);
execFileSync(process.execPath, ["scripts/build.mjs"], { cwd: other, stdio: ["ignore", "ignore", "inherit"] });

const contestants = [
  petioleAt(other, { name: flags.rev, label: `${flags.rev}, events off` }),
  petioleAt(root, { name: "off", label: "this tree, events off" }),
  petioleAt(root, { name: "on", label: "this tree, -E", workerArgs: ["-E"] }),
];
const size = { concurrency: Number(flags.concurrency), count: Number(flags.count) };
const samples = new Map(contestants.map(({ name }) => [name, []]));
for (let round = 1; round <= Number(flags.rounds); round += 1) {
  for (const peer of contestants) {
    const sample = await drain({ peer, ...size }).finally(endAll);
    samples.get(peer.name).push(sample);
    console.error(
      `round ${round}  ${peer.label.padEnd(24)} ${sample.workerCpuUs.toFixed(2)} us  ${Math.round(sample.perSecond)} tasks/s`,
    );
  }
}

const medianOf = (name, field) => summary(samples.get(name).map((sample) => sample[field])).median;
const base = medianOf(flags.rev, "workerCpuUs");
const rows = contestants.map(({ name, label }) => {
  const us = medianOf(name, "workerCpuUs");
  return [
    label,
    us.toFixed(2),
    `${us >= base ? "+" : ""}${(100 * (us / base - 1)).toFixed(1)} %`,
    medianOf(name, "redisCpuUs").toFixed(2),
    Math.round(medianOf(name, "perSecond")),
  ];
});
console.log(table(["", "worker CPU us/task", "beside the revision", "Redis CPU us/task", "tasks/s"], rows));
