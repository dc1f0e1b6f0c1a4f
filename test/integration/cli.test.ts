import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import {
  CliProcess,
  makeProject,
  type Project,
  petiole,
  petioleRun,
  type RunOptions,
} from "./cli-support.ts";

let redis: RedisServer;
let project: Project;
let started: CliProcess[];

const TASKS = `
import { appendFileSync } from "node:fs";
import { Celery, currentTask } from ${petiole};
export const app = new Celery("shop", { brokerUrl: process.env.SHOP_BROKER, resultBackend: process.env.SHOP_BACKEND });
app.task("shop.add", (x, y) => x + y);
app.task("shop.fail", () => { throw new TypeError("no stock left"); });
app.task("shop.where", { bind: true }, (task) => ({
  hostname: task.request.hostname,
  multiplier: app.conf.workerPrefetchMultiplier,
}));
app.task("shop.stray", (how) => {
  if (how === "promise") void Promise.reject(new Error("stray"));
  else setTimeout(() => { throw new Error("stray"); }, 10);
  return "left";
});
app.task("shop.wait", async (file, ms) => {
  appendFileSync(file, "started\\n");
  await new Promise((resolve) => setTimeout(resolve, ms));
  appendFileSync(file, "finished\\n");
  return "waited";
});
`;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  // Databases of their own for each test: broker and results.
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

function options(more: Partial<RunOptions> = {}): RunOptions {
  return {
    cwd: project.dir,
    ...more,
    env: { SHOP_BROKER: `${redis.url}/0`, SHOP_BACKEND: `${redis.url}/1`, ...more.env },
  };
}

const run = (words: readonly string[], more: Partial<RunOptions> = {}): ReturnType<typeof petioleRun> =>
  petioleRun(words, options(more));

function worker(words: readonly string[], more: Partial<RunOptions> = {}): CliProcess {
  const one = new CliProcess(words, options(more));
  started.push(one);
  return one;
}

/** A worker that says that it is ready. */
async function ready(words: readonly string[] = [], more: Partial<RunOptions> = {}): Promise<CliProcess> {
  const one = worker(["-A", "tasks.mjs", "worker", "-l", "INFO", "-c", "2", ...words], more);
  await one.says(/ready/);
  return one;
}

async function answer(name: string, args: readonly unknown[] = []): Promise<string> {
  const sent = await run(["-A", "tasks.mjs", "call", name, "-a", JSON.stringify(args)]);
  expect(sent.err).toBe("");
  const got = await run(["-A", "tasks.mjs", "result", sent.out.trim(), "--timeout", "20"]);
  expect(got.err).toBe("");
  return got.out.trim();
}

