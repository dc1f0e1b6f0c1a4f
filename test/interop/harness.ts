/** One Redis, a Python client, our app, and workers of both kinds: what every file of this folder starts from. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Celery, CeleryOptions } from "petiole";
import type { Worker, WorkerOptions } from "petiole/worker";
import { cli, root } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { trackProcess } from "../support/left-overs.ts";
import {
  type PythonClient,
  type PythonWorker,
  type PythonWorkerOptions,
  startPythonClient,
  startPythonWorker,
} from "../support/python.ts";
import { type RedisOptions, type RedisServer, redisCommand, startRedis } from "../support/redis.ts";
import { makeApp } from "./fixtures/tasks.ts";

export interface FleetOptions {
  /** Celery's lower-case settings, given to both languages. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** More of them, for Python alone. */
  readonly pythonOnly?: object;
  readonly redis?: RedisOptions;
}

export interface Fleet {
  readonly redis: RedisServer;
  readonly broker: string;
  readonly backend: string;
  readonly python: PythonClient;
  /** Our app as a client; never runs a worker. */
  readonly app: Celery;
  /** Our worker, in this process, on an app of its own. */
  worker(options?: WorkerOptions & { readonly app?: CeleryOptions }): Promise<Worker>;
  /** Our worker as `petiole worker` in a process of its own, to be killed. */
  cliWorker(options: CliWorkerOptions): Promise<CliWorker>;
  pythonWorker(
    options: Omit<PythonWorkerOptions, "broker" | "backend" | "config"> & { readonly config?: object },
  ): Promise<PythonWorker>;
  /** What tasks appended under `key`, oldest first. */
  seen(key: string): Promise<unknown[]>;
  /** Lets tasks go on that wait for this key. */
  open(gate: string): Promise<void>;
  /** Until a task waits for this key. */
  waiting(gate: string): Promise<void>;
  /** How many messages are held by workers (both kinds). */
  unacked(): Promise<number>;
  /** The stored result meta, as the bytes in Redis say. */
  meta(id: string): Promise<Record<string, unknown>>;
  /** All workers, clients and the server. */
  stop(): Promise<void>;
}

export interface CliWorkerOptions {
  readonly name: string;
  readonly queues?: readonly string[];
  readonly concurrency?: number;
  readonly args?: readonly string[];
  readonly config?: object;
}

export interface CliWorker {
  readonly pid: number;
  log(): string;
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const { config = {} } = options;
  const pythonConfig = { ...config, ...options.pythonOnly };
  const redis = await startRedis(options.redis);
  const broker = `${redis.url}/0`;
  const backend = `${redis.url}/1`;
  const app = makeApp({ broker, backend, config });
  const python = await startPythonClient({ broker, backend, config: pythonConfig });
  const stops: (() => Promise<unknown>)[] = [];

  return {
    redis,
    broker,
    backend,
    python,
    app,
    async worker({ app: appOptions, ...workerOptions } = {}) {
      const own = makeApp({ broker, backend, config, ...(appOptions ? { options: appOptions } : {}) });
      const petiole = await import("petiole/worker");
      const worker = new petiole.Worker(own, workerOptions);
      stops.push(async () => {
        await worker.stop();
        await own.close();
      });
      await worker.start();
      return worker;
    },
    async cliWorker(cliOptions) {
      const worker = await startCli(cliOptions, {
        ORACLE_BROKER: broker,
        ORACLE_BACKEND: backend,
        ORACLE_CONFIG: JSON.stringify({ ...config, ...cliOptions.config }),
      });
      stops.push(() => worker.kill("SIGKILL"));
      return worker;
    },
    async pythonWorker({ config: more, ...workerOptions }) {
      const worker = await startPythonWorker({
        ...workerOptions,
        broker,
        backend,
        config: { ...pythonConfig, ...more },
      });
      stops.push(() => worker.stop());
      return worker;
    },
    async seen(key) {
      const text = await redisCommand(backend, "LRANGE", `seen:${key}`, "0", "-1");
      return text === "" ? [] : text.split("\n").map((line) => JSON.parse(line) as unknown);
    },
    async open(gate) {
      await redisCommand(backend, "SET", gate, "1");
    },
    async waiting(gate) {
      await eventually(`a task waits for ${gate}`, async () =>
        (await redisCommand(backend, "LRANGE", "seen:waiting", "0", "-1")).includes(JSON.stringify(gate)),
      );
    },
    async unacked() {
      return Number(await redisCommand(broker, "HLEN", "unacked"));
    },
    // Waits: the next step of a chain is published, and may be over, before its parent's result is stored.
    async meta(id) {
      const text = await eventually(`a result of ${id} is stored`, async () => {
        const stored = await redisCommand(backend, "GET", `celery-task-meta-${id}`);
        return stored === "" ? undefined : stored;
      });
      return JSON.parse(text) as Record<string, unknown>;
    },
    async stop() {
      await Promise.allSettled(stops.map((one) => one()));
      await app.close();
      await python.stop();
      await redis.stop();
    },
  };
}

/** The body of a test with a fleet of its own: such tests can run side by side. */
export function withFleet(options: FleetOptions, body: (fleet: Fleet) => Promise<void>): () => Promise<void> {
  return async () => {
    const fleet = await startFleet(options);
    try {
      await body(fleet);
    } finally {
      await fleet.stop();
    }
  };
}

async function startCli(options: CliWorkerOptions, env: Record<string, string>): Promise<CliWorker> {
  const line = [
    cli,
    "-A",
    `${root}test/interop/fixtures/main.ts`,
    "worker",
    "-n",
    options.name,
    "-l",
    "info",
  ];
  line.push("-c", String(options.concurrency ?? 2), ...(options.args ?? []));
  if (options.queues !== undefined) line.push("-Q", options.queues.join(","));
  const child = spawn(process.execPath, line, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  trackProcess(child, cli);
  const dieWithUs = (): boolean => child.kill("SIGKILL");
  process.once("exit", dieWithUs);
  let log = "";
  const keep = (chunk: Buffer): void => {
    log += chunk.toString();
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const gone = once(child, "exit").then(() => process.off("exit", dieWithUs));
  await eventually(
    `${options.name} is ready`,
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${log}`);
      return log.includes("ready");
    },
    { timeoutMs: 60_000 },
  ).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw new Error(`${String(error)}\n${log}`, { cause: error });
  });
  return {
    pid: child.pid ?? 0,
    log: () => log,
    async kill(signal) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await gone;
      clearTimeout(timer);
      return child.exitCode;
    },
  };
}
