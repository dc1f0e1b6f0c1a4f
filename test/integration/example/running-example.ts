/** `examples/web` as processes: the web server and workers, on a broker and a database of the test. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cli, root } from "../../support/built.ts";
import { eventually } from "../../support/eventually.ts";
import { trackProcess } from "../../support/left-overs.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../../support/postgres.ts";
import { freePort, type RedisServer, startRedis } from "../../support/redis.ts";

const folder = join(root, "examples/web");
const READY_MS = 90_000;
const STOP_MS = 15_000;

/** One process of the example. */
export interface Running {
  log(): string;
  /** Sends the signal, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export interface Example {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly env: NodeJS.ProcessEnv;
  /** Of the web server. */
  log(): string;
  startWorker(name: string, ...options: readonly string[]): Promise<Running>;
  get(path: string): Promise<Answer>;
  post(path: string, body?: unknown): Promise<Answer>;
  /** Waits until the task has ended; its status. */
  ended(taskId: unknown, timeoutMs?: number): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** Without any server; on Redis and, where that is installed, PostgreSQL. */
export const STACKS = ["sqlite", "redis"] as const;

export interface Stack {
  /** For `startExample`. */
  readonly env: Readonly<Record<string, string>>;
  readonly redis: RedisServer | null;
  readonly postgres: PostgresServer | null;
  stop(): Promise<void>;
}

export async function startStack(name: (typeof STACKS)[number]): Promise<Stack> {
  if (name === "sqlite") return { env: {}, redis: null, postgres: null, stop: async () => {} };
  const [redis, postgres] = await Promise.all([
    startRedis(),
    postgresPrograms() === null ? null : startPostgres(),
  ]);
  return {
    env: {
      CELERY_BROKER_URL: `${redis.url}/0`,
      ...(postgres === null ? {} : { DATABASE_URL: postgres.url }),
    },
    redis,
    postgres,
    stop: async () => {
      await redis.stop();
      await postgres?.stop();
    },
  };
}

export async function startExample(env: Readonly<Record<string, string>>): Promise<Example> {
  const dir = mkdtempSync(join(process.env["PETIOLE_TEST_DIR"] ?? tmpdir(), "example-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const all = {
    ...process.env,
    CELERY_BROKER_URL: `sqlite://${dir}/celery.db`,
    DATABASE_URL: `sqlite:${dir}/web.db`,
    ...env,
    PORT: String(port),
  };
  const running: Running[] = [];
  const start = async (what: string, args: readonly string[], isReady: (log: string) => boolean) => {
    const one = run(args, all);
    running.push(one);
    await eventually(`${what} is ready`, () => isReady(one.log()), { timeoutMs: READY_MS }).catch(
      (error: unknown) => {
        throw new Error(one.log(), { cause: error });
      },
    );
    return one;
  };
  const ask = async (path: string, init?: RequestInit): Promise<Answer> => {
    const response = await fetch(url + path, init);
    return { status: response.status, body: (await response.json()) as Answer["body"] };
  };
  const get = (path: string): Promise<Answer> => ask(path);
  const web = await start("the web server", ["--import", "tsx", "src/main.ts"], (log) =>
    log.includes("listening on "),
  );
  return {
    url,
    env: all,
    log: () => web.log(),
    get,
    startWorker: (name, ...options) =>
      start(name, [cli, "-A", "src/app.ts", "worker", "-n", name, "-l", "info", ...options], (log) =>
        log.includes("worker ready"),
      ),
    post: (path, body) =>
      ask(path, {
        method: "POST",
        ...(body instanceof FormData || body === undefined
          ? { body: body ?? null }
          : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      }),
    ended: (taskId, timeoutMs = 20_000) =>
      eventually(
        `task ${String(taskId)} has ended`,
        async () => {
          const { body } = await get(`/tasks/status/${String(taskId)}/`);
          return body["ready"] === true && body;
        },
        { timeoutMs },
      ),
    stop: async () => {
      await Promise.all(running.map((one) => one.stop()));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A start of the web server, or of another program, that is to fail: its exit code, and what it says. */
export function failedStart(
  env: Readonly<Record<string, string>>,
  program = "src/main.ts",
): readonly [number | null, string] {
  const ran = spawnSync(process.execPath, ["--import", "tsx", program], {
    cwd: folder,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: READY_MS,
  });
  return [ran.status, ran.stderr.trim()];
}

/** What `petiole -A src/app.ts …` prints, a line of JSON. */
export function petioleIn(example: Example, ...words: readonly string[]): unknown {
  const ran = spawnSync(process.execPath, [cli, "-A", "src/app.ts", ...words], {
    cwd: folder,
    env: example.env,
    encoding: "utf8",
  });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout);
}

function run(args: readonly string[], env: NodeJS.ProcessEnv): Running {
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  trackProcess(child, String(args.at(-1)));
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
  }
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.once("error", (error) => {
    log += error.message;
  });
  return {
    log: () => log,
    stop: async (signal = "SIGTERM") => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const last = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      child.kill(signal);
      await ended;
      clearTimeout(last);
    },
  };
}
