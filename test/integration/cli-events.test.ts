/** `petiole events` as a user sees it: on a terminal, beside one, and through a camera. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cellsOf } from "../../src/cli/monitor/cells.ts";
import { cli } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { Pty } from "../support/pty.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";

const TASKS = `
import { Celery } from ${petiole};
export const app = new Celery("shop", { brokerUrl: process.env.SHOP_BROKER, resultBackend: process.env.SHOP_BROKER });
app.task("shop.add", (x, y) => x + y);
app.task("shop.fail", () => { throw new TypeError("no stock left"); });
if (process.env.SHOP_BREAKS) setTimeout(() => { throw new Error("broken app"); }, 1500);
if (process.env.SHOP_TALKS) setTimeout(() => { console.error("hello from the app"); console.log("and on stdout"); }, 500);
`;

let redis: RedisServer;
let project: Project;
let started: (CliProcess | Pty)[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  project.write("tasks.mjs", TASKS);
  started = [];
});
afterEach(async () => {
  for (const one of started) one.kill("SIGKILL");
  await Promise.all(started.map((one) => one.ended));
  project.remove();
});

function options(env: Readonly<Record<string, string>> = {}): ConstructorParameters<typeof CliProcess>[1] {
  return { cwd: project.dir, env: { SHOP_BROKER: redis.url, ...env } };
}

function start(...words: string[]): CliProcess {
  const one = new CliProcess(["-A", "tasks.mjs", ...words], options());
  started.push(one);
  return one;
}

async function worker(): Promise<CliProcess> {
  const one = start("worker", "-l", "INFO", "-c", "1", "-n", "w@here", "-E", "--heartbeat-interval", "0.5");
  await one.says(/ready/);
  return one;
}

async function sent(name: string, args = "[]"): Promise<string> {
  return (await petioleRun(["-A", "tasks.mjs", "call", name, "-a", args], options())).out.trim();
}

function monitor(
  env: Readonly<Record<string, string>> = {},
  program: readonly string[] = [process.execPath, cli, "-A", "tasks.mjs", "events"],
): Pty {
  const { NO_COLOR: _none, NODE_OPTIONS: _options, ...inherited } = process.env;
  const one = new Pty(program, {
    cwd: project.dir,
    env: { ...inherited, SHOP_BROKER: redis.url, ...env },
    rows: 24,
    columns: 100,
  });
  started.push(one);
  return one;
}

const ESC = "\u001b";
/** The cursor is back, and the screen that was there before. */
const LEFT = `${ESC}[?25h${ESC}[?1049l`;

