/** The commands of docker-compose.yml, as local processes, on what `npm run build` makes; only the servers' URLs are others. */
import { execFile, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { cli, root } from "../../support/built.ts";
import { eventually } from "../../support/eventually.ts";
import { trackProcess } from "../../support/left-overs.ts";
import { freePort, type RedisServer } from "../../support/redis.ts";
import { type Stack, startStack } from "./running-example.ts";

interface Service {
  readonly command: readonly string[];
  readonly hostname?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly healthcheck: { readonly test: readonly string[] };
}

const folder = join(root, "examples/web");
const { services } = parse(readFileSync(join(folder, "docker-compose.yml"), "utf8"), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
};
const service = (name: string): Service => services[name] as Service;
const logs: string[] = [];
const stops: (() => Promise<void>)[] = [];
/** Rows are in SQLite where PostgreSQL is not installed. */
let stack: Stack;
let redis: RedisServer;
let port: number;

beforeAll(async () => {
  stack = await startStack("redis");
  redis = stack.redis as RedisServer;
  port = await freePort();
  // `npm run build`, without its checks: those are `make check`'s.
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  await promisify(execFile)(process.execPath, [tsc, "-p", folder, "--noCheck"]);
}, 120_000);
afterAll(async () => {
  for (const stop of stops.toReversed()) await stop();
  await stack?.stop();
});

/** The service's environment, on the test's servers. */
function environment(name: string): NodeJS.ProcessEnv {
  const rows = stack.postgres?.url ?? `sqlite:${redis.dir}/web.db`;
  const given = Object.entries(service(name).environment).map(([key, value]) => [
    key,
    value.replace("redis://redis:6379", redis.url).replace("postgresql://app:app@postgres:5432/app", rows),
  ]);
  return {
    ...process.env,
    ...Object.fromEntries(given),
    HOST: "127.0.0.1",
    PORT: String(port),
    REPORT_SECONDS: "1",
  };
}

/** In the image the programs are on PATH; a container's host name is that of its service. */
function local(
  name: string,
  [program = "", ...words]: readonly string[],
): readonly [string, readonly string[]] {
  const { hostname: inside } = service(name);
  const here = words
    .map((word) => (inside === undefined ? word : word.replace(inside, hostname())))
    .map((word) => word.replace("127.0.0.1:8000", `127.0.0.1:${port}`))
    .map((word) => word.replace(/(?<=^|')\/(data|tmp)\//, `${redis.dir}/`));
  if (program === "petiole") return [process.execPath, [cli, ...here]];
  return [program === "node" ? process.execPath : program, here];
}

async function start(name: string): Promise<void> {
  const [program, words] = local(name, service(name).command);
  const child = spawn(program, words, {
    cwd: folder,
    env: environment(name),
    stdio: ["ignore", "pipe", "pipe"],
  });
  trackProcess(child, String(words.at(-1)));
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => logs.push(`${name}: ${chunk.toString()}`));
  }
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  stops.push(async () => {
    child.kill("SIGTERM");
    // The grace period is for tasks; there is none.
    expect(await closed).toBe(0);
  });
}

function isHealthy(name: string): boolean {
  const [, ...check] = service(name).healthcheck.test;
  const [program, words] = local(name, check);
  return spawnSync(program, words, { cwd: folder, env: environment(name), timeout: 20_000 }).status === 0;
}

test("all services of ours become healthy by their own checks, work together, and end well by SIGTERM", async () => {
  expect(isHealthy("web")).toBe(false);
  for (const name of ["web", "celery-worker-1", "celery-worker-2", "celery-beat"]) {
    await start(name);
    await eventually(`${name} is healthy`, () => isHealthy(name), {
      timeoutMs: 60_000,
      intervalMs: 500,
    }).catch((error: unknown) => {
      throw new Error(logs.join(""), { cause: error });
    });
  }
  const url = `http://127.0.0.1:${port}`;
  const checked = spawnSync(process.execPath, ["scripts/test-tasks.mjs", url], {
    cwd: folder,
    encoding: "utf8",
    timeout: 60_000,
  });
  expect([checked.status, checked.stdout.match(/^ok {2}/gm)?.length, checked.stderr]).toEqual([0, 7, ""]);
  const wrong = spawnSync(process.execPath, ["scripts/test-tasks.mjs", `http://127.0.0.1:${redis.port}`]);
  expect(wrong.status).not.toBe(0);
  // It counts rows: a worker has the database, too.
  await eventually("the periodic task runs", () =>
    /web\.report_counts\[[\da-f-]+\] succeeded/.test(logs.join("")),
  );
  const { tasks } = (await (await fetch(`${url}/tasks/list/`)).json()) as { tasks: unknown[] };
  expect(tasks).toHaveLength(7);
  const stored = await stack.postgres?.pool.query("SELECT task_id FROM submissions");
  expect(stored?.rows.length).toBe(stack.postgres === null ? undefined : 7);
  for (const stop of stops.splice(0).toReversed()) await stop();
}, 150_000);
