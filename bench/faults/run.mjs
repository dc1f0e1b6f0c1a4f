#!/usr/bin/env node
/**
 * `make faults`: the fault runs, one after the other. `--only kill,restart,sigterm,child-kill` chooses among them; flags of
 * any of them are passed on: --kills (of workers), --restarts, --times, --child-kills, --seed, …
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    seed: { type: "string" },
    workers: { type: "string" },
    kills: { type: "string" },
    restarts: { type: "string" },
    fsync: { type: "string" },
    times: { type: "string" },
    "child-kills": { type: "string" },
  },
});

/** `takes`: its flag, by ours. */
const RUNS = [
  { name: "kill", words: [], takes: { kills: "kills", workers: "workers" } },
  { name: "restart", words: [], takes: { restarts: "restarts", fsync: "fsync", workers: "workers" } },
  { name: "sigterm", words: ["--pool", "async"], takes: { times: "times" } },
  { name: "sigterm", words: ["--pool", "async", "--acks", "early"], takes: { times: "times" } },
  { name: "sigterm", words: ["--pool", "prefork"], takes: { times: "times" } },
  { name: "child-kill", words: ["--pool", "prefork"], takes: { "child-kills": "kills" } },
  { name: "child-kill", words: ["--pool", "threads"], takes: { "child-kills": "kills" } },
];
const names = [...new Set(RUNS.map(({ name }) => name))];
const only = flags.only?.split(",") ?? names;
const unknown = only.find((name) => !names.includes(name));
if (unknown !== undefined) {
  console.error(`no fault run ${unknown}: ${names.join(", ")}`);
  process.exit(64);
}

function wordsFor({ words, takes }) {
  const passed = Object.entries({ ...takes, seed: "seed" }).flatMap(([ours, theirs]) =>
    flags[ours] === undefined ? [] : [`--${theirs}`, flags[ours]],
  );
  return [...words, ...passed];
}

let failed = 0;
for (const run of RUNS.filter(({ name }) => only.includes(name))) {
  const script = fileURLToPath(new URL(`${run.name}.mjs`, import.meta.url));
  console.error(`--- ${[run.name, ...run.words].join(" ")}`);
  const child = spawn(process.execPath, [script, ...wordsFor(run)], { stdio: "inherit" });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
