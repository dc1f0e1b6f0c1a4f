/** Short forms of the fault runs of `make faults` that concern pools: SIGTERM under load, and children that are killed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { root } from "../support/built.ts";
import { trackProcess } from "../support/left-overs.ts";

type Report = Readonly<Record<string, unknown>>;

async function run(script: string, ...words: string[]): Promise<Report> {
  const file = `${root}bench/faults/${script}`;
  const child = spawn(process.execPath, [file, ...words], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  trackProcess(child, file);
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.err += chunk.toString()));
  const timer = setTimeout(() => child.kill("SIGTERM"), 100_000);
  await once(child, "close");
  clearTimeout(timer);
  if (!said.out.startsWith("{")) throw new Error(`${script} ended with ${child.exitCode}: ${said.err}`);
  return { ...(JSON.parse(said.out) as Report), exitCode: child.exitCode };
}

test.each([
  ["async", "late"],
  ["async", "early"],
  ["prefork", "late"],
])(
  "SIGTERM under load (%s, acks %s): what runs ends, what was reserved goes back, nothing is lost or run twice",
  async (pool, acks) => {
    const report = await run(
      "sigterm.mjs",
      "--pool",
      pool,
      "--acks",
      acks,
      "--times",
      "2",
      "--concurrency",
      pool === "prefork" ? "2" : "4",
    );
    expect(report).toMatchObject({ ok: true, times: 2, failures: [], lost: 0, duplicated: 0, exitCode: 0 });
    expect(Number(report["runningAtSigterm"])).toBeGreaterThan(0);
  },
  120_000,
);

test.each(["prefork", "threads"])(
  "children that are killed in the middle of a task (%s) are replaced, and each costs one run of its task",
  async (pool) => {
    // How soon the slot is back is measured by `make faults`, on a machine that does nothing else.
    const report = await run(
      "child-kill.mjs",
      "--pool",
      pool,
      "--kills",
      "3",
      "--concurrency",
      "2",
      "--slot-ms",
      "20000",
    );
    expect(report).toMatchObject({ ok: true, keptPid: true, lost: 0, inexactReruns: [], exitCode: 0 });
    expect(report["reruns"]).toBeGreaterThanOrEqual(Number(report["kills"]));
    expect(Number(report["kills"])).toBeGreaterThan(0);
  },
  120_000,
);
