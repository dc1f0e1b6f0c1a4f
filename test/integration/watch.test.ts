/** `petiole worker --watch`: real processes, real files. */
import { mkdirSync, readFileSync, renameSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { Celery } from "petiole";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";
import { childrenOf, isAlive } from "./pool-support.ts";

const SECONDS = { timeout: 20 };
let redis: RedisServer;
let project: Project;
let app: Celery;
let started: CliProcess[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  mkdirSync(join(project.dir, "lib"));
  write("lib/answer.mjs", "export const answer = 1;");
  write("app.mjs", moduleOf("answer"));
  app = new Celery("client", { brokerUrl: redis.url, resultBackend: redis.url, logger: silentLogger });
  started = [];
});
afterEach(async () => {
  for (const one of started) {
    for (const pid of childrenOf(one.child.pid ?? 0)) process.kill(pid, "SIGKILL");
    one.kill("SIGKILL");
  }
  await Promise.all(started.map((one) => one.ended));
  await app.close();
  project.remove();
});

function moduleOf(result: string, more = ""): string {
  return `import { Celery } from ${petiole};
    import { appendFileSync } from "node:fs";
    import { answer } from "./lib/answer.mjs";
    export const app = new Celery("shop", { brokerUrl: process.env.BROKER, resultBackend: process.env.BROKER });
    app.task("w.answer", () => ${result});
    app.task("w.slow", async (ms) => {
      appendFileSync("slow", "+");
      await new Promise((resolve) => setTimeout(resolve, ms));
      return "done";
    });
    ${more}`;
}
const write = (name: string, text: string): string => project.write(name, text);

function watching(module = "app.mjs", ...more: readonly string[]): CliProcess {
  const one = new CliProcess(["-A", module, "worker", "-c", "2", "-l", "INFO", "--watch", ...more], {
    cwd: project.dir,
    env: { BROKER: redis.url },
  });
  started.push(one);
  return one;
}
const count = (one: CliProcess, what: RegExp): number => one.text.match(what)?.length ?? 0;
const READY = /\] worker ready/g;
const up = (one: CliProcess, times: number): Promise<true> =>
  eventually(`${times} starts: ${one.text}`, () => count(one, READY) >= times, { timeoutMs: 20_000 });
const answer = async (): Promise<unknown> => (await app.sendTask("w.answer", [])).get(SECONDS);

