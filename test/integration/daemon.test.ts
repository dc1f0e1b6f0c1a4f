/** The worker as a daemon: in the background, with pid and log files, as another user, under probes. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { freePort, type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, type Ended, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";
import { isAlive } from "./pool-support.ts";

let redis: RedisServer;
let project: Project;
let started: CliProcess[];
let daemons: number[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  project.write(
    "tasks.mjs",
    `import { Celery } from ${petiole};
     export const app = new Celery("shop", { brokerUrl: process.env.BROKER, resultBackend: process.env.BROKER });
     app.task("d.who", () => [process.getuid(), process.getgid(), process.getgroups(), process.umask(), process.cwd()]);
     app.task("d.block", () => { for (const until = Date.now() + 1500; Date.now() < until; ); });`,
  );
  started = [];
  daemons = [];
});
afterEach(async () => {
  for (const one of started) one.kill("SIGKILL");
  await Promise.all(started.map((one) => one.ended));
  for (const pid of daemons) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  project.remove();
});

const options = (): { cwd: string; env: Record<string, string> } => ({
  cwd: project.dir,
  env: { BROKER: redis.url },
});
const run = (...words: readonly string[]): Promise<Ended> => petioleRun(words, options());
const WORKER = ["-A", "tasks.mjs", "worker", "-c", "1", "-l", "INFO"] as const;
function worker(...words: readonly string[]): CliProcess {
  const one = new CliProcess([...WORKER, ...words], options());
  started.push(one);
  return one;
}
const path = (name: string): string => join(project.dir, name);
const text = (name: string): string => (existsSync(path(name)) ? readFileSync(path(name), "utf8") : "");
const call = async (name: string): Promise<unknown> => {
  const id = (await run("-A", "tasks.mjs", "call", name)).out.trim();
  return JSON.parse((await run("-A", "tasks.mjs", "result", id, "--timeout", "20")).out || "null") as unknown;
};

describe("--detach", () => {
  async function detached(...words: readonly string[]): Promise<Ended & { pid: number }> {
    const ended = await run(...WORKER, "--detach", "--pidfile", "%n.pid", "-f", "%n%I.log", ...words);
    const pid = Number(text("w1.pid"));
    if (pid > 1) daemons.push(pid);
    return { ...ended, pid };
  }

  test("comes back when the worker is set up; it runs in a session of its own until it is told to stop", async () => {
    const { code, out, err, pid } = await detached("-n", "w1@%h");
    expect({ code, out, err }).toEqual({
      code: 0,
      out: `w1@${hostname()} runs in the background, pid ${pid}\n`,
      err: "",
    });
    expect(execFileSync("ps", ["-o", "sid=,tty=", "-p", String(pid)], { encoding: "utf8" }).trim()).toMatch(
      new RegExp(`^${pid}\\s+\\?$`),
    );
    await eventually("it is ready", () => text("w1.log").includes("worker ready"), { timeoutMs: 20_000 });
    expect(((await call("d.who")) as unknown[])[4]).toBe(project.dir);
    process.kill(pid, "SIGTERM");
    await eventually("it has ended", () => !isAlive(pid));
    expect(text("w1.log")).toContain("worker stopped");
    expect(existsSync(path("w1.pid"))).toBe(false);
  });

  test("says why the worker did not come up, with its exit code", async () => {
    project.write("bad.mjs", "throw new RangeError('bad day');");
    const ended = await run("-A", "bad.mjs", "worker", "-D", "-f", "w.log", "--pidfile", "w.pid");
    expect(ended.code).toBe(1);
    expect(ended.err).toMatch(/^petiole worker: .*RangeError: bad day.* \[PET_MODULE_FAILED\]\n$/);
    const taken = worker("--pidfile", "w1.pid");
    await taken.says(/ready/);
    const second = await detached("-n", "w1@h");
    expect(second.code).toBe(73);
    expect(second.err).toContain("[PET_RUNNING]");
    const unwritable = await run(...WORKER, "-D", "-f", "no/such/folder.log");
    expect(unwritable.code).toBe(1);
    expect(unwritable.err).toMatch(
      /^petiole worker: the log file cannot be written: .*no\/such.*\[PET_DAEMON\]\n$/,
    );
  });

  test("is started in --workdir, by --executable", async () => {
    mkdirSync(path("sub"));
    const node = project.write(
      "node.sh",
      `#!/bin/sh\necho "$0" >> started-by\nexec ${process.execPath} "$@"\n`,
    );
    chmodSync(node, 0o755);
    project.write("sub/tasks.mjs", text("tasks.mjs"));
    const { code } = await run(
      "--workdir",
      "sub",
      ...WORKER,
      "-D",
      "--pidfile",
      "x.pid",
      "-f",
      "x.log",
      "--executable",
      node,
    );
    expect(code).toBe(0);
    const pid = Number(text("sub/x.pid"));
    daemons.push(pid);
    expect(isAlive(pid)).toBe(true);
    expect(text("started-by")).toBe(`${node}\n`);
    await eventually("it is ready", () => text("sub/x.log").includes("worker ready"), { timeoutMs: 20_000 });
  });
});

describe("--pidfile", () => {
  test("holds the worker's pid and is gone after it; a second worker is refused with exit code 73", async () => {
    const one = worker("--pidfile", "w.pid");
    await one.says(/ready/);
    expect(text("w.pid")).toBe(`${one.child.pid}\n`);
    const { code, err } = await run(...WORKER, "--pidfile", "w.pid");
    expect(code).toBe(73);
    expect(err).toMatch(
      new RegExp(
        `^petiole worker: the pid file .*w\\.pid names process ${one.child.pid}, .* \\[PET_RUNNING\\]\\n$`,
      ),
    );
    one.kill("SIGTERM");
    expect((await one.ended).code).toBe(0);
    expect(existsSync(path("w.pid"))).toBe(false);
  });

  test("of a worker that was killed is replaced, and said", async () => {
    const one = worker("--pidfile", "w.pid");
    await one.says(/ready/);
    one.kill("SIGKILL");
    await one.ended;
    expect(text("w.pid")).toBe(`${one.child.pid}\n`);
    const two = worker("--pidfile", "w.pid");
    await two.says(/ready/);
    expect(two.err).toMatch(/WARNING.*w\.pid was left over: it is replaced/);
    expect(text("w.pid")).toBe(`${two.child.pid}\n`);
  });

  test("may be a setting", async () => {
    project.write(
      "set.mjs",
      `import { app } from "./tasks.mjs"; app.conf.update({ worker_pidfile: "set.pid", worker_logfile: "set.log", worker_umask: "077" }); export { app };`,
    );
    const one = new CliProcess(["-A", "set.mjs", "worker", "-c", "1", "-l", "INFO"], options());
    started.push(one);
    await eventually("it is ready", () => text("set.log").includes("worker ready"), { timeoutMs: 20_000 });
    expect(text("set.pid")).toBe(`${one.child.pid}\n`);
    expect(statSync(path("set.log")).mode & 0o777).toBe(0o600);
  });
});

test("SIGHUP opens the log file anew, for what moves logs away", async () => {
  const one = worker("-f", "w.log");
  await eventually("it is ready", () => text("w.log").includes("worker ready"), { timeoutMs: 20_000 });
  renameSync(path("w.log"), path("w.log.1"));
  one.kill("SIGHUP");
  await eventually("the new file is there", () => text("w.log").includes("opened anew"));
  expect(one.child.exitCode).toBe(null);
  one.kill("SIGTERM");
  expect((await one.ended).code).toBe(0);
  expect(text("w.log")).toContain("worker stopped");
  expect(text("w.log.1")).not.toContain("worker stopped");
});

describe("--uid, --gid, --umask", () => {
  const isRoot = process.geteuid?.() === 0;

  // Only root can become somebody else.
  test.runIf(isRoot)(
    "change user, group and groups before anything of the app runs, and for good",
    async () => {
      chmodSync(project.dir, 0o777);
      project.write(
        "who.mjs",
        `import { app } from "./tasks.mjs"; import { writeFileSync } from "node:fs";
       let back = "back"; try { process.setuid(0); } catch { back = "no way back"; }
       writeFileSync("loaded", process.getuid() + " " + process.getgid() + " " + process.getgroups() + " " + back);
       export { app };`,
      );
      const one = new CliProcess(
        [
          "-A",
          "who.mjs",
          "worker",
          "-c",
          "1",
          "-l",
          "INFO",
          "--uid",
          "nobody",
          "--umask",
          "027",
          "--pidfile",
          "w.pid",
          "-P",
          "prefork",
        ],
        options(),
      );
      started.push(one);
      await one.says(/tasks: +d\.block/);
      const id = (flag: string): number => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
      const [uid, gid] = [id("-u"), id("-g")];
      expect(text("loaded")).toBe(`${uid} ${gid} ${gid} no way back`);
      expect(statSync(path("w.pid"))).toMatchObject({ uid, gid });
      expect(statSync(path("w.pid")).mode & 0o777).toBe(0o640);
      // Its children too.
      expect(await call("d.who")).toEqual([uid, gid, [gid], 0o027, project.dir]);
    },
  );

  test.runIf(isRoot)("take numbers, and a group alone", async () => {
    const { code, err } = await run(...WORKER, "--gid", "12345", "--print-steps");
    expect([code, err]).toEqual([0, ""]);
    expect((await run(...WORKER, "--uid", "54321", "--print-steps")).err).toContain("give it with --gid");
  });

  test.each([
    [["--uid", "no-such-user"], /there is no user "no-such-user"/],
    [["--gid", "no-such-group"], /there is no group "no-such-group"/],
  ])("%j is refused by name", async (words, message) => {
    const { code, err } = await run(...WORKER, ...words);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err).toMatch(/\[PET_DAEMON\]\n$/);
  });

  test("a mask that is not octal is refused", async () => {
    const { code, err } = await run(...WORKER, "--umask", "98");
    expect(code).toBe(64);
    expect(err).toContain("octal");
  });
});

describe("--health-port", () => {
  const probe = async (
    port: number,
    name: string,
  ): Promise<{ code: number; body: Record<string, unknown> }> => {
    const response = await fetch(`http://127.0.0.1:${port}/${name}`);
    return { code: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  test("answers from the start to the end: 503 without a broker, 200 with it, 503 when it is lost", async () => {
    const own = await startRedis();
    const port = await freePort();
    const one = new CliProcess([...WORKER, "--health-port", String(port)], {
      cwd: project.dir,
      env: { BROKER: own.url },
    });
    started.push(one);
    try {
      await one.says(/ready/);
      await eventually("it is ready", async () => (await probe(port, "readyz")).code === 200);
      // The busy worker fetches as well: with nothing that it could take.
      const { body } = await probe(port, "readyz");
      expect(body).toMatchObject({ status: "ready", broker: "live", slots: 1 });
      expect(Number(body["fetchedSecondsAgo"])).toBeLessThan(15);
      expect(await probe(port, "livez")).toMatchObject({ code: 200, body: { pid: one.child.pid } });
      await own.stop();
      await eventually("it is not ready", async () => (await probe(port, "readyz")).code === 503);
      expect((await probe(port, "readyz")).body["status"]).toBe("the broker is away");
      expect((await probe(port, "livez")).code).toBe(200);
    } finally {
      await own.stop();
    }
  });

  test("a Redis that hangs is found out: connected, and no fetch is answered", async () => {
    const own = await startRedis();
    const port = await freePort();
    const one = new CliProcess([...WORKER, "--health-port", `127.0.0.1:${port}`], {
      cwd: project.dir,
      env: { BROKER: own.url },
    });
    started.push(one);
    try {
      await one.says(/ready/);
      await eventually("it is ready", async () => (await probe(port, "readyz")).code === 200);
      await own.kill("SIGSTOP");
      await eventually("it is not ready", async () => (await probe(port, "readyz")).code === 503, {
        timeoutMs: 40_000,
      });
      expect((await probe(port, "livez")).code).toBe(200);
    } finally {
      await own.kill("SIGCONT");
      await own.stop();
    }
  }, 60_000);
});

test("a log file that cannot be written is said at the start", async () => {
  writeFileSync(path("file"), "");
  for (const json of [[], ["--json"]]) {
    const { code, err } = await run(...WORKER, "-f", "file/w.log", ...json);
    expect(code).toBe(1);
    expect(err).toContain("PET_DAEMON");
  }
});
