/** Periodic tasks that a Python worker runs, and Python's own beat beside ours. */
import { type CeleryOptions, crontab } from "petiole";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { redisCommand } from "../support/redis.ts";
import { withBeat } from "../support/with-beat.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet();
});
afterAll(() => fleet?.stop());

const beating = (beatSchedule: CeleryOptions["beatSchedule"], until: () => Promise<unknown>): Promise<void> =>
  withBeat(
    { brokerUrl: fleet.broker, resultBackend: fleet.backend, beatScheduler: "memory", beatSchedule },
    until,
  );

test("a Python worker runs them, with arguments, keyword arguments and options, once each", async () => {
  await fleet.pythonWorker({ name: "py@test", queues: ["py"], concurrency: 2, pool: "threads" });
  await beating(
    {
      tick: {
        task: "demo.record",
        schedule: 0.5,
        args: ["ticks"],
        kwargs: { value: { n: 1 } },
        options: { queue: "py", expires: 30 },
      },
      never: {
        task: "demo.record",
        schedule: crontab({ minute: 0, hour: 0, dayOfMonth: 29, monthOfYear: 2 }),
        args: ["never"],
      },
    },
    () => eventually("four runs", async () => (await fleet.seen("ticks")).length >= 4),
  );
  expect((await fleet.seen("ticks"))[0]).toEqual(["py", { n: 1 }]);
  expect(await fleet.seen("never")).toEqual([]);
});

test("the message is what Python's beat sends, but for its ids", async () => {
  const sentBy = async (queue: string): Promise<Record<string, unknown>> => {
    const text = await eventually(
      "a message is there",
      async () => (await redisCommand(fleet.broker, "RPOP", queue)) || undefined,
    );
    return JSON.parse(text) as Record<string, unknown>;
  };
  const shape = (message: Record<string, unknown>): unknown => {
    // A list in Python, since its beat makes one of the arguments; shown to people alone.
    const {
      id,
      root_id: root,
      origin: _,
      lang: __,
      argsrepr: ___,
      ...headers
    } = message["headers"] as Record<string, unknown>;
    expect(root).toBe(id);
    const body = Buffer.from(message["body"] as string, "base64").toString("utf8");
    return { headers: { ...headers, expires: typeof headers["expires"] }, body: JSON.parse(body) as unknown };
  };
  const options = { queue: "shown", expires: 60, priority: 3 };
  await beating({ one: { task: "demo.add", schedule: 0.5, args: [1, 2], options } }, async () => {
    await eventually(
      "it was sent",
      async () => (await redisCommand(fleet.broker, "EXISTS", "shown\x06\x163")) === "1",
    );
  });
  const ours = shape(await sentBy("shown\x06\x163"));
  await redisCommand(fleet.broker, "DEL", "shown\x06\x163");
  await fleet.python.run(`
    from celery.beat import Scheduler
    import tasks
    scheduler = Scheduler(tasks.app, lazy=True)
    scheduler.data = {}
    entry = scheduler.Entry(name="one", task="demo.add", schedule=1, args=(1, 2), options=${JSON.stringify(options)}, app=tasks.app)
    scheduler.apply_async(entry, advance=False)
  `);
  expect(ours).toEqual(shape(await sentBy("shown\x06\x163")));
});
