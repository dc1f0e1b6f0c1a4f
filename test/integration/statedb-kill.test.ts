/**
 * SIGKILL of a worker right after it acknowledged a revoke, again and again: the revoke holds for its successors, whatever
 * their names and clocks. `make statedb-faults` does it 200 times.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { built, cli } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { trackProcess } from "../support/left-overs.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const KILLS = Number(process.env["PETIOLE_STATEDB_KILLS"] ?? 6);
const DAY_MS = 86_400_000;

let redis: RedisServer;
let dir: string;
beforeAll(async () => {
  redis = await startRedis({ aof: true });
  dir = mkdtempSync(join(tmpdir(), "statedb-kill-"));
  writeFileSync(
    join(dir, "app.mjs"),
    `import { Celery } from ${JSON.stringify(built("index.js"))};
export const app = new Celery("kill", { brokerUrl: "${redis.url}/0", resultBackend: "${redis.url}/1" });
app.task("k.run", () => "ran");
`,
  );
});
afterAll(async () => {
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** A worker in a process of its own, with another idea of what day it is; it takes no tasks. */
function startWorker(round: number, clockMs: number): ChildProcess {
  const shift = `data:text/javascript,const now = Date.now; Date.now = () => now() + ${clockMs}`;
  // Now and then the name of the one before.
  const name = `w${Math.floor(round / 2)}@host-${round % 5 === 0 ? "moved" : "same"}`;
  const args = [
    "-A",
    join(dir, "app.mjs"),
    "worker",
    "-n",
    name,
    "-Q",
    "nothing",
    "--without-mingle",
    "--without-gossip",
  ];
  const child = spawn(
    process.execPath,
    ["--import", shift, cli, ...args, "--redis-statedb", `${redis.url}/2`],
    {
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  trackProcess(child, "petiole worker");
  return child;
}

test(`a revoke that was acknowledged holds, ${KILLS} times`, {
  timeout: 30_000 + KILLS * 10_000,
}, async () => {
  const settings = { brokerUrl: `${redis.url}/0`, resultBackend: `${redis.url}/1`, logger: silentLogger };
  const client = new Celery("kill", settings);
  const acknowledged: string[] = [];
  for (let round = 0; round < KILLS; round += 1) {
    const child = startWorker(round, ([0, 3, -3][round % 3] as number) * DAY_MS);
    const { id } = await client.sendTask("k.run", [], { queue: "later" });
    await eventually(
      "the worker acknowledges",
      async () => {
        const replies = await client.control.revoke(id, { reply: true, limit: 1, timeout: 1 });
        return Object.keys(replies).length > 0;
      },
      { timeoutMs: 30_000 },
    );
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    acknowledged.push(id);
  }
  const runs = await client.sendTask("k.run", [], { queue: "later" });
  const app = new Celery("kill", { ...settings, redisStatedbUrl: `${redis.url}/2` });
  const ran: string[] = [];
  app.task("k.run", { bind: true }, (task) => void ran.push(task.request.id));
  const last = new Worker(app, { hostname: "new@elsewhere", queues: ["later"] });
  await last.start();
  try {
    await runs.get({ timeout: 20 });
    for (const id of acknowledged) {
      await eventually("it is REVOKED", async () => (await client.asyncResult(id).state()) === "REVOKED");
    }
    expect(ran).toEqual([runs.id]);
    const { "new@elsewhere": known = [] } = await client.control.inspect({ timeout: 5, limit: 1 }).revoked();
    expect([...known].sort()).toEqual([...acknowledged].sort());
  } finally {
    await last.stop();
    await app.close();
    await client.close();
  }
});
