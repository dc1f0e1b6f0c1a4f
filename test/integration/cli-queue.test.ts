/** `petiole queue`: a queue is paused, its worker leaves it alone, also after its own restart, until it is resumed. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, type Ended, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";

const TASKS = `
import { Celery } from ${petiole};
export const app = new Celery("shop", {
  brokerUrl: process.env.SHOP_BROKER, resultBackend: process.env.SHOP_BACKEND,
  taskQueues: [{ name: "celery" }, { name: "mail" }],
});
app.task("shop.add", (x, y) => x + y);
`;

let redis: RedisServer;
let project: Project;
const workers: CliProcess[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  project.write("tasks.mjs", TASKS);
});
afterEach(async () => {
  for (const one of workers) one.kill("SIGKILL");
  await Promise.all(workers.splice(0).map((one) => one.ended));
  project.remove();
});

const options = (): ConstructorParameters<typeof CliProcess>[1] => ({
  cwd: project.dir,
  env: { SHOP_BROKER: `${redis.url}/0`, SHOP_BACKEND: `${redis.url}/1` },
});
const run = (...words: readonly string[]): Promise<Ended> =>
  petioleRun(["-A", "tasks.mjs", ...words], options());

async function startWorker(): Promise<CliProcess> {
  const worker = new CliProcess(["-A", "tasks.mjs", "worker", "-c", "1", "-l", "info"], options());
  workers.push(worker);
  await worker.says(/ready/);
  return worker;
}

test("pause, list, resume", async () => {
  const first = await startWorker();
  expect(await run("queue", "pause", "mail")).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^QUEUE +WAITING +PAUSED SINCE\nmail +0 +\d{4}-\S+Z\n$/),
  });
  const mail = (await run("call", "shop.add", "-a", "[2, 3]", "--queue", "mail")).out.trim();
  first.kill("SIGTERM");
  await first.ended;
  await startWorker();
  const other = (await run("call", "shop.add", "-a", "[1, 1]")).out.trim();
  expect((await run("result", other, "--timeout", "20")).out).toBe("2\n");
  const listed = await run("queue", "list", "--json");
  expect(JSON.parse(listed.out)).toEqual([
    { queue: "celery", waiting: 0, pausedSince: null },
    { queue: "mail", waiting: 1, pausedSince: expect.stringMatching(/Z$/) },
  ]);
  expect((await run("queue", "resume", "mail", "mail")).out).toMatch(/^QUEUE.*\nmail +[01] +-\n$/);
  expect((await run("result", mail, "--timeout", "20")).out).toBe("5\n");
});

test("what makes no sense is refused", async () => {
  expect(await run("queue", "stop", "mail")).toMatchObject({
    code: 64,
    err: expect.stringContaining("pause, resume, list"),
  });
  const { code, err } = await run("queue", "pause");
  expect(code).toBe(64);
  expect(err).toContain("say which queue to pause");
});
