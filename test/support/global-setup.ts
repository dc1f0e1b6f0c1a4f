/**
 * Once for each run of vitest: the build that child processes use, the Redis server's program, a folder for
 * the run's temporary files. At the end, servers that a killed test file left behind are stopped by their pids.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./built.ts";

export default function setup(): () => void {
  // Projects share the process: what the first one prepared serves all.
  if (process.env["PETIOLE_TEST_DIR"] !== undefined) return () => {};
  const dir = mkdtempSync(join(tmpdir(), "petiole-test-"));
  process.env["PETIOLE_TEST_DIR"] = dir;
  build();
  execFileSync(process.execPath, [join(root, "scripts/ensure-servers.mjs")], { stdio: "inherit" });
  return () => {
    for (const entry of readdirSync(dir)) stopLeftOver(join(dir, entry));
    rmSync(dir, { recursive: true, force: true });
    delete process.env["PETIOLE_TEST_DIR"];
  };
}

/** Type errors fail `make check`; here what was emitted is tested all the same, except where CI asks for both. */
function build(): void {
  const run = spawnSync(process.execPath, [join(root, "scripts/build.mjs"), "--brief"], { stdio: "inherit" });
  if (run.status === 0) return;
  if (process.env["CI"] === "true") throw new Error("the build failed: see the compiler's messages above");
  process.stderr.write("the build has errors (above); testing what it emitted\n");
}

/** A process is ours when its command line names the directory that we made for it. */
function stopLeftOver(dir: string): void {
  const pidFile = join(dir, "pid");
  if (!existsSync(pidFile)) return;
  const pid = readFileSync(pidFile, "utf8");
  const command = spawnSync("ps", ["-o", "args=", "-p", pid], { encoding: "utf8" }).stdout;
  if (command?.includes("redis-server") || command?.includes(dir)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // Gone meanwhile.
    }
  }
}
