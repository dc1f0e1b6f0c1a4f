/**
 * PostgreSQL goes away under load: no message is acked before its result is stored, and all results are there within seconds of
 * its return. `make sql-outage` stops it for 30 s.
 */
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { startPostgres } from "../support/postgres.ts";
import { redisCommand, startRedis } from "../support/redis.ts";
import { makeResultTables } from "../support/result-tables.ts";

const OUTAGE_MS = Number(process.env["PETIOLE_SQL_OUTAGE_S"] ?? 1) * 1000;
const LONG = OUTAGE_MS > 5000;
/** Said in the issue; a busy machine may take longer. */
const STORED_MS = LONG ? 5000 : 20_000;
const RATE = 10;
const EVERY_MS = 50;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("a stop of PostgreSQL loses no result, and no ack goes before one", { timeout: 120_000 }, async () => {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  onTestFinished(async () => {
    await redis.stop();
    await postgres.stop();
  });
  const url = await postgres.createDatabase("results");
  await makeResultTables(url);
  const broker = `${redis.url}/0`;
  const app = new Celery("outage", { brokerUrl: broker, resultBackend: `db+${url}`, taskAcksLate: true });
  const ran = new Set<string>();
  const work = app.task("outage.work", { bind: true, params: [] }, (task) => {
    ran.add(task.request.id);
    return null;
  });
  const worker = new Worker(app, { concurrency: 50 });
  onTestFinished(async () => {
    await worker.stop();
    await app.close();
  });
  await worker.start();
  let sent = 0;
  const stop = new AbortController();
  const sends = (async () => {
    while (!stop.signal.aborted) {
      await work.delayMany(Array.from({ length: RATE }, () => []));
      sent += RATE;
      await pause(EVERY_MS);
    }
  })();
  const { Pool } = (await import("pg")).default;
  const stored = async (): Promise<number> => {
    const pool = new Pool({ connectionString: url, max: 1 });
    pool.on("error", () => {});
    try {
      const { rows } = await pool.query(
        "SELECT count(*)::int AS n FROM django_celery_results_taskresult WHERE status = 'SUCCESS'",
      );
      return (rows[0] as { n: number }).n;
    } finally {
      await pool.end();
    }
  };
  const open = async (): Promise<number> =>
    Number(await redisCommand(broker, "LLEN", "celery")) +
    Number(await redisCommand(broker, "HLEN", "unacked"));
  await eventually("some are stored", async () => (await stored()) > 20);
  await postgres.kill();
  const before = ran.size;
  await pause(OUTAGE_MS);
  await eventually("tasks have run meanwhile", () => ran.size > before);
  stop.abort();
  await sends;
  const acked = sent - (await open());
  const ranDown = ran.size;
  await postgres.restart();
  const backAt = performance.now();
  // What had been acked while it was away, it must have had before.
  expect(await stored()).toBeGreaterThanOrEqual(acked);
  expect(ranDown).toBeGreaterThan(acked);
  await eventually("all that ran is stored", async () => (await stored()) >= ranDown, {
    timeoutMs: STORED_MS,
  });
  const storedMs = performance.now() - backAt;
  await eventually("all are done", async () => (await stored()) === sent && (await open()) === 0, {
    timeoutMs: 60_000,
  });
  if (LONG)
    console.log({ outageMs: OUTAGE_MS, sent, heldAtReturn: sent - acked, storedMs: Math.round(storedMs) });
});
