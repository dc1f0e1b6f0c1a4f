#!/usr/bin/env node
/** `make faults`: both fault runs, one after the other. Flags of either are passed on: --kills, --restarts, --seed, … */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const words = process.argv.slice(2);
/** Flags that only one of them knows. */
const ONLY = { "kill.mjs": ["--kills"], "restart.mjs": ["--restarts", "--fsync"] };

function wordsFor(script) {
  const foreign = Object.entries(ONLY)
    .filter(([name]) => name !== script)
    .flatMap(([, flags]) => flags);
  return words.filter((word, i) => !foreign.includes(word) && !foreign.includes(words[i - 1]));
}

let failed = 0;
for (const script of Object.keys(ONLY)) {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL(script, import.meta.url)), ...wordsFor(script)],
    {
      stdio: "inherit",
    },
  );
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
