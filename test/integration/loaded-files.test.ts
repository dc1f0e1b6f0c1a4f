/** What a plain `petiole worker` loads before its first task: each file costs its start about half a millisecond, each module some. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, expect, test } from "vitest";
import { root } from "../support/built.ts";
import { loadedModules } from "../support/loaded-modules.ts";
import { startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, petiole, petioleRun } from "./cli-support.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** Of features that are off, of other commands, and what waits for a first use. */
const NOT_AT_START = new RegExp(
  [
    "^codecs/",
    "^statedb/(?!limited-set)",
    "^pool/(?!async|loop-watch|lazy-abort|limits|broken)",
    "^cli/(commands/(?!worker)|specs/(?!worker|global|shared)|daemon/(?!marks|process)|refusal|explain|remedies|failure|options)",
    "^worker/(autoscaler|broadcasts|health|state-keeper|redirect|replacement)\\.",
    "^worker/control/(?!node|state|errors|ask-context)",
    "^transports/redis/(dead|limits|paused|unique|mailbox|scripts/(dead|limits|paused|unique))",
    "^(transports|backends)/memory/(?!topic)",
    "^app/(eager|validate|report)",
  ].join("|"),
);
const AT_MOST = 320;
const FILES_AT_MOST = 45;

test("a plain worker loads nothing of what is off, and no more than it did", async () => {
  const redis = await startRedis();
  ends.push(() => redis.stop());
  const project = makeProject();
  ends.push(() => project.remove());
  const log = join(project.dir, "loaded");
  project.write(
    "tasks.mjs",
    `import { Celery } from ${petiole};
     export const app = new Celery("t", { brokerUrl: process.env.BROKER, resultBackend: process.env.BROKER });
     app.task("t.end", () => process.kill(process.pid, "SIGKILL"));`,
  );
  const env = { BROKER: redis.url, LOADED_LOG: log };
  await petioleRun(["-A", "tasks.mjs", "call", "t.end"], { cwd: project.dir, env });
  const hook = pathToFileURL(join(root, "test/support/log-loads.mjs")).href;
  const worker = new CliProcess(["-A", "tasks.mjs", "worker", "-c", "10"], {
    cwd: project.dir,
    env,
    nodeArgs: ["--import", hook],
  });
  ends.push(() => worker.kill("SIGKILL"));
  await worker.ended;
  const { files, modules } = loadedModules(readFileSync(log, "utf8").trimEnd().split("\n"));
  expect(modules).toContain("worker/tracer.js");
  expect(modules.filter((module) => NOT_AT_START.test(module))).toEqual([]);
  process.stderr.write(
    `petiole worker: ${modules.length} modules in ${files.length} files before its first task\n`,
  );
  expect(modules.length).toBeLessThanOrEqual(AT_MOST);
  expect(files.length).toBeLessThanOrEqual(FILES_AT_MOST);
});
