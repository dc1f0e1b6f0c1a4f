/**
 * SIGKILL of a worker at some moment after it acknowledged a revoke, again and again: its successor, under the same name, another
 * name, or on another host whose clock is days away, does not run the task. `make statedb-faults` does it 200 times.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
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
/** When it is killed: at once, up to what a publish, a sync to disk or a checkpoint takes. */
const killAfterMs = (round: number): number => (round * 7) % 31;

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

interface Identity {
  readonly name: string;
  /** What its clock is off by. */
  readonly clockMs: number;
}

/** Each the successor of the one before. */
function identity(round: number): Identity {
  const of: readonly ((age: number) => Identity)[] = [
    (age) => ({ name: `w${age}@here`, clockMs: 0 }),
    (age) => ({ name: `w${age}@here`, clockMs: 0 }),
    (age) => ({ name: `x${age}@here`, clockMs: 0 }),
    (age) => ({ name: `w${age}@ahead-${age}`, clockMs: 3 * DAY_MS }),
    (age) => ({ name: `w${age}@behind-${age}`, clockMs: -3 * DAY_MS }),
  ];
  return (of[round % of.length] as (age: number) => Identity)(Math.floor(round / of.length));
}

/** A worker in a process of its own, with another idea of what day it is. One task at a time, of a queue of its round. */
function startWorker(round: number): ChildProcess {
  const { name, clockMs } = identity(round);
  const shift = `data:text/javascript,const now = Date.now; Date.now = () => now() + ${clockMs}`;
  const words = ["-A", join(dir, "app.mjs"), "worker", "-n", name, "-Q", queueOf(round), "-c", "1"];
  const alone = ["--without-mingle", "--without-gossip", "--redis-statedb", `${redis.url}/2`];
  const child = spawn(process.execPath, ["--import", shift, cli, ...words, ...alone], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  trackProcess(child, "petiole worker");
  return child;
}

const queueOf = (round: number): string => `round-${round}`;

/** Every fifth is revoked by its stamp. */
const isStamped = (round: number): boolean => round % 5 === 3;

async function send(client: Celery, round: number): Promise<string> {
  const data = { task: "k.run", args: [], kwargs: {}, subtask_type: null, immutable: false };
  const options = { queue: queueOf(round + 1) };
  const stamp = { stamped_headers: ["round"], round: `r${round}` };
  const call = client.signatureFrom({
    ...data,
    options: isStamped(round) ? { ...options, ...stamp } : options,
  });
  return (await call.applyAsync([])).id;
}

/** Until the worker, which may still be starting, has acknowledged it. */
async function revoke(client: Celery, id: string, round: number): Promise<void> {
  const options = { reply: true, limit: 1, timeout: 1 };
  await eventually(
    "the worker acknowledges",
    async () => {
      const replies = isStamped(round)
        ? await client.control.revokeByStampedHeaders({ round: `r${round}` }, options)
        : await client.control.revoke(id, options);
      const [reply] = Object.values(replies);
      expect(JSON.stringify(reply ?? "")).not.toContain("not in the state DB yet");
      return reply !== undefined;
    },
    { timeoutMs: 60_000 },
  );
}

test(`a revoke that was acknowledged holds, ${KILLS} times`, {
  timeout: 30_000 + KILLS * 10_000,
}, async () => {
  const settings = { brokerUrl: `${redis.url}/0`, resultBackend: `${redis.url}/1`, logger: silentLogger };
  const client = new Celery("kill", settings);
  const revoked: string[] = [];
  /** Behind the one that is revoked, in its queue: once it ran, that one's turn is over. */
  const next = async (round: number): Promise<void> => {
    const behind = await client.sendTask("k.run", [], { queue: queueOf(round) });
    expect(await behind.get({ timeout: 60 })).toBe("ran");
    const last = revoked.at(-1);
    if (last === undefined) return;
    await eventually("it is REVOKED", async () => (await client.asyncResult(last).state()) === "REVOKED");
    if (round % 50 === 0) process.stderr.write(`${round} workers were killed, no revoked task ran\n`);
  };
  for (let round = 0; round < KILLS; round += 1) {
    const child = startWorker(round);
    await next(round);
    const id = await send(client, round);
    await revoke(client, id, round);
    revoked.push(id);
    const gone = once(child, "exit");
    await setTimeout(killAfterMs(round));
    child.kill("SIGKILL");
    await gone;
  }
  const app = new Celery("kill", { ...settings, redisStatedbUrl: `${redis.url}/2` });
  app.task("k.run", () => "ran");
  const last = new Worker(app, { hostname: "new@elsewhere", queues: [queueOf(KILLS)] });
  await last.start();
  try {
    await next(KILLS);
    const ids = revoked.filter((_, round) => !isStamped(round));
    const { "new@elsewhere": known = [] } = await client.control.inspect({ timeout: 5, limit: 1 }).revoked();
    expect([...known].sort()).toEqual([...ids].sort());
  } finally {
    await last.stop();
    await app.close();
    await client.close();
  }
});
