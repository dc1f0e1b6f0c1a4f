// `make demo`: examples/web with its two workers and its scheduler. Waits until it answers, says what to try, and streams
// what the processes log until Ctrl-C stops all of them. PORT=8001 is another port. Without a server, in SQLite files;
// `make demo-redis` (--redis) starts a Redis and a PostgreSQL for it.
// DEMO_EXIT=1 ends after one task went round. Everything that it starts is stopped by its pid.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { freePort, isFree } from "./lib/ports.mjs";
import { makePostgres } from "./lib/postgres.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const example = join(root, "examples/web");
const cli = join(root, "dist/cli/main.js");
const READY_MS = 60_000;
const STOP_MS = 20_000;
const COLORS = ["cyan", "green", "yellow", "magenta", "blue", "gray"];

const withServers = process.argv.includes("--redis");
/** Rows and messages: gone at the end. */
const data = mkdtempSync(join(tmpdir(), "petiole-demo-"));
const folders = [data];
const target = withServers ? "demo-redis" : "demo";

const out = (text = "") => process.stdout.write(`${text}\n`);
const bold = (text) => styleText("bold", text);

/** Stopped in reverse order. */
const started = [];
let stopping = false;

/**
 * A process whose lines are shown with its name; resolves when one of them has `ready`. It leads a group of its own, so that
 * Ctrl-C in the terminal is ours alone, and we stop the processes in order.
 */
async function start({
  name,
  program = process.execPath,
  args,
  ready,
  quiet = false,
  stopSignal = "SIGTERM",
  ...options
}) {
  if (stopping) throw new Error("interrupted");
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const prefix = styleText(COLORS[started.length % COLORS.length], name.padEnd(8));
  const seen = { ready: false };
  const lines = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      if (ready.test(line)) seen.ready = true;
      if (!seen.ready) lines.push(line);
      if (!quiet) out(`${prefix} ${styleText("dim", "│")} ${line}`);
    });
  }
  let failure;
  const ended = new Promise((resolve) => {
    child.once("error", (error) => {
      failure = error;
      resolve();
    });
    child.once("close", resolve);
  });
  started.push({ name, child, ended, stopSignal });
  const over = () => failure !== undefined || child.exitCode !== null || child.signalCode !== null;
  const deadline = Date.now() + READY_MS;
  while (!seen.ready) {
    if (stopping) throw new Error("interrupted");
    if (over()) {
      const said = failure?.message ?? (quiet ? lines.join("\n") : "see above");
      throw new Error(`${name} ended before it was ready: ${said}`);
    }
    if (Date.now() > deadline) throw new Error(`${name} was not ready within ${READY_MS / 1000} s`);
    await pause(50);
  }
  void ended.then(() => {
    if (!stopping) out(bold(`${name} has ended; Ctrl-C stops the others`));
  });
}

async function stopAll() {
  stopping = true;
  for (const { name, child, ended, stopSignal } of started.splice(0).toReversed()) {
    const last = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    child.kill(stopSignal);
    await ended;
    clearTimeout(last);
    out(styleText("dim", `stopped ${name} (pid ${child.pid})`));
  }
}

async function startRedis() {
  const port = await freePort();
  await start({
    name: "redis",
    program: process.env.REDIS_SERVER ?? "redis-server",
    args: ["--port", String(port), "--bind", "127.0.0.1", "--dir", data, "--save", "", "--appendonly", "yes"],
    ready: /Ready to accept connections/,
    quiet: true,
  });
  return `redis://127.0.0.1:${port}`;
}

async function startPostgres() {
  const { dir, program, args, spawnOptions, url } = makePostgres();
  folders.push(dir);
  const port = await freePort();
  await start({
    name: "postgres",
    program,
    args: args(port),
    ready: /database system is ready to accept connections/,
    quiet: true,
    // "Fast": SIGTERM waits for its clients to go.
    stopSignal: "SIGINT",
    ...spawnOptions,
  });
  return url(port);
}

/** Where messages, results, revokes and rows are. */
async function storage() {
  if (!withServers) {
    const file = `sqlite://${data}/celery.db`;
    return { DATABASE_URL: `sqlite:${data}/web.db`, CELERY_BROKER_URL: file, CELERY_RESULT_BACKEND: file };
  }
  const redis = await startRedis();
  return {
    DATABASE_URL: await startPostgres(),
    CELERY_BROKER_URL: `${redis}/0`,
    CELERY_RESULT_BACKEND: `${redis}/0`,
    REDIS_STATEDB_URL: `${redis}/1`,
  };
}

