/** Keys of unique tasks whose worker is killed. */
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole } from "./cli-support.ts";

/** The shortest that there is. */
const LEASE = 5;
const SECONDS = { timeout: 20 };

let server: RedisServer;
let project: Project;
let ends: (() => unknown)[] = [];
beforeAll(async () => {
  server = await startRedis();
  project = makeProject();
  project.write(
    "tasks.mjs",
    `import { Celery } from ${petiole};
     export const app = new Celery("lost", {
       brokerUrl: process.env.BROKER,
       resultBackend: process.env.BROKER,
       brokerTransportOptions: { lease: ${LEASE} },
     });
     const wait = () => { console.log("it runs"); return new Promise(() => setInterval(() => {}, 1000)); };
     app.task("lost.late", { acksLate: true }, wait);
     app.task("lost.early", wait);`,
  );
});
afterAll(async () => {
  project.remove();
  await server.stop();
});
beforeEach(() => server.command("FLUSHALL"));
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

function client(): Celery {
  const app = new Celery("lost", {
    brokerUrl: server.url,
    resultBackend: server.url,
    brokerTransportOptions: { lease: LEASE, sweep_grace: 0 },
    logger: silentLogger,
  });
  ends.push(() => app.close());
  return app;
}

/** Starts a worker that begins to run, and kills it. */
async function killedHolder(): Promise<void> {
  const worker = new CliProcess(["-A", "tasks.mjs", "worker"], {
    cwd: project.dir,
    env: { BROKER: server.url },
  });
  ends.push(() => worker.kill("SIGKILL"));
  await worker.says(/it runs/);
  worker.kill("SIGKILL");
  await worker.ended;
}

test("late ack: the message comes back with its key within the lease, and frees it when it has run", async () => {
  const app = client();
  let gate = (): void => {};
  let runs = 0;
  const task = app.task("lost.late", { unique: { key: () => "k" }, acksLate: true }, async () => {
    runs += 1;
    await new Promise<void>((resolve) => {
      gate = resolve;
    });
    return "second run";
  });
  const first = await task.delay();
  await killedHolder();
  expect(await task.delay()).toMatchObject({ id: first.id, duplicate: true });
  const worker = new Worker(app, { concurrency: 1 });
  ends.push(() => worker.stop({ how: "cold" }));
  await worker.start();
  await eventually("it runs again", () => runs === 1, { timeoutMs: (LEASE + 5) * 1000 });
  expect(await task.delay()).toMatchObject({ id: first.id, duplicate: true });
  gate();
  expect(await first.get(SECONDS)).toBe("second run");
  const next = await task.delay();
  expect(next.duplicate).toBe(false);
  await eventually("the next one runs", () => runs === 2);
  gate();
  await next.get(SECONDS);
});

test("early ack: the task is gone, its key ends with its ttl", async () => {
  const app = client();
  const task = app.task("lost.early", { unique: { key: () => "k", ttl: 4 } }, () => null);
  const first = await task.delay();
  await killedHolder();
  expect(await task.delay()).toMatchObject({ id: first.id, duplicate: true });
  await eventually("the key has ended", async () => !(await task.delay()).duplicate, { timeoutMs: 8_000 });
});
