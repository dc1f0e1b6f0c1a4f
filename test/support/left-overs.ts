/**
 * Processes that a test file started and may not live to stop: a test that times out, a worker of vitest that is killed.
 * Each is a file in the run's folder while it lives; the global setup stops by its pid what is left at the end.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Entry {
  readonly pid: number;
  /** The process leads a group of its own, which goes with it. */
  readonly group: boolean;
  /** Part of its command line, so that a pid that was given to another process is left alone. */
  readonly command: string;
}

const PREFIX = "process-";

interface Started {
  readonly pid?: number | undefined;
  once(event: "exit", listener: () => void): unknown;
}

/** To be called right after the start. */
export function trackProcess(child: Started, command: string, group = false): void {
  const dir = process.env["PETIOLE_TEST_DIR"];
  if (dir === undefined || !child.pid) return;
  const file = join(dir, `${PREFIX}${child.pid}`);
  const entry: Entry = { pid: child.pid, group, command };
  writeFileSync(file, JSON.stringify(entry));
  child.once("exit", () => rmSync(file, { force: true }));
}

/** Stops what is left of a run; says so, since a test should have stopped it. */
export function stopLeftOvers(dir: string): void {
  for (const name of readdirSync(dir).filter((one) => one.startsWith(PREFIX))) {
    const { pid, group, command } = JSON.parse(readFileSync(join(dir, name), "utf8")) as Entry;
    const line = spawnSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" }).stdout ?? "";
    if (!line.includes(command)) continue;
    process.stderr.write(`left over by a test, stopped: ${line.trim().slice(0, 120)}\n`);
    try {
      process.kill(group ? -pid : pid, "SIGKILL");
    } catch {
      // Gone meanwhile.
    }
  }
}