async function portFromEnvironment() {
  const port = Number(process.env.PORT ?? 8000);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Error(
      `PORT=${process.env.PORT} is no port: choose a number from 1 to 65535, as in PORT=8001 make ${target}`,
    );
  }
  if (await isFree(port)) return port;
  throw new Error(
    `port ${port} is taken by another program: choose another one, as in PORT=${port + 1} make ${target}`,
  );
}

async function main() {
  const port = await portFromEnvironment();
  const servers = withServers ? [["ensure-servers.mjs", "Redis", "PostgreSQL"]] : [];
  for (const [script, ...args] of [...servers, ["build.mjs"]]) {
    const run = spawnSync(process.execPath, [join(root, "scripts", script), ...args], {
      stdio: ["ignore", 2, 2],
    });
    if (run.status !== 0) throw new Error(`scripts/${script} failed: see above`);
  }
  const urls = await storage();
  const own = Object.entries(process.env).filter(([name]) => !/^(CELERY_|REDIS_STATEDB_URL$)/.test(name));
  const env = { ...Object.fromEntries(own), ...urls, HOST: "127.0.0.1", PORT: String(port) };
  const options = { cwd: example, env };
  const worker = (name) =>
    start({
      name,
      args: [cli, "-A", "src/app.ts", "worker", "-n", `${name}@%h`, "-c", "4", "-l", "info", "-q"],
      ready: /worker ready/,
      ...options,
    });
  await start({ name: "web", args: ["--import", "tsx", "src/main.ts"], ready: /listening on/, ...options });
  await Promise.all([worker("worker1"), worker("worker2")]);
  await start({
    name: "beat",
    args: [cli, "-A", "src/app.ts", "beat", "-l", "info", "-s", join(data, "celerybeat-schedule"), "-q"],
    ready: /beat: starting|Scheduler:/i,
    ...options,
  });
  const url = `http://127.0.0.1:${port}`;
  await firstTask(url);
  if (process.env.DEMO_EXIT === "1" || stopping) return;
  invite(url, urls);
  await new Promise((resolve) => process.once("demo-stop", resolve));
}

/** What a visitor would do first: it shows that all parts work together. */
async function firstTask(url) {
  const ask = async (path) => (await fetch(url + path)).json();
  const { task_id: id } = await ask("/tasks/add/?x=10&y=20");
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const status = await ask(`/tasks/status/${id}/`);
    if (status.ready) {
      if (status.result !== 30) throw new Error(`10 + 20 gave ${JSON.stringify(status)}`);
      out(bold(`GET /tasks/add/?x=10&y=20 was run by a worker: ${JSON.stringify(status)}`));
      return;
    }
    if (Date.now() > deadline) throw new Error("the first task was not run");
    await pause(50);
  }
}

function invite(url, urls) {
  const rows = [
    [`open ${url}/`, "the page: start tasks, see their progress, stop them"],
    [`curl '${url}/tasks/add/?x=10&y=20'`, "sends a task; the answer has its id"],
    [`curl ${url}/tasks/status/ID/`, "what became of it: the result is stored by the worker"],
    [`curl '${url}/tasks/long/?duration=30'`, "its status has PROGRESS, with how far it is"],
    [
      `kill -9 ${pidOf("worker1")}`,
      "worker1 dies: when its lease is over, the other one runs its long task anew",
    ],
    [`curl -X POST ${url}/tasks/revoke/ID/`, "stops it, wherever it runs or waits"],
    [`curl '${url}/tasks/future/?eta=60'`, "waits in the broker, not in a worker"],
    ...(withServers
      ? [
          [`redis-cli -u ${urls.REDIS_STATEDB_URL} keys '*'`, "what is revoked, kept for workers to come"],
          [`psql ${urls.DATABASE_URL} -c 'TABLE submissions'`, "rows: what was sent"],
        ]
      : []),
  ];
  const width = Math.max(...rows.map(([typed]) => typed.length));
  out();
  out(bold("Try this, in a second terminal or in the browser:"));
  for (const [typed, what] of rows) out(`  ${typed.padEnd(width)}  ${styleText("dim", what)}`);
  out();
  out(bold("Ctrl-C stops everything."));
  out();
}

const pidOf = (name) => started.find((one) => one.name === name)?.child.pid;

let interrupts = 0;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    interrupts += 1;
    stopping = true;
    process.emit("demo-stop");
    if (interrupts > 1) for (const { child } of started) child.kill("SIGKILL");
  });
}
try {
  await main();
} catch (error) {
  if (interrupts === 0) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
await stopAll();
for (const folder of folders) rmSync(folder, { recursive: true, force: true });
if (interrupts > 0 && process.exitCode === undefined) process.exitCode = 130;
process.exit();
