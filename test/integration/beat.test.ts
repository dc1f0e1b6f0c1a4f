/** `petiole beat` and `worker -B` as processes: what is in the broker, what a kill leaves, who leads. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole } from "./cli-support.ts";

const TASKS = `
import { Celery, crontab } from ${petiole};
export const app = new Celery("shop", {
  brokerUrl: process.env.SHOP_BROKER, resultBackend: process.env.SHOP_BACKEND,
  beatSchedule: {
    tick: { task: "shop.tick", schedule: 0.5, args: [7], options: { queue: "ticks" } },
    yearly: { task: "shop.tick", schedule: crontab({ minute: 0, hour: 0, dayOfMonth: 1, monthOfYear: 1 }) },
  },
});
const tick = app.task("shop.tick", (n) => n * 6);
app.signals.beatInit.connect(() => process.stdout.write("told: beatInit\\n"));
app.signals.beatEmbeddedInit.connect(() => process.stdout.write("told: beatEmbeddedInit\\n"));
app.onAfterConfigure.connect(() => app.addPeriodicTask(3600, tick.s(1), { name: "hourly" }));
`;

let redis: RedisServer;
let project: Project;
const processes: CliProcess[] = [];

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
  for (const one of processes) one.kill("SIGKILL");
  await Promise.all(processes.splice(0).map((one) => one.ended));
  project.remove();
});

function start(...words: readonly string[]): CliProcess {
  const one = new CliProcess(["-A", "tasks.mjs", ...words], {
    cwd: project.dir,
    env: { SHOP_BROKER: `${redis.url}/0`, SHOP_BACKEND: `${redis.url}/1` },
  });
  processes.push(one);
  return one;
}

const schedule = (): string => join(project.dir, "celerybeat-schedule");

interface Stored {
  readonly entries: Readonly<
    Record<string, { readonly last_run_at: string; readonly total_run_count: number }>
  >;
}
const stored = (): Stored => JSON.parse(readFileSync(schedule(), "utf8")) as Stored;

async function ids(): Promise<string[]> {
  const messages = (await redis.command("LRANGE", "ticks", "0", "-1"))
    .split("\n")
    .filter((text) => text !== "");
  return messages.map((text) => (JSON.parse(text) as { headers: { id: string } }).headers.id);
}

const ticks = (count: number): Promise<unknown> =>
  eventually(`${count} ticks are in the queue`, async () => (await ids()).length >= count);

test("it sends, says what it sends, saves at its end, and goes on from there", async () => {
  const beat = start("beat", "-l", "DEBUG", "--pidfile", "beat.pid");
  await ticks(3);
  await beat.says(/Scheduler: Sending due task tick \(shop\.tick\)/);
  await beat.says(/shop\.tick sent\. id->[\da-f-]{36}/);
  expect(readFileSync(join(project.dir, "beat.pid"), "utf8")).toBe(`${beat.child.pid}\n`);
  beat.kill("SIGTERM");
  const { code, out, err } = await beat.ended;
  expect([code, out]).toEqual([
    0,
    expect.stringMatching(/entries: +tick \(shop\.tick\)[\s\S]*told: beatInit\n/),
  ]);
  expect(out).not.toContain("beatEmbeddedInit");
  expect(err).toMatch(/beat: Starting\.\.\.[\s\S]*beat: Shutting down\.\.\./);
  const sent = await ids();
  expect(stored().entries["tick"]?.total_run_count).toBe(sent.length);
  expect(Object.keys(stored().entries).sort()).toEqual(["hourly", "tick", "yearly"]);
  expect(existsSync(join(project.dir, "beat.pid")) || existsSync(`${schedule()}.lock`)).toBe(false);

  start("beat", "-q");
  await ticks(sent.length + 2);
  const all = await ids();
  expect(new Set(all).size).toBe(all.length);
});

test("killed while it sends, again and again: no run is in the queue twice", async () => {
  for (let round = 0; round < 5; round += 1) {
    const before = (await ids()).length;
    const beat = start("beat", "-q");
    await ticks(before + 2);
    beat.kill("SIGKILL");
    await beat.ended;
  }
  const all = await ids();
  expect(all.length).toBeGreaterThanOrEqual(10);
  expect(new Set(all).size).toBe(all.length);
});

test("a run that was sent and not saved is not sent again", async () => {
  const beat = start("beat", "-q", "--", "beat.sync_every=1");
  await ticks(2);
  beat.kill("SIGTERM");
  await beat.ended;
  const sent = await ids();
  const { entries } = stored();
  const tick = entries["tick"];
  // As a kill leaves it that came between the sending and the saving.
  const last = new Date(Date.parse(tick?.last_run_at ?? "") - 500).toISOString().replace("Z", "000+00:00");
  writeFileSync(
    schedule(),
    JSON.stringify({ version: 1, entries: { ...entries, tick: { ...tick, last_run_at: last } } }),
  );
  await redis.command("DEL", "ticks");
  start("beat", "-q");
  await ticks(2);
  expect((await ids()).filter((id) => sent.includes(id))).toEqual([]);
});

test("worker -B: of two on one schedule one sends, the other when it has gone; the tasks run", async () => {
  const first = start("worker", "-B", "-l", "INFO", "-Q", "ticks", "-n", "a@h");
  await first.says(/Task shop\.tick\[.*\] succeeded in .*: 42/);
  await first.says(/told: beatInit\ntold: beatEmbeddedInit/);
  const second = start("worker", "-B", "-l", "INFO", "-Q", "elsewhere", "-n", "b@h");
  await second.says(/another beat leads: this one stands by/);
  expect(second.err).not.toContain("Sending due task");
  first.kill("SIGKILL");
  await first.ended;
  await second.says(/this beat leads now/);
  await second.says(/Sending due task tick/);
  second.kill("SIGTERM");
  expect((await second.ended).code).toBe(0);
});

test("the broker goes away and comes back: slots that cannot be sent any more are named, and it goes on", async () => {
  const beat = start("beat", "-l", "INFO", "-S", "celery.beat:Scheduler");
  await ticks(1);
  await redis.kill();
  await beat.says(/a due task was not sent before its next slot: it is given up for that one/, 40_000);
  await redis.restart();
  await redis.command("DEL", "ticks");
  await ticks(2);
  beat.kill("SIGTERM");
  expect((await beat.ended).code).toBe(0);
});

test.each([
  [["-S", "nonsense"], /there is no scheduler "nonsense": use celery\.beat:PersistentScheduler/],
  [["-S", "django_celery_beat.schedulers:DatabaseScheduler"], /is not served by this version/],
  [["-s", "tasks.mjs/x"], /the schedule file .* cannot be taken \(E/],
])("%j is refused", async (words, message) => {
  const { code, err } = await start("beat", ...words).ended;
  expect([code, err.replaceAll(/\s+/g, " ")]).toEqual([1, expect.stringMatching(message)]);
});