describe("a worker, and tasks sent from the command line", () => {
  test("call prints the id, the worker runs the task, result prints what it gave", async () => {
    await ready();
    expect(await answer("shop.add", [2, 3])).toBe("5");
    expect(await answer("shop.add", ["a", "b"])).toBe("ab");
  });

  test("the options may come before and after the command", async () => {
    const one = worker(["worker", "-l", "INFO", "-A", "tasks.mjs", "-c", "1"]);
    await one.says(/ready/);
    const sent = await run(["call", "shop.add", "-A", "tasks.mjs", "-k", '{"x": 1, "y": 2}']);
    expect(sent.code).toBe(0);
    expect((await run(["result", sent.out.trim(), "--timeout", "20", "-A", "tasks.mjs"])).out).toBe("3\n");
  });

  test("result of a failed task exits with 1, names the error, and shows the traceback when asked", async () => {
    await ready();
    const id = (await run(["-A", "tasks.mjs", "call", "shop.fail"])).out.trim();
    const { code, out, err } = await run(["-A", "tasks.mjs", "result", id, "--timeout", "20"]);
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(/FAILURE.*no stock left.* \[PET_REMOTE\]\n$/);
    const traceback = await run(["-A", "tasks.mjs", "result", "--traceback", id]);
    expect(traceback.code).toBe(0);
    expect(traceback.out).toContain("no stock left");
    expect(traceback.out).toContain("tasks.mjs");
  });

  test("result gives up after --timeout with exit code 69", async () => {
    const { code, err } = await run(["-A", "tasks.mjs", "result", "no-such-id", "--timeout", "0.2"]);
    expect(code).toBe(69);
    expect(err).toContain("[PET_TIMEOUT]");
  });

  test("result of a task by a name that is not known is refused", async () => {
    const { code, err } = await run(["-A", "tasks.mjs", "result", "x", "-t", "shop.gone"]);
    expect(code).toBe(1);
    expect(err).toMatch(/shop\.gone.*\[PET_TASK_NOT_REGISTERED\]\n$/);
  });

  test("a TypeScript module needs no build", async () => {
    project.write(
      "typed.ts",
      `import { Celery } from ${petiole};
       interface Point { readonly x: number }
       const shop: Celery = new Celery("shop", { brokerUrl: process.env["SHOP_BROKER"]!, resultBackend: process.env["SHOP_BACKEND"]! });
       shop.task("shop.typed", (point: Point): number => point.x * 2);
       export { shop };`,
    );
    const one = worker(["-A", "typed.ts:shop", "worker", "-l", "INFO", "-c", "1"]);
    await one.says(/ready/);
    const sent = await run(["-A", "tasks.mjs", "call", "shop.typed", "-a", '[{"x": 21}]']);
    expect((await run(["-A", "tasks.mjs", "result", sent.out.trim(), "--timeout", "20"])).out).toBe("42\n");
  });

  test("settings after -- and %h, %n in the node name", async () => {
    await ready(["-n", "w1.%n@%h", "--", "worker.prefetch_multiplier=7"]);
    const [short = ""] = hostname().split(".");
    const where = JSON.parse(await answer("shop.where")) as Record<string, unknown>;
    expect(where["multiplier"]).toBe(7);
    expect(where["hostname"]).toMatch(/^w1\..+@/);
    expect(String(where["hostname"])).toContain(short);
  });

  test("options of the environment count, the command line wins", async () => {
    const one = worker(["worker", "-l", "INFO", "--prefetch-multiplier", "3"], {
      env: {
        CELERY_APP: "tasks.mjs",
        CELERY_WORKER_CONCURRENCY: "2",
        CELERY_WORKER_PREFETCH_MULTIPLIER: "9",
      },
    });
    await one.says(/ready/);
    // Two slots, each with three messages.
    await one.says(/concurrency:/);
    expect(one.out).toMatch(/concurrency: +2 \(async\), prefetch 6/);
  });

  test("an unknown setting after -- is refused with the nearest", async () => {
    const { code, err } = await run(["-A", "tasks.mjs", "worker", "--", "worker.prefetch_multiplyer=2"]);
    expect(code).not.toBe(0);
    expect(err).toMatch(/prefetch_?multiplier.*\[PET_CONFIG_UNKNOWN\]\n$/i);
    const word = await run(["-A", "tasks.mjs", "worker", "fast"]);
    expect(word.code).toBe(64);
    expect(word.err).toContain('"fast"');
  });

  test("-Q consumes these queues only, -X all but those, --purge empties them first", async () => {
    await run(["-A", "tasks.mjs", "call", "shop.add", "-a", "[1, 1]", "--queue", "mail"]);
    await run(["-A", "tasks.mjs", "call", "shop.add", "-a", "[1, 1]"]);
    await ready(["-Q", "mail,images", "-X", "images"]);
    await eventually("mail is consumed", async () => (await redis.command("LLEN", "mail")) === "0");
    expect(await redis.command("LLEN", "celery")).toBe("1");
    await ready(["--purge"]);
    expect(await redis.command("LLEN", "celery")).toBe("0");
  });

  test("-f appends the log to a file, --json makes its lines JSON", async () => {
    const log = join(project.dir, "worker.log");
    writeFileSync(log, "before\n");
    const one = worker(["-A", "tasks.mjs", "worker", "-l", "INFO", "-c", "1", "-f", log, "--json", "-q"]);
    await eventually("the worker is ready", () => /ready/.test(readFileSync(log, "utf8")));
    expect(one.text).toBe("");
    const lines = readFileSync(log, "utf8").trim().split("\n");
    expect(lines[0]).toBe("before");
    for (const line of lines.slice(1)) expect(() => JSON.parse(line) as unknown).not.toThrow();
  });

  test("--print-steps prints the order and ends without a broker", async () => {
    const { code, out } = await run(["-A", "tasks.mjs", "worker", "--print-steps"], {
      env: { SHOP_BROKER: "redis://127.0.0.1:1/0" },
    });
    expect(code).toBe(0);
    expect(out).toMatch(/pool/i);
  });
});