describe("--watch", () => {
  test("starts the worker anew when an imported module changes, and Ctrl-C ends both", async () => {
    const one = watching();
    await up(one, 1);
    const [first = 0] = childrenOf(one.child.pid ?? 0);
    expect(await answer()).toBe(1);
    write("lib/answer.mjs", "export const answer = 2;");
    await up(one, 2);
    expect(one.err).toMatch(/INFO\/MainProcess\] a module changed: .* file=lib\/answer\.mjs/);
    expect(await answer()).toBe(2);
    // As most editors write.
    write("new", moduleOf("answer + 10"));
    renameSync(join(project.dir, "new"), join(project.dir, "app.mjs"));
    await up(one, 3);
    expect(await answer()).toBe(12);
    expect(isAlive(first)).toBe(false);
    const [last = 0] = childrenOf(one.child.pid ?? 0);
    one.kill("SIGINT");
    expect((await one.ended).code).toBe(0);
    expect(isAlive(last)).toBe(false);
    expect(count(one, READY)).toBe(3);
  });

  test("a folder that is made anew, and one that was away, is watched on", async () => {
    const one = watching();
    await up(one, 1);
    rmSync(join(project.dir, "lib"), { recursive: true });
    await one.says(/the worker has ended: it is started anew when a module changes exitCode=1/);
    mkdirSync(join(project.dir, "lib"));
    write("lib/answer.mjs", "export const answer = 3;");
    await up(one, 2);
    expect(await answer()).toBe(3);
    write("lib/answer.mjs", "export const answer = 4;");
    await up(one, 3);
    expect(await answer()).toBe(4);
  });

  test("running tasks end first; changes meanwhile do not pile up", async () => {
    const one = watching();
    await up(one, 1);
    const slow = await app.sendTask("w.slow", [2500]);
    const slowFile = join(project.dir, "slow");
    await eventually("it runs", () => readOr(slowFile) === "+");
    write("lib/answer.mjs", "export const answer = 5;");
    await one.says(/a module changed/);
    write("lib/answer.mjs", "export const answer = 6;");
    write("app.mjs", moduleOf("answer", "// other"));
    await up(one, 2);
    expect(await slow.get(SECONDS)).toBe("done");
    expect(await answer()).toBe(6);
    expect(readOr(slowFile)).toBe("+");
    expect(count(one, /a module changed/g)).toBe(1);
    expect(count(one, READY)).toBe(2);
  });

  test("a module that cannot be loaded is told once, and the next change is tried", async () => {
    write("app.mjs", "export const app = ;");
    const one = watching();
    await one.says(/PET_MODULE_FAILED[^]*the worker has ended/);
    write("app.mjs", moduleOf("answer"));
    await up(one, 1);
    write("lib/answer.mjs", "export const answer = 0; throw new RangeError('bad day');");
    await one.says(/RangeError: bad day[^]*the worker has ended/);
    expect(count(one, /the worker has ended/g)).toBe(2);
    // A module that was missing: nobody has loaded it yet.
    write("lib/answer.mjs", "export { answer } from './more.mjs';");
    await eventually("it has failed again", () => count(one, /the worker has ended/g) === 3, {
      timeoutMs: 20_000,
    });
    write("lib/more.mjs", "export const answer = 7;");
    await up(one, 2);
    one.kill("SIGTERM");
    expect((await one.ended).code).toBe(0);
  });

  test("works with TypeScript, and a file that was only touched is no change", async () => {
    write(
      "shop.ts",
      `import { app } from "./app.mjs"; const n: number = 8; app.task("w.ts", () => n); export { app };`,
    );
    const one = watching("shop.ts");
    await up(one, 1);
    utimesSync(join(project.dir, "app.mjs"), new Date(), new Date());
    write("lib/answer.mjs", "export const answer = 1;");
    write("unrelated.mjs", "export {};");
    write(
      "shop.ts",
      `import { app } from "./app.mjs"; const n: number = 9; app.task("w.ts", () => n); export { app };`,
    );
    await up(one, 2);
    expect(await (await app.sendTask("w.ts", [])).get(SECONDS)).toBe(9);
    expect(one.err.match(/a module changed.*/g)).toEqual([expect.stringMatching(/file=shop\.ts$/)]);
  });

  test("a worker that is told to stop, or whose supervisor was killed, ends for good", async () => {
    const one = watching();
    await up(one, 1);
    await app.control.shutdown();
    expect((await one.ended).code).toBe(0);
    const two = watching();
    await up(two, 1);
    const [pid = 0] = childrenOf(two.child.pid ?? 0);
    two.kill("SIGKILL");
    await eventually("the worker has ended", () => !isAlive(pid), { timeoutMs: 20_000 });
  });

  test("is refused with --detach, and a module that is not there ends it", async () => {
    const run = (...words: readonly string[]): ReturnType<typeof petioleRun> =>
      petioleRun(["-A", ...words], { cwd: project.dir, env: { BROKER: redis.url } });
    const both = await run("app.mjs", "worker", "--watch", "-D");
    expect([both.code, both.err]).toEqual([
      64,
      expect.stringMatching(/--watch and --detach.*\[PET_USAGE\]/s),
    ]);
    const none = await run("nowhere.mjs", "worker", "--watch");
    expect([none.code, none.err]).toEqual([1, expect.stringContaining("[PET_MODULE_FAILED]")]);
  });
});

function readOr(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