describe("on a terminal", () => {
  test("shows tasks and workers; keys select, look, limit and revoke; q leaves the terminal as it was", async () => {
    await worker();
    const screen = monitor();
    await screen.shows(/w@here +online/);
    const id = await sent("shop.add", "[2, 3]");
    await screen.shows(new RegExp(`${id} shop\\.add +w@here +\\d\\d:\\d\\d:\\d\\d SUCCESS`));
    screen.press("j");
    await screen.shows(new RegExp(`> ${id}[\\s\\S]*Selected: ${id} args=\\(2, 3\\).*result=5`));
    screen.press("i");
    await screen.shows(/^Task .*\n\n {2}name: shop\.add\n {2}state: SUCCESS\n {2}args: \(2, 3\)/);
    screen.press(" ");
    await screen.shows(/UUID +TASK/);
    screen.press("r");
    await screen.shows(/^Result of .*\n\n {2}5\n/);
    screen.press("x?");
    await screen.shows(/^Keys\n\n {2}up, k/);
    screen.press("xl");
    await screen.shows(/New rate limit of shop\.add: _/);
    screen.press("5/mm\u007f\r");
    await screen.shows(/^Rate limit of shop\.add: 5\/m\n\n {2}w@here: new rate limit set successfully/);

    const failed = await sent("shop.fail");
    screen.press("x");
    await screen.shows(new RegExp(`${failed} shop\\.fail .*FAILURE`));
    screen.press("\u001b[H");
    await screen.shows(new RegExp(`> ${failed}`));
    screen.press("t");
    await screen.shows(/^Traceback of .*\n\n[\s\S]*TypeError: no stock left/);
    screen.press("xc");
    await screen.shows(new RegExp(`Revoke shop\\.fail ${failed}\\?`));
    screen.press("y");
    await screen.shows(new RegExp(`^Revoke ${failed}\n\n {2}w@here: tasks .*${failed}.* flagged as revoked`));
    const revoked = await petioleRun(["-A", "tasks.mjs", "inspect", "revoked", "--json"], options());
    expect(JSON.parse(revoked.out)).toEqual({ "w@here": [failed] });

    screen.press("x");
    await screen.shows(/UUID +TASK/);
    screen.resize(12, 60);
    await screen.shows(/^petiole events[^\n]{0,50}\n[^\n]+\n[\s\S]*\nKeys: q:quit [^\n]*…$/);
    expect(screen.screen).toHaveLength(12);
    for (const line of screen.screen) expect(cellsOf(line)).toBeLessThanOrEqual(60);
    screen.press("q");
    expect(await screen.ended).toBe(0);
    expect(screen.raw).toContain(LEFT);
    expect(screen.raw).toContain(`${ESC}[32mSUCCESS`);
  }, 60_000);

  test("without colour it writes none", async () => {
    await worker();
    const screen = monitor({ NO_COLOR: "1" });
    await screen.shows(/w@here +online/);
    const id = await sent("shop.add", "[2, 3]");
    await screen.shows(new RegExp(id));
    screen.press("\u001b[B");
    await screen.shows(new RegExp(`> ${id}`));
    screen.press("\u0003");
    expect(await screen.ended).toBe(0);
    expect(screen.raw).not.toMatch(new RegExp(`${ESC}\\[[\\d;]*m`));
  }, 60_000);

  test("an exception of the app's own module: the terminal is as it was, the error is printed, exit code 1", async () => {
    const screen = monitor({ SHOP_BREAKS: "1" });
    await screen.shows(/No workers discovered/);
    expect(await screen.ended).toBe(1);
    expect(screen.raw.split(LEFT)[1]).toContain("broken app");
  }, 60_000);

  test("Ctrl-Z gives the shell its terminal back, fg the monitor its screen", async () => {
    const command = `'${process.execPath}' '${cli}' -A tasks.mjs events`;
    const screen = monitor({}, [
      "bash",
      "-m",
      "-c",
      `${command}; echo "stopped: $(stty -a | grep -o -e '-\\?icanon' -e '-\\?echo ' | tr -d '\\n')"; read -r; fg; echo "over $?"`,
    ]);
    await screen.shows(/No workers discovered/);
    screen.press("\u001a");
    await screen.says(/stopped: icanonecho /);
    expect(screen.raw.split(LEFT)).toHaveLength(2);
    screen.press("\n");
    const again = new RegExp(`stopped:[\\s\\S]*${ESC}\\[\\?1049h[\\s\\S]*No workers discovered`);
    await screen.says(again);
    screen.press("q");
    await screen.says(/over 0/);
    expect(await screen.ended).toBe(0);
    expect(screen.raw.split(LEFT)).toHaveLength(3);
  }, 60_000);

  test("Ctrl-Z where nobody could continue it draws anew", async () => {
    const screen = monitor();
    await screen.shows(/No workers discovered/);
    screen.press("\u001a");
    await screen.says(new RegExp(`1049l[\\s\\S]*1049h[\\s\\S]*No workers discovered`));
    screen.press("q");
    expect(await screen.ended).toBe(0);
  }, 60_000);

  test("SIGTERM ends it as q does", async () => {
    const screen = monitor();
    await screen.shows(/No workers discovered/);
    screen.child.kill("SIGTERM");
    expect(await screen.ended).toBe(0);
    expect(screen.raw).toContain(LEFT);
  }, 60_000);

  test("what the app writes is news, and written when the screen is left", async () => {
    const screen = monitor({ SHOP_TALKS: "1" });
    await screen.shows(/^and on stdout$/m);
    screen.press("\u001b");
    expect(await screen.ended).toBe(0);
    expect(screen.raw.split(LEFT)[1]).toBe("hello from the app\r\nand on stdout\r\n");
  }, 60_000);

  test("a broker that is away is said on the normal screen", async () => {
    const screen = monitor({ SHOP_BROKER: "redis://127.0.0.1:1/0" });
    expect(await screen.ended).toBe(69);
    expect(screen.raw).toMatch(/^petiole events: .*127\.0\.0\.1:1[\s\S]*\[PET_BROKER_UNREACHABLE\]/);
    expect(screen.raw).not.toContain(LEFT);
  }, 60_000);
});