describe("stopping a worker", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s lets running tasks finish and exits with 0",
    async (signal) => {
      const one = await ready();
      const file = join(project.dir, "log");
      const id = (
        await run(["-A", "tasks.mjs", "call", "shop.wait", "-a", JSON.stringify([file, 500])])
      ).out.trim();
      await eventually("the task has started", () => readFileSync(file, "utf8").includes("started"));
      one.kill(signal);
      expect((await one.ended).code).toBe(0);
      expect(readFileSync(file, "utf8")).toBe("started\nfinished\n");
      expect((await run(["-A", "tasks.mjs", "result", id, "--timeout", "1"])).out).toBe("waited\n");
    },
  );

  test("a second Ctrl-C ends it without waiting for tasks, and SIGTERM never does", async () => {
    const one = await ready();
    const file = join(project.dir, "log");
    await run(["-A", "tasks.mjs", "call", "shop.wait", "-a", JSON.stringify([file, 60_000])]);
    await eventually("the task has started", () => readFileSync(file, "utf8").includes("started"));
    one.kill("SIGTERM");
    await one.says(/the worker stops signal=SIGTERM how=warm/);
    one.kill("SIGTERM");
    await one.says(/is stopping already signal=SIGTERM how=warm/);
    one.kill("SIGINT");
    expect((await one.ended).code).toBe(1);
    expect(readFileSync(file, "utf8")).toBe("started\n");
  });

  test.each([
    ["SIGQUIT", {}],
    ["SIGTERM", { REMAP_SIGTERM: "SIGQUIT" }],
  ] as const)(
    "%s gives the tasks workerSoftShutdownTimeout, then ends with 0 as Celery's",
    async (signal, env) => {
      const one = await ready(["--", "worker.soft_shutdown_timeout=1.5"], { env });
      const [short, long] = [join(project.dir, "short"), join(project.dir, "long")];
      for (const [file, ms] of [
        [short, 500],
        [long, 60_000],
      ] as const) {
        await run(["-A", "tasks.mjs", "call", "shop.wait", "-a", JSON.stringify([file, ms])]);
      }
      await eventually("both have started", () => readFileSync(long, "utf8").includes("started"));
      one.kill(signal);
      expect((await one.ended).code).toBe(0);
      expect(one.err).toContain(`signal=${signal} how=soft`);
      expect(readFileSync(short, "utf8")).toBe("started\nfinished\n");
      expect(readFileSync(long, "utf8")).toBe("started\n");
    },
  );

  test("steps of the app are listed by --print-steps, run, and are named when they fail", async () => {
    project.write(
      "steps.mjs",
      `import { app } from "./tasks.mjs";
       app.steps.worker.add({ name: "metrics", requires: ["pool"],
         start: ({ hostname, logger }) => logger.info({ hostname }, "metrics up"),
         stop: ({ logger }) => logger.info({}, "metrics down") });
       app.steps.consumer.add({ name: "shaky", start() { if (process.env.SHAKY) throw new Error("no luck"); } });
       export { app };`,
    );
    const listed = await run(["-A", "steps.mjs", "worker", "--print-steps"]);
    const lines = listed.out.trim().split("\n");
    expect(lines).toContain("metrics (after pool)");
    expect(lines.indexOf("metrics (after pool)")).toBeLessThan(
      lines.findIndex((line) => line.startsWith("consumer")),
    );
    expect(lines.at(-1)).toBe("shaky (after consumer)");
    const one = worker(["-A", "steps.mjs", "worker", "-l", "INFO", "-c", "1"]);
    await one.says(/ready/);
    expect(one.err).toMatch(/metrics up hostname=celery@[^]*worker ready/);
    one.kill("SIGTERM");
    expect((await one.ended).code).toBe(0);
    expect(one.err).toMatch(/metrics down[^]*worker stopped/);
    const failed = await run(["-A", "steps.mjs", "worker", "-c", "1"], { env: { SHAKY: "1" } });
    expect(failed.code).toBe(1);
    expect(failed.err).toMatch(/the step shaky failed to start: no luck.* \[PET_STEP_FAILED\]\n$/);
  });

  test("a worker that waits for its broker ends at once when it is told to", async () => {
    const one = worker(["-A", "tasks.mjs", "worker", "-l", "INFO"], {
      env: { SHOP_BROKER: "redis://127.0.0.1:1/0" },
    });
    await one.says(/127\.0\.0\.1:1/);
    one.kill("SIGTERM");
    const { code, err } = await one.ended;
    expect(code).toBe(0);
    expect(err).not.toContain("[PET_");
  });

  test("a promise that a task leaves rejected is logged, and the worker goes on", async () => {
    const one = await ready();
    expect(await answer("shop.stray", ["promise"])).toBe("left");
    await one.says(/nobody handled/);
    expect(await answer("shop.add", [1, 2])).toBe("3");
  });

  test("an exception that nobody catches ends the worker with 1", async () => {
    const one = await ready();
    await run(["-A", "tasks.mjs", "call", "shop.stray", "-a", '["timer"]']);
    expect((await one.ended).code).toBe(1);
    expect(one.err).toMatch(/not caught/);
  });
});

