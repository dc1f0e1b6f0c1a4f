/** A client against a real Redis: what a web process sees of sends and results, also while the server goes away. */
import { Celery, OperationalError, type Task } from "petiole";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";

let redis: RedisServer;
const apps: Celery[] = [];

beforeAll(async () => {
  redis = await startRedis({ aof: true });
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await redis.restart();
  await redis.command("FLUSHALL");
});
afterAll(() => redis.stop());

function client(options: object = {}): {
  readonly app: Celery;
  readonly add: Task<[x: number, y: number], number>;
} {
  const app = new Celery("client", {
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
    ...options,
  });
  apps.push(app);
  return { app, add: app.task("add", (x: number, y: number) => x + y) };
}

const queued = async (): Promise<number> => Number(await redis.command("LLEN", "celery"));

/** Stores a result as Celery does, from outside. */
async function store(id: string, result: unknown): Promise<void> {
  const meta = { status: "SUCCESS", result, traceback: null, children: [], date_done: null, task_id: id };
  const key = `celery-task-meta-${id}`;
  const script =
    "redis.call('SELECT', 1) redis.call('SET', KEYS[1], ARGV[1]) redis.call('PUBLISH', KEYS[1], ARGV[1])";
  await redis.command("EVAL", script, "1", key, JSON.stringify(meta));
}

describe("sends", () => {
  test("resolve when the broker has the message", async () => {
    const { add } = client();
    for (let index = 1; index <= 3; index += 1) {
      await add.delay(index, index);
      expect(await queued()).toBe(index);
    }
  });

  test("a thousand at once share commands, and all arrive in order", async () => {
    const { add } = client();
    const before = /cmdstat_lpush:calls=(\d+)/u.exec(await redis.command("INFO", "commandstats"))?.[1] ?? "0";
    const results = await Promise.all(Array.from({ length: 1000 }, (_, index) => add.delay(index, 0)));
    expect(await queued()).toBe(1000);
    const after = /cmdstat_lpush:calls=(\d+)/u.exec(await redis.command("INFO", "commandstats"))?.[1] ?? "0";
    expect(Number(after) - Number(before)).toBeLessThan(20);
    const oldest = JSON.parse(await redis.command("LINDEX", "celery", "-1")) as { headers: { id: string } };
    expect(oldest.headers.id).toBe(results[0]?.id);
  });

  test("one app has one connection for sending", async () => {
    const { add } = client();
    await Promise.all(Array.from({ length: 50 }, (_, index) => add.delay(index, 0)));
    const clients = (await redis.command("CLIENT", "LIST"))
      .split("\n")
      .filter((line) => line.includes("addr="));
    expect(clients.length).toBeLessThanOrEqual(3); // the app's, and the one that asks
  });

  test("go through a restart of the server, none is lost", async () => {
    const { add } = client({ taskPublishRetryPolicy: { maxRetries: null, timeout: 30 } });
    await add.delay(0, 0);
    const state = { stop: false };
    let sent = 1;
    const sending = (async () => {
      while (!state.stop) {
        await add.delay(sent, 0);
        sent += 1;
      }
    })();
    for (let round = 0; round < 3; round += 1) {
      const before = sent;
      await redis.kill();
      await redis.restart();
      await eventually("sends go on", () => sent > before + 20);
    }
    state.stop = true;
    await sending;
    // An attempt that was cut off may have arrived: more is possible, fewer is not.
    const count = await queued();
    expect(count).toBeGreaterThanOrEqual(sent);
    expect(count).toBeLessThanOrEqual(sent + 3);
  });

  test("without a server reject within the policy's time, and work again when it is back", async () => {
    const { add } = client({ taskPublishRetryPolicy: { maxRetries: 2, timeout: 5 } });
    await add.delay(0, 0);
    await redis.kill();
    const began = performance.now();
    const failed = await Promise.allSettled([add.delay(1, 0), add.delay(2, 0), add.delayMany([[3, 0]])]);
    expect(performance.now() - began).toBeLessThan(12_000);
    expect(
      failed.map((end) => (end.status === "rejected" ? end.reason instanceof OperationalError : false)),
    ).toEqual([true, true, true]);
    await redis.restart();
    await eventually("a send works again", async () => {
      await add.delay(4, 0);
      return true;
    });
  });

  test("a first send without a server rejects, and says that nothing was sent", async () => {
    await redis.kill();
    const { add } = client({ taskPublishRetryPolicy: { maxRetries: 1 } });
    await expect(add.delay(1, 0)).rejects.toMatchObject({
      outcome: "not sent",
      code: "PET_BROKER_UNREACHABLE",
    });
  });

  test("a wrong password is not tried again, and is not shown", async () => {
    const { add } = client({ brokerUrl: `redis://user:geheim@127.0.0.1:${redis.port}/0` });
    const error: unknown = await add.delay(1, 0).catch((one: unknown) => one);
    expect(error).toMatchObject({ code: "PET_BROKER_REFUSED" });
    expect(String(error)).not.toContain("geheim");
  });
});

describe("results", () => {
  test("that come later are seen, over one subscription for all", async () => {
    const { app } = client();
    const ids = Array.from({ length: 200 }, (_, index) => `id-${index}`);
    const waiting = ids.map((id) => app.asyncResult(id).get({ timeout: 20 }));
    await eventually("the subscription stands", async () =>
      (await redis.command("PUBSUB", "NUMSUB", "celery-task-meta-id-199")).includes("1"),
    );
    for (const [index, id] of ids.entries()) await store(id, index);
    expect(await Promise.all(waiting)).toEqual(ids.map((_, index) => index));
    const clients = (await redis.command("CLIENT", "LIST"))
      .split("\n")
      .filter((line) => line.includes("addr="));
    expect(clients.length).toBeLessThanOrEqual(4);
    await eventually("nothing is subscribed any more", async () => {
      const channels = await redis.command("PUBSUB", "CHANNELS", "celery-task-meta-*");
      return channels.trim() === "";
    });
  });

  test("that were stored while the server restarted are seen", async () => {
    const { app } = client();
    const waiting = app.asyncResult("late").get({ timeout: 30 });
    await eventually("the subscription stands", async () =>
      (await redis.command("PUBSUB", "NUMSUB", "celery-task-meta-late")).includes("1"),
    );
    await redis.kill();
    await redis.restart();
    await store("late", 42);
    expect(await waiting).toBe(42);
  });

  test("a task without a result ends with a timeout, not with a hang", async () => {
    const { app } = client();
    await expect(app.asyncResult("never").get({ timeout: 0.2 })).rejects.toMatchObject({
      code: "PET_TIMEOUT",
    });
  });

  test("forget deletes what is stored", async () => {
    const { app } = client();
    await store("x", 1);
    const result = app.asyncResult("x");
    expect(await result.get({ timeout: 5 })).toBe(1);
    await result.forget();
    expect(await app.asyncResult("x").state()).toBe("PENDING");
  });
});

test("a closed app leaves no connection", async () => {
  const { app, add } = client();
  await add.delay(1, 2);
  await app.asyncResult("x").state();
  await app.close();
  const left = await eventually("only the connection that asks is left", async () => {
    const clients = (await redis.command("CLIENT", "LIST"))
      .split("\n")
      .filter((line) => line.includes("addr="));
    return clients.length <= 1 && clients;
  });
  expect(left).toHaveLength(1);
});
