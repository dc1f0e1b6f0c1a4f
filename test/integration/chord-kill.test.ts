/** A worker is killed at each step of a chord's end: its body is sent once all the same, complete and in order. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { type AnySignature, type AsyncResult, Celery, chain, chord, group } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { built, cli, root } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { trackProcess } from "../support/left-overs.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

/** Where it dies, as `test/support/kill-points.mjs` has it. */
const POINTS = [
  "chord-count:before:1",
  "chord-count:after:1",
  "chord-count:before:2",
  "chord-count:after:2",
  "chord-push:before:1",
  "chord-push:after:1",
  "ack:before:2",
  "ack:after:2",
] as const;
/** Of a chain that begins with a task: what sends the chord dies. */
const CHAIN_POINTS = ["store:after:1", "lpush:before:1", "lpush:after:1"] as const;
/** A body of so many tasks goes out in several calls. */
const MANY = 700;

let redis: RedisServer;
let broker: Redis;
let results: Redis;
let dir: string;
let app: Celery;

beforeAll(async () => {
  redis = await startRedis();
  broker = new Redis(redis.port);
  results = new Redis(redis.port, { db: 1 });
  dir = mkdtempSync(join(tmpdir(), "chord-kill-"));
  writeFileSync(
    join(dir, "app.mjs"),
    `import { Celery } from ${JSON.stringify(built("index.js"))};
export const app = new Celery("kill", {
  brokerUrl: "${redis.url}/0",
  resultBackend: "${redis.url}/1",
  brokerTransportOptions: { lease: 5 },
});
app.task("k.part", { acksLate: true }, (n) => n);
`,
  );
  app = new Celery("kill", {
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
    brokerTransportOptions: { lease: 5 },
    logger: silentLogger,
  });
});
afterAll(async () => {
  await app.close();
  broker.disconnect();
  results.disconnect();
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
});

function victim(queue: string, point: string): ChildProcess {
  const child = spawn(
    process.execPath,
    [
      "--import",
      `${root}test/support/kill-points.mjs`,
      cli,
      "-A",
      join(dir, "app.mjs"),
      "worker",
      "-c",
      "1",
      "-n",
      `${queue}@kill`,
      "-Q",
      queue,
      "--without-mingle",
      "--without-gossip",
    ],
    { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, KILL_AT: point } },
  );
  trackProcess(child, "petiole worker");
  return child;
}

interface Case {
  readonly name: string;
  readonly queue: string;
  readonly point: string;
  readonly result: AsyncResult<unknown>;
  /** What its body, or each of its bodies, gets. */
  readonly given: readonly number[];
  readonly bodies: number;
}

test("killed at any step, the body runs once", { timeout: 120_000 }, async () => {
  const runs: { readonly queue: string; readonly id: string; readonly values: readonly number[] }[] = [];
  const part = app.task("k.part", { acksLate: true }, (n: number) => n);
  const body = app.task("k.body", { bind: true }, (task, values: readonly number[]) => {
    runs.push({ queue: task.request.deliveryInfo.routingKey, id: task.request.id, values });
    return values.length;
  });
  const cases: Case[] = [];
  async function add(point: string, kind: "chord" | "chain" | "many"): Promise<void> {
    const queue = `k${cases.length}`;
    const header = [part.si(1).set({ queue }), part.si(2).set({ queue })];
    // Only its successor serves the bodies.
    const last = body.s().set({ queue: `${queue}-body` });
    const canvas: AnySignature =
      kind === "chord"
        ? chord(header, last)
        : kind === "chain"
          ? (chain(part.si(0).set({ queue }), group(header), last) as AnySignature)
          : (chord(header, group(Array.from({ length: MANY }, () => last))) as AnySignature);
    const result = await (canvas as { delay(): Promise<AsyncResult<unknown>> }).delay();
    cases.push({
      name: `${kind} ${point}`,
      queue,
      point,
      result,
      given: [1, 2],
      bodies: kind === "many" ? MANY : 1,
    });
  }
  for (const point of POINTS) await add(point, "chord");
  for (const point of CHAIN_POINTS) await add(point, "chain");
  for (const point of ["chord-push:after:1", "chord-push:after:2"]) await add(point, "many");

  const children = cases.map(({ queue, point }) => victim(queue, point));
  for (const [index, child] of children.entries())
    await eventually(
      `${cases[index]?.name} dies`,
      () => child.exitCode !== null || child.signalCode !== null,
      {
        timeoutMs: 60_000,
      },
    );
  expect(children.map((child) => child.signalCode)).toEqual(children.map(() => "SIGKILL"));
  const due = "celery-taskset-meta-petiole.due";
  // Those that died with a complete chord: nobody waits here for the 10 s that it was theirs.
  for (const one of await results.zrange(due, "0", "-1")) await results.zadd(due, "0", one);

  const worker = new Worker(app, {
    concurrency: 8,
    queues: cases.flatMap(({ queue }) => [queue, `${queue}-body`]),
  });
  await worker.start();
  try {
    for (const { name, result } of cases)
      await result.get({ timeout: 40 }).catch((error: unknown) => {
        throw new Error(`${name}: ${String(error)}`, { cause: error });
      });
    await eventually(
      "all is over",
      async () => {
        const left = await Promise.all([
          broker.hlen("unacked"),
          results.zcard(due),
          ...cases.flatMap(({ queue }) => [broker.llen(queue), broker.llen(`${queue}-body`)]),
        ]);
        return left.every((one) => one === 0);
      },
      { timeoutMs: 30_000 },
    );
    const found = cases.map(({ name, queue }) => {
      const own = runs.filter((one) => one.queue === `${queue}-body`);
      return { name, runs: own.length, ids: new Set(own.map(({ id }) => id)).size, values: own[0]?.values };
    });
    expect(found).toEqual(
      cases.map(({ name, bodies, given }) => ({ name, runs: bodies, ids: bodies, values: given })),
    );
  } finally {
    await worker.stop();
  }
});
