/**
 * Once for each run of vitest: the build that child processes use, the Redis server's program, a folder for
 * the run's temporary files. At the end, processes that a killed test file left behind are stopped by their pids.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./built.ts";
import { stopLeftOvers } from "./left-overs.ts";

export default function setup(): () => void {
  // Projects share the process: what the first one prepared serves all.
  if (process.env["PETIOLE_TEST_DIR"] !== undefined) return () => {};
  const dir = mkdtempSync(join(tmpdir(), "petiole-test-"));
  process.env["PETIOLE_TEST_DIR"] = dir;
  build();
  execFileSync(process.execPath, [join(root, "scripts/ensure-servers.mjs")], { stdio: "inherit" });
  return () => {
    stopLeftOvers(dir);
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
