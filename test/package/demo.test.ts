/** `make demo` is the first thing that a visitor runs. */
import { spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { root } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { trackProcess } from "../support/left-overs.ts";
import { freePort } from "../support/redis.ts";

const READY = "Ctrl-C stops everything.";

test("the demo starts the example, says what to try, shows what its processes log, and Ctrl-C stops all of it", async () => {
  const port = await freePort();
  const demo = spawn(process.execPath, ["scripts/demo.mjs"], {
    cwd: root,
    env: { ...process.env, PORT: String(port), NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  trackProcess(demo, "scripts/demo.mjs");
  let out = "";
  demo.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  demo.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
  await eventually(
    "it is up",
    () => {
      if (demo.exitCode !== null) throw new Error(out);
      return out.includes(READY);
    },
    { timeoutMs: 90_000 },
  );
  expect(out).toContain(`curl 'http://127.0.0.1:${port}/tasks/add/?x=10&y=20'`);
  expect(out).toContain('"result":30');
  const answer = await fetch(`http://127.0.0.1:${port}/tasks/hello/`);
  const { task_id: id } = (await answer.json()) as { task_id: string };
  await eventually("the log of a worker is shown", () =>
    new RegExp(`^worker[12] +│ .*web\\.hello\\[${id}\\] succeeded`, "m").test(out),
  );
  demo.kill("SIGINT");
  await eventually("it has ended", () => demo.exitCode !== null, { timeoutMs: 30_000 });
  expect(demo.exitCode).toBe(130);
  const stopped = [...out.matchAll(/^stopped (\w+) \(pid (\d+)\)$/gm)];
  expect(stopped.map(([, name]) => name)).toEqual(
    expect.arrayContaining(["beat", "worker2", "worker1", "web"]),
  );
  expect(stopped.map(([, , pid]) => Number(pid)).filter(isAlive)).toEqual([]);
});

test("a port that is taken is told, with how to choose another one", async () => {
  const holder = createServer();
  const port = await new Promise<number>((resolve) => {
    holder.listen(0, "127.0.0.1", () => resolve((holder.address() as { port: number }).port));
  });
  try {
    const run = spawnSync(process.execPath, ["scripts/demo.mjs"], {
      cwd: root,
      env: { ...process.env, PORT: String(port) },
      encoding: "utf8",
      timeout: 60_000,
    });
    expect([run.status, run.stdout]).toEqual([1, ""]);
    expect(run.stderr).toBe(
      `port ${port} is taken by another program: choose another one, as in PORT=${port + 1} make demo\n`,
    );
  } finally {
    holder.close();
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
