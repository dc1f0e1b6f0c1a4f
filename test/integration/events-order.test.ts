/** The server's own order of a task's result and of the event that tells of it: monitors look results up as they hear. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { Redis } from "ioredis";
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { envelopeEvents } from "../support/event-bodies.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const COUNT = 200;

let redis: RedisServer;
let admin: Redis;
let monitor: Redis;
/** `stored ID` and `told ID`, in the order the server ran them. */
let seen: string[] = [];

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.port);
  monitor = await new Redis(redis.port).monitor();
  monitor.on("monitor", (_time: string, [name = "", channel = "", text = ""]: readonly string[]) => {
    if (name.toUpperCase() !== "PUBLISH") return;
    const id = /^celery-task-meta-(.+)$/.exec(channel)?.[1];
    if (id !== undefined) seen.push(`stored ${id}`);
    else if (channel.includes("celeryev")) {
      for (const { type, uuid } of envelopeEvents(text)) {
        if (/succeeded|failed|revoked/.test(String(type))) seen.push(`told ${String(uuid)}`);
      }
    }
  });
});
afterAll(async () => {
  monitor.disconnect();
  admin.disconnect();
  await redis.stop();
});

describe.each([
  ["in the broker's database", 0],
  ["in another database", 1],
])("results %s", (_name, db) => {
  let app: Celery;
  let worker: Worker;

  beforeEach(async () => {
    await admin.flushall();
    seen = [];
    app = new Celery("order", {
      brokerUrl: `${redis.url}/0`,
      resultBackend: `${redis.url}/${db}`,
      logger: silentLogger,
    });
    worker = new Worker(app, { concurrency: 10, taskEvents: true });
  });
  afterEach(async () => {
    await worker.stop({ how: "cold" });
    await app.close();
  });

  /** What is told before it is stored. */
  async function tooEarly(name: string): Promise<readonly string[]> {
    await Promise.all(Array.from({ length: COUNT }, () => app.sendTask(name, [])));
    await worker.start();
    await eventually("all ends are told", () => seen.length === 2 * COUNT);
    const stored = new Set<string>();
    return seen.filter((line) => {
      const [what, id = ""] = line.split(" ");
      if (what === "stored") stored.add(id);
      return what === "told" && !stored.has(id);
    });
  }

  test("of tasks that end in the turn they start", async () => {
    app.task("now", () => 1);
    expect(await tooEarly("now")).toEqual([]);
  });

  test.each([true, false])("of tasks that take some turns, acked late: %s", async (acksLate) => {
    app.task("soon", { acksLate }, async () => {
      for (let i = 0; i < 3; i += 1) await nextTurn();
      return 1;
    });
    expect(await tooEarly("soon")).toEqual([]);
  });

  test("of failures", async () => {
    app.task("fail", async () => {
      await nextTurn();
      throw new TypeError("no");
    });
    expect(await tooEarly("fail")).toEqual([]);
  });
});
