/** `make demo-python`: both languages. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { root } from "../support/built.ts";
import { withoutPython } from "../support/without-python.ts";

const bothWays = withoutPython === undefined;

test("the demo sends ten tasks each way and a chord over both, shows who ran them, and stops all that it started", () => {
  const run = spawnSync(process.execPath, ["scripts/demo-python.mjs"], {
    cwd: root,
    env: { ...process.env, DEMO_EXIT: "1", NO_COLOR: "1" },
    encoding: "utf8",
    timeout: 120_000,
  });
  expect(run.stderr + run.stdout).toContain(bothWays ? "Twenty tasks went round." : "no Python worker: ");
  expect(run.status).toBe(0);
  const rows = run.stdout.split("\n").filter((line) => /^ {2}demo\./.test(line));
  expect(rows).toHaveLength(bothWays ? 20 : 10);
  expect(rows.filter((row) => row.includes("Python 3"))).toHaveLength(bothWays ? 10 : 0);
  expect(rows.filter((row) => row.includes("Node "))).toHaveLength(9);
  expect(run.stdout.includes("265252859812191058636308480000000")).toBe(bothWays);
  expect(run.stdout).toContain("1 divided by zero");
  expect(run.stdout.includes("and made 147")).toBe(bothWays);
  const pids = [...run.stdout.matchAll(/^stopped .*\(pid (\d+)\)$/gm)].map(([, pid]) => Number(pid));
  expect(pids).toHaveLength(bothWays ? 3 : 2);
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