test("petiole shell: a prompt with the app's tasks, which are awaited", async () => {
  await worker();
  const { NODE_OPTIONS: _options, ...inherited } = process.env;
  const shell = new Pty([process.execPath, cli, "-A", "tasks.mjs", "shell", "-C"], {
    cwd: project.dir,
    env: { ...inherited, SHOP_BROKER: redis.url },
    rows: 24,
    columns: 100,
  });
  started.push(shell);
  await shell.says(/app "shop": 2 tasks[\s\S]*petiole> /);
  shell.press("await (await add.delay(20, 3)).get()\r");
  await shell.says(/^23\r$/m);
  shell.press("tasks['shop.fail'].name\r");
  await shell.says(/^'shop\.fail'\r$/m);
  shell.press(".exit\r");
  expect(await shell.ended).toBe(0);
}, 60_000);

test("without a terminal the monitor says what to use", async () => {
  const { code, err } = await petioleRun(["-A", "tasks.mjs", "events"], options());
  expect([code, err]).toEqual([64, expect.stringMatching(/no terminal.*--dump.*\[PET_USAGE\]\n$/)]);
  for (const words of [
    ["--dump", "--json"],
    ["--freq", "2"],
    ["--camera", "x", "--dump"],
    ["--freq", "0", "--camera", "x"],
    ["--maxrate", "10/m"],
    ["--maxrate", "0", "--camera", "x"],
  ]) {
    expect((await petioleRun(["-A", "tasks.mjs", "events", ...words], options())).code).toBe(64);
  }
});

test("a camera gets the state again and again, and once more at the end; one that throws is reported", async () => {
  const file = join(project.dir, "shots");
  project.write(
    "shots.mjs",
    `import { appendFileSync } from "node:fs";
     let n = 0;
     export async function take(state, app) {
       n += 1;
       if (n === 2) throw new Error("no film");
       appendFileSync(${JSON.stringify(file)}, JSON.stringify([app.name, [...state.tasks.values()].map((one) => one.state)]) + "\\n");
     }`,
  );
  await worker();
  const one = start("events", "--camera", "shots.mjs:take", "-F", "0.2");
  await one.says(/evcam: Taking snapshots with shots\.mjs:take \(every 0\.2 secs\.\)/);
  await one.says(/the camera failed: Error: no film/);
  await sent("shop.add", "[1, 2]");
  await eventually("a shot has the task", () => readFileSync(file, "utf8").includes('["shop",["SUCCESS"]]'));
  one.kill("SIGTERM");
  expect((await one.ended).code).toBe(0);

  project.write("count.mjs", "export const camera = () => console.log('shot');");
  const slow = start("events", "--camera", "count.mjs", "-F", "0.01", "--maxrate", "2/s");
  await slow.says(/shot/);
  const fromMs = performance.now();
  await slow.says(/(shot\s+){4}/);
  const tookMs = performance.now() - fromMs;
  expect(tookMs).toBeGreaterThan(1300);
  slow.kill("SIGTERM");
  expect((await slow.ended).code).toBe(0);

  const wrong = await petioleRun(["-A", "tasks.mjs", "events", "--camera", "shots.mjs:tkae"], options());
  expect([wrong.code, wrong.err]).toEqual([
    64,
    expect.stringContaining('no function tkae, did you mean "take"?'),
  ]);
});
