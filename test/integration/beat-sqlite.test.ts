/** Beats on a schedule in the broker's SQLite file: who leads, what is one step with a run, and what a former leader is refused. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Celery, type CeleryOptions } from "petiole";
import { Beat } from "petiole/beat";
import { afterEach, beforeEach, expect, test } from "vitest";
import { internalsOf } from "../../src/app/internals.ts";
import { scheduleOptions } from "../../src/app/schedule-store.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { Celery as SourceCelery } from "../../src/index.ts";
import { openScheduleStore } from "../../src/schedules/stores/open.ts";
import { SqliteScheduleStore } from "../../src/schedules/stores/sqlite.ts";
import { eventually } from "../support/eventually.ts";
import { type SqliteRig, sqliteRig } from "../support/sqlite-rig.ts";

const running: { readonly beat: Beat; readonly app: Celery }[] = [];
let rig: SqliteRig;
beforeEach(async () => {
  rig = await sqliteRig();
});
afterEach(async () => {
  for (const { beat, app } of running.splice(0)) {
    await beat.stop();
    await app.close();
  }
  await rig.stop();
});

const settingsOf = (settings: CeleryOptions = {}): CeleryOptions => ({
  brokerUrl: rig.url,
  beatScheduler: "sqlite",
  beatSchedule: { tick: { task: "shop.tick", schedule: 0.25, options: { queue: "ticks" } } },
  logger: silentLogger,
  ...settings,
});

function make(settings: CeleryOptions = {}): Beat {
  const app = new Celery("shop", settingsOf(settings));
  const beat = new Beat(app);
  running.push({ beat, app });
  return beat;
}

async function start(settings: CeleryOptions = {}): Promise<Beat> {
  const beat = make(settings);
  await beat.start();
  return beat;
}

function ids(): string[] {
  const rows = rig.raw().prepare("SELECT raw FROM petiole_messages WHERE queue = 'ticks' ORDER BY id").all();
  return rows.map(({ raw }) => (JSON.parse(String(raw)) as { headers: { id: string } }).headers.id);
}

/** What is published, and what is noted of it, at one moment. */
function counts(): readonly [number, number] {
  const row = rig
    .raw()
    .prepare(
      "SELECT (SELECT count(*) FROM petiole_messages) AS sent, (SELECT coalesce(sum(count), 0) FROM petiole_schedule) AS noted",
    )
    .get();
  return [Number(row?.["sent"]), Number(row?.["noted"])];
}

async function sentMore(count: number): Promise<void> {
  const before = counts()[0];
  await eventually(`${count} more`, () => {
    const [sent, noted] = counts();
    if (sent !== noted) throw new Error(`${sent} are published and ${noted} noted`);
    return sent >= before + count;
  });
}

test("one leads; a run is noted as it is published; another takes over, repeats none and counts on", async () => {
  const [first, second] = [await start(), await start()];
  expect([first.leading, second.leading]).toEqual([true, false]);
  await sentMore(3);
  await first.stop();
  await eventually("the second leads", () => second.leading);
  await sentMore(3);
  await second.stop();
  const all = ids();
  expect(new Set(all).size).toBe(all.length);
  expect(second.entries[0]?.totalRunCount).toBe(all.length);
});

test("a leader that another took the schedule from publishes nothing more, and stands by", async () => {
  const leader = await start();
  await sentMore(1);
  rig.raw().exec("UPDATE petiole_schedulers SET token = token + 1, holder = holder + 1");
  const before = counts()[0];
  await eventually("it does not lead", () => !leader.leading);
  expect(counts()[0]).toBe(before);
  // Nobody has that holder's lock.
  await eventually("it leads again", () => leader.leading);
  await sentMore(2);
  expect(new Set(ids()).size).toBe(ids().length);
});

test("a claim of an earlier reign publishes nothing, and notes nothing", async () => {
  const app = new SourceCelery("shop", settingsOf());
  const inside = internalsOf(app);
  await inside.finalize();
  const store = openScheduleStore(scheduleOptions(inside, {}));
  expect(await store.take()).toBeNull();
  const [task] = inside.periodicTasks;
  if (task === undefined) throw new Error("no entry");
  const runAt = (slotMs: number): Parameters<typeof inside.sendPeriodic> => [
    task,
    {
      id: `run-${slotMs}`,
      key: `beat:run-${slotMs}`,
      keyMs: 60_000,
      claim: store.claim(task, { lastRunAtMs: slotMs, totalRunCount: 1 }),
    },
  ];
  const [first, late] = [runAt(1000), runAt(2000)];
  await inside.sendPeriodic(...first);
  await store.release();
  expect(await store.take()).toBeNull();
  await expect(inside.sendPeriodic(...late)).rejects.toMatchObject({ code: "PET_FENCED" });
  expect(ids()).toEqual(["run-1000"]);
  expect(counts()).toEqual([1, 1]);
  await store.release();
  await store.close();
  await app.close();
});

test("of a leader that is killed another takes over", async () => {
  const program = `
    import { Celery } from "petiole";
    import { Beat } from "petiole/beat";
    const beatSchedule = { tick: { task: "shop.tick", schedule: 0.25, options: { queue: "ticks" } } };
    await new Beat(new Celery("shop", { brokerUrl: ${JSON.stringify(rig.url)}, beatScheduler: "sqlite", beatSchedule })).start();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "ignore" });
  const ended = once(child, "exit");
  const tables = "SELECT 1 FROM sqlite_schema WHERE name = 'petiole_schedule'";
  await eventually(
    "the other process sends",
    () => rig.raw().prepare(tables).get() !== undefined && counts()[0] > 0,
  );
  const second = await start();
  expect(second.leading).toBe(false);
  child.kill("SIGKILL");
  await ended;
  await eventually("it leads", () => second.leading);
  await sentMore(2);
  const all = ids();
  expect(new Set(all).size).toBe(all.length);
});

test("the file may be another than the broker's; without one it is said what is missing", async () => {
  const other = { brokerUrl: "memory://beat-sqlite", beatScheduleFilename: rig.url };
  const beat = await start(other);
  expect([beat.leading, beat.location]).toEqual([true, rig.url]);
  await eventually("runs are noted", () => counts()[1] > 0);
  await expect(start({ brokerUrl: "memory://beat-sqlite" })).rejects.toThrow(
    /the broker is memory:.*name the file with -s sqlite:/,
  );
  await expect(start({ beatScheduleFilename: "/srv/x.db" })).rejects.toThrow(
    /does not keep what has run in "\/srv\/x\.db".*write -s \(beatScheduleFilename\) as sqlite:/,
  );
});

test("a save writes what has changed since the one before; a new reign writes all", async () => {
  const { clock } = internalsOf(new SourceCelery("shop"));
  const store = new SqliteScheduleStore({ url: rig.url, place: "shop", clock });
  const run = (lastRunAtMs: number) => ({ lastRunAtMs, totalRunCount: 1 });
  const last = () =>
    rig
      .raw()
      .prepare("SELECT last FROM petiole_schedule ORDER BY entry")
      .all()
      .map((row) => Number(row["last"]));
  await store.take();
  await store.save(
    new Map([
      ["a", run(1)],
      ["b", run(1)],
    ]),
  );
  rig.raw().exec("UPDATE petiole_schedule SET last = 0");
  await store.save(
    new Map([
      ["a", run(1)],
      ["b", run(2)],
    ]),
  );
  expect(last()).toEqual([0, 2]);
  await store.take();
  await store.save(new Map([["a", run(1)]]));
  expect(last()).toEqual([1]);
  await store.close();
});
