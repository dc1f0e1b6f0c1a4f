/** `make demo` is the first thing that a visitor runs. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { root } from "../support/built.ts";

test("the demo sends ten tasks each way, shows who ran them, and stops all that it started", () => {
  const run = spawnSync(process.execPath, ["scripts/demo.mjs"], {
    cwd: root,
    env: { ...process.env, DEMO_EXIT: "1", NO_COLOR: "1" },
    encoding: "utf8",
    timeout: 120_000,
  });
  expect(run.stderr + run.stdout).toContain("Twenty tasks went round.");
  expect(run.status).toBe(0);
  const rows = run.stdout.split("\n").filter((line) => /^ {2}demo\./.test(line));
  expect(rows).toHaveLength(20);
  expect(rows.filter((row) => row.includes("Python 3")).length).toBe(10);
  expect(rows.filter((row) => row.includes("Node ")).length).toBe(9);
  expect(run.stdout).toContain("265252859812191058636308480000000");
  expect(run.stdout).toContain("1 divided by zero");
  const pids = [...run.stdout.matchAll(/^stopped .*\(pid (\d+)\)$/gm)].map(([, pid]) => Number(pid));
  expect(pids).toHaveLength(3);
  expect(pids.filter(alive)).toEqual([]);
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
