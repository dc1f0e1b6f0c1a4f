/** Both kinds of workers on the same queues: both get work, nothing is lost, nothing is left behind. */
import { type Celery } from "petiole";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { redisCommand } from "../support/redis.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
let app: Celery;

beforeEach(async () => {
  fleet = await startFleet({ config: { worker_prefetch_multiplier: 1 } });
  ({ app } = fleet);
});

afterEach(() => fleet?.stop());

/** Keys of the broker that would stay for ever when all work is done; bindings are meant to. */
async function leftOver(): Promise<string[]> {
  const keys = (await redisCommand(fleet.broker, "KEYS", "*")).split("\n").filter((key) => key !== "");
  const lasting = await Promise.all(
    keys.map(async (key) => (await redisCommand(fleet.broker, "PTTL", key)) === "-1" && key),
  );
  return lasting.filter((key) => key !== false).filter((key) => !key.startsWith("_kombu.binding."));
}

test("600 tasks of two clients on two queues are shared, each run once", async () => {
  await Promise.all([
    fleet.worker({ hostname: "ts@test", queues: ["celery", "second"], concurrency: 2 }),
    fleet.pythonWorker({ name: "py@test", queues: ["celery", "second"], concurrency: 2 }),
  ]);
  const work = app.remote<(key: string, value: unknown) => null>("demo.work");
  const ours = Array.from({ length: 150 }, (_, n) => work.s("shared", `js-${n}`));
  const oursSecond = Array.from({ length: 150 }, (_, n) =>
    work.s("shared", `js2-${n}`).set({ queue: "second" }),
  );
  const [results, pythonIds] = await Promise.all([
    app.sendMany([...ours, ...oursSecond]),
    fleet.python.value<string[]>(`
      results = [work.delay("shared", f"py-{n}") for n in range(150)]
      results += [work.apply_async(("shared", f"py2-{n}"), queue="second") for n in range(150)]
      return [one.id for one in results]
    `),
  ]);
  // Each side reads the other's; Python by state, since its get() waits a second for each result that is there already.
  const handles = [...results, ...pythonIds.map((id) => app.asyncResult(id))];
  await Promise.all(handles.map((one) => one.get({ timeout: 60 })));
  const states = await fleet.python.value<string[]>(
    "return sorted({AsyncResult(one).state for one in args})",
    handles.map(({ id }) => id),
  );
  expect(states).toEqual(["SUCCESS"]);
  const seen = (await fleet.seen("shared")) as [string, string][];
  const values = seen.map(([, value]) => value);
  expect(values).toHaveLength(600);
  expect(new Set(values).size).toBe(600);
  const share = seen.filter(([language]) => language === "ts").length;
  // As many slots on each side and tasks that wait: far from half would mean that one side starves the other.
  expect(share).toBeGreaterThan(120);
  expect(share).toBeLessThan(480);
  await eventually("nothing is held any more", async () => (await fleet.unacked()) === 0);
  expect(await leftOver()).toEqual([]);
});

test("countdowns of both clients are all run, whoever picks them up", async () => {
  await Promise.all([
    fleet.worker({ hostname: "ts@test", concurrency: 2 }),
    fleet.pythonWorker({ name: "py@test", concurrency: 2 }),
  ]);
  const record = app.remote<(key: string, value: unknown) => unknown>("demo.record");
  const sent = Array.from({ length: 30 }, (_, n) =>
    record.applyAsync(["later", `js-${n}`], { countdown: 1 + (n % 3) }),
  );
  const results = await Promise.all(sent);
  const pythonIds = await fleet.python.value<string[]>(`
    return [record.apply_async(("later", f"py-{n}"), countdown=1 + n % 3).id for n in range(30)]
  `);
  const handles = [...results, ...pythonIds.map((id) => app.asyncResult(id))];
  await Promise.all(handles.map((one) => one.get({ timeout: 60 })));
  const values = ((await fleet.seen("later")) as [string, string][]).map(([, value]) => value);
  expect(values.length).toBe(60);
  expect(new Set(values).size).toBe(60);
  await eventually("nothing is held any more", async () => (await fleet.unacked()) === 0);
});

test.each(["ts", "py"])("a worker (%s) that starts late serves both clients by priority", async (kind) => {
  const record = app.remote<(key: string, value: unknown) => unknown>("demo.record");
  const order = [9, 0, 6, 3, 9, 0, 6, 3];
  for (const [index, priority] of order.entries()) {
    await record.applyAsync(["order", priority], { priority });
    await fleet.python.run(`record.apply_async(("order", args[0]), priority=args[0])`, [priority, index]);
  }
  if (kind === "ts") await fleet.worker({ hostname: "ts@test", concurrency: 1 });
  else await fleet.pythonWorker({ name: "py@test", concurrency: 1, pool: "solo" });
  const seen = await eventually(
    "all 16 ran",
    async () => {
      const list = (await fleet.seen("order")) as [string, number][];
      return list.length === 16 && list;
    },
    { timeoutMs: 30_000 },
  );
  expect(seen.map(([, priority]) => priority)).toEqual([0, 0, 0, 0, 3, 3, 3, 3, 6, 6, 6, 6, 9, 9, 9, 9]);
});

test("a warm stop of ours in the middle puts back what it had not started, for Python to run", async () => {
  const app2 = fleet.app;
  const record = app2.remote<(key: string, value: unknown) => unknown>("demo.record");
  const hold = app2.remote<(gate: string) => string>("demo.hold");
  const worker = await fleet.worker({ hostname: "ts@test", concurrency: 1 });
  const held = await hold.delay("gate-stop");
  await fleet.waiting("gate-stop");
  const results = await app2.sendMany(Array.from({ length: 20 }, (_, n) => record.s("after", n)));
  const stopping = worker.stop();
  await fleet.open("gate-stop");
  await stopping;
  expect(await held.get({ timeout: 10 })).toBe("gate-stop");
  await eventually("nothing is held", async () => (await fleet.unacked()) === 0);
  await fleet.pythonWorker({ name: "py@test", concurrency: 1, pool: "solo" });
  await Promise.all(results.map((one) => one.get({ timeout: 30 })));
  const seen = (await fleet.seen("after")) as [string, number][];
  expect(seen.map(([, value]) => value)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  expect(seen.every(([language]) => language === "py")).toBe(true);
});
