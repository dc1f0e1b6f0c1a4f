// Everything that can be told without running the tests: each step with its time, all of them even when one fails.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (name) => join(root, "node_modules/.bin", name);
const script = (name, ...args) => [process.execPath, join(root, "scripts", name), ...args];

/** [what, command]. Those of one group run side by side. */
const GROUPS = [
  // First: the linter takes the types of "petiole" from what is built.
  [["build", script("build.mjs")]],
  [
    ["lockfile", script("lockfile.mjs", "--check")],
    ["format", [bin("biome"), "ci", "."]],
    [
      "lint",
      [bin("oxlint"), "--type-aware", "src", "test", "bench", "scripts", "examples", "vitest.config.ts"],
    ],
    ["types", [bin("tsc"), "-p", "tsconfig.check.json"]],
    ["types: tests of", [bin("tsc"), "-p", "test/types/tsconfig.json"]],
    ["types: examples", [bin("tsc"), "-p", "examples/tsconfig.json"]],
    ["types: examples/web", [bin("tsc"), "-p", "examples/web", "--noEmit"]],
    ["public API documented", [bin("typedoc")]],
    ["import rules", [bin("depcruise"), "src", "--config", ".dependency-cruiser.cjs"]],
    ["dead code", [bin("knip")]],
  ],
  [
    ["package exports", script("check-package.mjs")],
    ["documents", script("docs.mjs", "--check")],
  ],
];
const SIDE_BY_SIDE = 2;

function run([what, [program, ...args]]) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.once("error", (error) => (output += error.message));
    child.once("close", (code) => {
      const time = `${((Date.now() - started) / 1000).toFixed(1)} s`;
      process.stdout.write(`${code === 0 ? "ok  " : "FAIL"}  ${what.padEnd(22)} ${time}\n`);
      if (code !== 0) process.stdout.write(`${output.trim()}\n`);
      resolve(code === 0);
    });
  });
}

let failed = 0;
for (const group of GROUPS) {
  const waiting = [...group];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (!(await run(next))) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
}
process.stdout.write(failed === 0 ? "check: all good\n" : `check: ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