describe("what goes wrong is said in one paragraph with its code", () => {
  const away = "redis://user:s3cret@127.0.0.1:1/0";

  test("call without a broker: exit code 69, no password", async () => {
    const { code, out, err } = await run(["-b", away, "call", "shop.add"]);
    expect(code).toBe(69);
    expect(out).toBe("");
    expect(err).toMatch(/^petiole call: .*127\.0\.0\.1:1.* \[PET_BROKER_UNREACHABLE\]\n$/);
    expect(err).not.toContain("s3cret");
  });

  test("purge without a broker: exit code 69", async () => {
    const { code, err } = await run(["-b", away, "purge", "-f"]);
    expect(code).toBe(69);
    expect(err).toMatch(/^petiole purge: .* \[PET_BROKER_UNREACHABLE\]\n$/);
    expect(err).not.toContain("s3cret");
  });

  test("result without a backend, and with one that is away", async () => {
    const none = await run(["-b", redis.url, "result", "x"]);
    expect(none.code).toBe(1);
    expect(none.err).toMatch(/--result-backend.* \[PET_BACKEND_DISABLED\]\n$/);
    const gone = await run(["-b", redis.url, "--result-backend", away, "result", "x", "--timeout", "1"]);
    expect(gone.code).toBe(69);
    expect(gone.err).not.toContain("s3cret");
  });

  test("a module that is not there, one without an app, one that throws", async () => {
    const missing = await run(["-A", "taskz", "worker"]);
    expect(missing.code).not.toBe(0);
    expect(missing.err).toMatch(/^petiole worker: .*"taskz".* \[PET_MODULE_FAILED\]\n$/);
    project.write("empty.mjs", "export const price = 3;");
    const empty = await run(["-A", "empty", "worker"]);
    expect(empty.code).toBe(64);
    expect(empty.err).toMatch(/price.* \[PET_APP_NOT_FOUND\]\n$/);
    project.write("broken.mjs", "\n\nthrow new RangeError('bad day');\n");
    const broken = await run(["-A", "broken", "worker"]);
    expect(broken.code).toBe(1);
    expect(broken.err).toMatch(/RangeError: bad day \(at .*broken\.mjs:3:\d+\).* \[PET_MODULE_FAILED\]\n$/);
  });

  test("purge asks on the terminal and counts", async () => {
    for (const queue of ["celery", "mail"]) {
      await run(["-A", "tasks.mjs", "call", "shop.add", "-a", "[1, 2]", "--queue", queue]);
    }
    const no = await run(["-A", "tasks.mjs", "purge", "-Q", "celery,mail"], { input: "n\n" });
    expect(no.code).toBe(1);
    expect(no.err).toContain("celery, mail");
    const yes = await run(["-A", "tasks.mjs", "purge", "-Q", "celery,mail"], { input: "y\n" });
    expect(yes.code).toBe(0);
    expect(yes.out).toBe("Purged 2 messages from 2 known task queues.\n");
  });
});

test("a worker connects to nothing but the servers it was given", async () => {
  const log = join(project.dir, "sockets");
  const hook = project.write(
    "hook.mjs",
    `import { appendFileSync } from "node:fs";
     import dns from "node:dns";
     import net from "node:net";
     const note = (what) => appendFileSync(${JSON.stringify(log)}, what + "\\n");
     const connect = net.Socket.prototype.connect;
     net.Socket.prototype.connect = function (...args) {
       const [first] = Array.isArray(args[0]) ? args[0] : args;
       note("connect " + JSON.stringify({ host: first?.host, port: first?.port, path: first?.path }));
       return connect.apply(this, args);
     };
     const lookup = dns.lookup;
     dns.lookup = (name, ...rest) => { note("lookup " + name); return lookup(name, ...rest); };`,
  );
  const one = await ready([], { nodeArgs: ["--import", hook] });
  expect(await answer("shop.add", [1, 2])).toBe("3");
  one.kill("SIGTERM");
  expect((await one.ended).code).toBe(0);
  const noted = readFileSync(log, "utf8").trim().split("\n");
  expect(noted.length).toBeGreaterThan(0);
  const port = new URL(redis.url).port;
  for (const line of noted) expect(line).toMatch(new RegExp(`"host":"127\\.0\\.0\\.1","port":"?${port}"?`));
});

test("the completion script for bash completes commands, options and their words", async () => {
  const { out } = await run(["complete", "bash"]);
  const ask = (words: readonly string[]): string => {
    const script = `${out}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _petiole; echo "\${COMPREPLY[@]}"`;
    return spawnSync("bash", ["-c", script], { encoding: "utf8" }).stdout.trim();
  };
  expect(ask(["petiole", "wo"])).toBe("worker");
  expect(ask(["petiole", "-A", "x", "worker", "--pre"])).toBe("--prefetch-multiplier");
  expect(ask(["petiole", "worker", "-l", "D"])).toBe("DEBUG");
  expect(ask(["petiole", "complete", "f"])).toBe("fish");
  expect(ask(["petiole", "inspect", "active"])).toBe("active active_queues");
  expect(ask(["petiole", "control", "rate"])).toBe("rate_limit");
  expect(ask(["petiole", "explain", "PET_TIM"])).toBe("PET_TIMEOUT");
  expect(ask(["petiole", "logtool", "inc"])).toBe("incomplete");
  expect(ask(["petiole", "events", "--cam"])).toBe("--camera");
});
