/** A schedule in Redis beside the real RedBeat: each fires and reads what the other wrote. */
import { Celery, type CeleryOptions, crontab, schedule } from "petiole";
import { Beat } from "petiole/beat";
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

const ENTRY = `
    import json
    from datetime import datetime, timedelta, timezone
    from celery.schedules import crontab, schedule
    import tasks
    tasks.app.conf.redbeat_redis_url = tasks.app.conf.broker_url
    from redbeat import RedBeatSchedulerEntry as Entry, RedBeatScheduler
`;

const queued = async (queue: string): Promise<number> =>
  Number(await redisCommand(fleet.broker, "LLEN", queue));

const beating = (beatSchedule: CeleryOptions["beatSchedule"], until: () => Promise<unknown>): Promise<void> =>
  withBeat({ brokerUrl: fleet.broker, beatScheduler: "redbeat.RedBeatScheduler", beatSchedule }, until);

test("entries that Python makes while our beat runs are sent within a second, and end with it", async () => {
  await fleet.python.run(`${ENTRY}
    Entry("before", "demo.add", schedule(0.25), args=[1, 2], kwargs={"a": [1]}, options={"queue": "before"}, app=tasks.app).save()
    Entry("nightly", "demo.add", crontab(minute="0", hour="22-2/2", day_of_week="mon-fri"), app=tasks.app).save()
  `);
  await beating({}, async () => {
    await eventually("it is sent", async () => (await queued("before")) >= 2);
    const text = await redisCommand(fleet.broker, "LINDEX", "before", "0");
    const { headers, body } = JSON.parse(text) as { headers: { task: string }; body: string };
    expect(headers.task).toBe("demo.add");
    expect(JSON.parse(Buffer.from(body, "base64").toString("utf8"))).toMatchObject([[1, 2], { a: [1] }, {}]);
    await fleet.python.run(`${ENTRY}
    Entry("later", "demo.add", schedule(0.25), options={"queue": "later"}, app=tasks.app).save()
    `);
    await eventually("it is sent", async () => (await queued("later")) >= 2);
    await fleet.python.run(`${ENTRY}
    Entry.from_key("redbeat:later", app=tasks.app).delete()
    entry = Entry.from_key("redbeat:before", app=tasks.app)
    entry.enabled = False
    entry.save()
    `);
    await eventually("both are silent", async () => {
      const before = [await queued("before"), await queued("later")];
      await eventually("other work", async () => (await fleet.python.run("1")) !== null);
      return before[0] === (await queued("before")) && before[1] === (await queued("later"));
    });
  });
});

test("our entries are RedBeat's: it loads them, counts them due when we do, and sends them in its turn", async () => {
  await redisCommand(fleet.broker, "FLUSHALL");
  const startMs = Date.now();
  const own = {
    often: {
      // Of nobody, so that Python's beat does not compare the arguments with a signature.
      task: "elsewhere.any",
      schedule: schedule(0.25, { relative: false }),
      args: [1, "x"],
      kwargs: { at: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)) },
      options: { queue: "ours", expires: 60 },
    },
  };
  await beating(
    {
      ...own,
      weekly: { task: "demo.add", schedule: crontab({ minute: 30, hour: [7, 9], dayOfWeek: "mon-fri" }) },
      hourly: { task: "demo.add", schedule: schedule(3600, { relative: true }) },
    },
    () => eventually("it is sent", async () => (await queued("ours")) >= 2),
  );
  const seen = await fleet.python.value<Record<string, unknown[]>>(`${ENTRY}
    def shown(name):
        one = Entry.from_key("redbeat:" + name, app=tasks.app)
        return [one.task, list(one.args), {k: str(v) for k, v in one.kwargs.items()}, one.options, repr(one.schedule),
                one.enabled, one.last_run_at.timestamp(), one.total_run_count, one.score]
    result = {name: shown(name) for name in ("often", "weekly", "hourly")}
    return result
  `);
  const count = await queued("ours");
  expect(seen["often"]).toEqual([
    "elsewhere.any",
    [1, "x"],
    { at: "2026-01-02 03:04:05+00:00" },
    { queue: "ours", expires: 60 },
    "<freq: now>",
    true,
    expect.any(Number),
    count,
    expect.any(Number),
  ]);
  expect(seen["weekly"]?.slice(4, 6)).toEqual(["<crontab: 30 [7, 9] * * mon-fri (m/h/dM/MY/d)>", true]);
  expect(seen["hourly"]?.slice(4, 6)).toEqual(["<freq: 1.00 hour>", true]);
  expect((seen["often"]?.[6] as number) * 1000).toBeGreaterThan(startMs);
  for (const name of ["weekly", "hourly"]) {
    const score = await redisCommand(fleet.broker, "ZSCORE", "redbeat::schedule", `redbeat:${name}`);
    // Python's is of two looks at the clock, and cut to seconds.
    expect(Math.abs(Number(score) - (seen[name]?.[8] as number))).toBeLessThanOrEqual(1);
  }

  const sent = await fleet.python.value<[number, number]>(`${ENTRY}
    scheduler = RedBeatScheduler(app=tasks.app, lazy=True, lock_key=None)
    scheduler.lock_key = None
    import time
    time.sleep(0.5)
    scheduler.tick()
    one = Entry.from_key("redbeat:often", app=tasks.app)
    return [one.total_run_count, one.last_run_at.timestamp()]
  `);
  expect(sent[0]).toBe(count + 1);
  expect(await queued("ours")).toBe(count + 1);
  await beating(own, async () => {
    await eventually("ours goes on", async () => (await queued("ours")) >= count + 3);
  });
});

test("the lock is one for both: neither leads while the other has it", async () => {
  await redisCommand(fleet.broker, "FLUSHALL");
  await fleet.python.run(`${ENTRY}
    from redbeat.schedulers import get_redis
    lock = get_redis(tasks.app).lock("redbeat::lock", timeout=3)
    assert lock.acquire(blocking=False)
  `);
  const app = new Celery("shop", { brokerUrl: fleet.broker });
  const beat = new Beat(app, { scheduler: "redbeat.RedBeatScheduler" });
  await beat.start();
  expect(beat.leading).toBe(false);
  await eventually("Python's lock has ended, and ours leads", () => beat.leading);
  const taken = await fleet.python.value<boolean>(`${ENTRY}
    from redbeat.schedulers import get_redis
    return get_redis(tasks.app).lock("redbeat::lock", timeout=3).acquire(blocking=False)
  `);
  expect(taken).toBe(false);
  await beat.stop();
  await app.close();
});
