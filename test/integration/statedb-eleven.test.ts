/**
 * Thousands of ids, and stamps of more tasks, revoked while no worker is online. `make statedb-faults` does it with ten thousand
 * ids and a hundred stamps of a thousand tasks, and looks at the time.
 */
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const IDS = Number(process.env["PETIOLE_STATEDB_IDS"] ?? 2_000);
const STAMPS = IDS / 100;
const STAMPED = IDS / 10;
/** The aim is at full size; others look only whether it ends. */
const WITHIN_MS = IDS >= 10_000 ? 5_000 : 60_000;

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis({ aof: true });
});
afterAll(() => redis.stop());

test(`none of ${IDS + STAMPED} runs, and all are REVOKED soon after the workers are ready`, {
  timeout: 180_000,
}, async () => {
  const settings = {
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
    redisStatedbUrl: `${redis.url}/2`,
    logger: silentLogger,
  };
  const client = new Celery("eleven", settings);
  const plain = await client.sendMany(Array.from({ length: IDS }, () => client.signature("e.run", [])));
  const stamped = Array.from({ length: STAMPED }, (_, index) =>
    client.signatureFrom({
      task: "e.run",
      args: [],
      kwargs: {},
      options: { stamped_headers: ["batch"], batch: `b${index % STAMPS}` },
      subtask_type: null,
      immutable: false,
    }),
  );
  const marked = await Promise.all(stamped.map((one) => one.applyAsync([])));
  await client.control.revoke(plain.map(({ id }) => id));
  await client.control.revokeByStampedHeaders({ batch: Array.from({ length: STAMPS }, (_, n) => `b${n}`) });
  const ran: string[] = [];
  const workers = ["w1@host", "w2@host"].map((hostname) => {
    const app = new Celery("eleven", settings);
    app.task("e.run", { bind: true }, (task) => void ran.push(task.request.id));
    return { app, worker: new Worker(app, { hostname }) };
  });
  await Promise.all(workers.map(({ worker }) => worker.start()));
  try {
    const [from, cpu] = [performance.now(), process.cpuUsage()];
    const revoked = async (): Promise<number> => {
      const script =
        "redis.call('SELECT', 1) local n = 0 for _, k in ipairs(redis.call('KEYS', 'celery-task-meta-*')) do if string.find(redis.call('GET', k), '\"REVOKED\"', 1, true) then n = n + 1 end end return n";
      return Number(await redis.command("EVAL", script, "0"));
    };
    await eventually("all are REVOKED", async () => (await revoked()) === IDS + STAMPED, {
      timeoutMs: 60_000,
      intervalMs: 200,
    });
    const tookMs = performance.now() - from;
    const { user, system } = process.cpuUsage(cpu);
    const cpuMs = Math.round((user + system) / 1000);
    process.stderr.write(
      `${IDS + STAMPED} REVOKED ${Math.round(tookMs)} ms after ready, ${cpuMs} ms of CPU for both workers\n`,
    );
    expect(tookMs).toBeLessThan(WITHIN_MS);
    await eventually("the queue is empty", async () => (await redis.command("LLEN", "celery")) === "0");
    expect(ran).toEqual([]);
    expect(marked).toHaveLength(STAMPED);
  } finally {
    await Promise.all(workers.map(({ worker }) => worker.stop()));
    await Promise.all([client, ...workers.map(({ app }) => app)].map((app) => app.close()));
  }
});
