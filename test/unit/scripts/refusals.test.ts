/** What the scripts do not know is refused before they do anything. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../support/built.ts";

test.each([
  ["test.mjs", ["--projects=typo,unit"], "no tests in typo; choose from conformance, integration, interop,"],
  ["test.mjs", ["--projects="], "no tests in ; choose from"],
  ["test.mjs", ["--project=unit"], "Unknown option '--project'"],
  ["test-nodes.mjs", ["--other"], "Unknown option '--other'"],
  [
    "ensure-servers.mjs",
    ["Postgres"],
    "no server Postgres; choose from Redis, PostgreSQL, MariaDB, Chromium",
  ],
  ["first-curl.mjs", [], "PETIOLE_FIRST_CURL_S=abc is no limit"],
])("%s %j", (script, args, why) => {
  const run = spawnSync(process.execPath, [join(root, "scripts", script), ...args], {
    encoding: "utf8",
    env: { ...process.env, PETIOLE_FIRST_CURL_S: "abc" },
    timeout: 20_000,
  });
  expect(run.stderr).toContain(why);
  expect(run.status).toBe(1);
});
