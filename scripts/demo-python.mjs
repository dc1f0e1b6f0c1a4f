// `make demo-python`: a private Redis, a Petiole worker and a Python worker, ten tasks each way, a table of who ran what, a chord over
// both, the cluster as the command lines of both languages see it, and commands to try in a second terminal until Ctrl-C.
// DEMO_EXIT=1 ends after the twenty tasks. Exit code 1 when one of them did not go round, or a worker did not answer.
// Everything that it starts is stopped by its pid.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { freePort } from "./lib/ports.mjs";
import { ensureOracle } from "./oracle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const demo = join(root, "examples/demo");
const cli = join(root, "dist/cli/main.js");
const logs = mkdtempSync(join(tmpdir(), "petiole-demo-"));
const READY_MS = 30_000;
const STOP_MS = 10_000;

const out = (text = "") => process.stdout.write(`${text}\n`);
const bold = (text) => styleText("bold", text);
const dim = (text) => styleText("dim", text);
const node = (script, ...args) =>
  spawnSync(process.execPath, [join(root, script), ...args], { stdio: ["ignore", 2, 2] }).status === 0;

/** Stopped in reverse order. */
const started = [];

async function stopAll() {
  for (const { name, stop } of started.splice(0).toReversed()) {
    await stop();
    out(dim(`stopped ${name}`));
  }
}

/**
 * A process with a log file of its own; resolves when `isReady` says so. It is no member of our process group: Ctrl-C
 * in the terminal is ours alone, and we stop the processes in order.
 */
async function start({ name, program, args, cwd, env, isReady }) {
  const file = join(logs, `${name.toLowerCase().replaceAll(" ", "-")}.log`);
  const log = openSync(file, "w");
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", log, log], detached: true });
  let ended = false;
  const gone = new Promise((resolve) => {
    child.once("error", resolve);
    child.once("exit", resolve);
  }).then(() => (ended = true));
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await gone;
    clearTimeout(timer);
  };
  started.push({ name: `${name} (pid ${child.pid})`, stop });
  const deadline = Date.now() + READY_MS;
  while (!(await isReady(file))) {
    if (ended || Date.now() > deadline) {
      const what = ended ? "ended" : `was not ready in ${READY_MS} ms`;
      throw new Error(`${name} ${what}; its log ${file} says:\n${readFileSync(file, "utf8")}`);
    }
    await pause(20);
  }
  out(`${bold(name.padEnd(18))} ready, pid ${child.pid} ${dim(`log: ${file}`)}`);
}

const saysReady = (file) => / ready\b/.test(readFileSync(file, "utf8"));

async function startRedis() {
  const port = await freePort();
  const answers = () =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
      socket.once("data", (reply) => {
        socket.destroy();
        resolve(String(reply).startsWith("+PONG"));
      });
      socket.once("error", () => resolve(false));
    });
  const args = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--dir",
    logs,
    "--save",
    "",
    "--appendonly",
    "no",
  ];
  await start({
    name: "Redis",
    program: "redis-server",
    args,
    cwd: logs,
    env: process.env,
    isReady: answers,
  });
  return `redis://127.0.0.1:${port}`;
}

/** Runs a client that prints one JSON line for each answer. */
function send(program, args, { cwd, env }) {
  const run = spawnSync(program, args, { cwd, env, encoding: "utf8", timeout: 60_000 });
  if (run.status !== 0) throw new Error(`${args.at(-1)} failed: ${run.stderr}${run.stdout}`);
  return run.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const shorten = (text, width) => (text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width));

/** Whole numbers beyond JSON's come as text. */
const show = (value) => (/^-?\d+$/.test(value) ? String(value) : JSON.stringify(value));

function table(title, rows) {
  out();
  out(bold(title));
  out(dim(`  ${"task".padEnd(46)} ${"result".padEnd(36)} ${"ran on".padEnd(30)}    ms`));
  for (const row of rows) {
    const call = `${row.task}(${row.args.map((arg) => JSON.stringify(arg)).join(", ")})`;
    const answer = row.error ?? show(row.result.value);
    const where = row.error === undefined ? row.result.ranOn : "(raised there, read here)";
    out(`  ${shorten(call, 46)} ${shorten(answer, 36)} ${shorten(where, 30)} ${String(row.ms).padStart(5)}`);
  }
}

/** A task went round when its answer is the right one; the one that divides by zero must fail. */
function healthy(rows, language) {
  const bad = rows.filter((row) =>
    row.error === undefined
      ? !row.result.ranOn.startsWith(language)
      : !(row.task === "demo.typescript.divide" && row.args[1] === 0),
  );
  for (const row of bad) out(`did not go round: ${JSON.stringify(row)}`);
  return rows.length === 10 && bad.length === 0;
}

/** A chord whose header is run by both languages. Gives whether its body saw what they made. */
function together({ env }) {
  const [{ value, of, ranOn }] = send(process.execPath, ["--import", "tsx", join(demo, "together.ts")], {
    cwd: root,
    env,
  });
  out();
  out(bold("A chord of both: chord([factorial.s(4), divide.s(9, 3), factorial.s(5)], sum.s())"));
  out(`  its header ran on ${of.join(", ")}; its body on ${ranOn} and made ${value}`);
  return value === 147 && of.join() === "Python,Node,Python";
}

/** One cluster: what each language's own command line sees of it. Gives whether every worker answered each of them. */
function steer({ env, python }) {
  const seen = [
    ["petiole status", process.execPath, [cli, "status", "--timeout", "2"], root],
    ...(python === undefined
      ? []
      : [["celery status", python, ["-m", "celery", "-A", "tasks", "status", "--timeout", "2"], demo]]),
  ];
  const wanted = python === undefined ? ["typescript@demo"] : ["typescript@demo", "python@demo"];
  let good = true;
  for (const [typed, program, args, cwd] of seen) {
    const run = spawnSync(program, args, { cwd, env, encoding: "utf8", timeout: 60_000 });
    const text = run.stdout.trim();
    out();
    out(bold(`$ ${typed}`));
    out(text.replaceAll(/^(?=.)/gm, "  "));
    const missing = wanted.filter((name) => !text.includes(name));
    if (missing.length > 0) out(`did not answer: ${missing.join(", ")}. ${run.stderr}`);
    good &&= missing.length === 0;
  }
  return good;
}

async function main() {
  if (!node("scripts/ensure-servers.mjs", "Redis") || !node("scripts/build.mjs")) return false;
  const oracle = ensureOracle();
  const url = await startRedis();
  const urls = { CELERY_BROKER_URL: `${url}/0`, CELERY_RESULT_BACKEND: `${url}/1` };
  const env = { ...process.env, ...urls, PYTHONDONTWRITEBYTECODE: "1", PYTHONUNBUFFERED: "1" };

  const workers = [
    start({
      name: "TypeScript worker",
      program: process.execPath,
      args: [cli, "-A", join(demo, "tasks.ts"), "worker", "-n", "typescript@demo", "-c", "4", "-l", "info"],
      cwd: root,
      env,
      isReady: saysReady,
    }),
  ];
  const withPython = "python" in oracle;
  if (withPython) {
    const args = ["-m", "celery", "-A", "tasks", "worker", "-n", "python@demo", "-c", "2", "-l", "INFO"];
    workers.push(
      start({ name: "Python worker", program: oracle.python, args, cwd: demo, env, isReady: saysReady }),
    );
  } else {
    out(`no Python worker: ${oracle.reason}. Mend with: ${oracle.command}`);
  }
  await Promise.all(workers);

  const tsx = ["--import", "tsx", join(demo, "send.ts")];
  let good;
  if (withPython) {
    const there = send(process.execPath, tsx, { cwd: root, env });
    const back = send(oracle.python, ["send.py"], { cwd: demo, env });
    table("Sent by TypeScript, run by Python", there);
    table("Sent by Python, run by TypeScript", back);
    good = healthy(there, "Python") && healthy(back, "Node") && together({ env });
  } else {
    const rows = send(process.execPath, [...tsx, "typescript"], { cwd: root, env });
    table("Sent and run by TypeScript", rows);
    good = healthy(rows, "Node");
  }
  good = steer({ env, python: withPython ? oracle.python : undefined }) && good;
  out();
  out(good ? `${withPython ? "Twenty" : "Ten"} tasks went round.` : "Something did not go round.");
  if (process.env.DEMO_EXIT === "1" || !good) return good;
  await invite(urls, withPython ? oracle.python : undefined);
  return true;
}

async function invite(urls, python) {
  const ours = "node dist/cli/main.js -A examples/demo/tasks.ts";
  out();
  out("Try it in a second terminal, in this folder:");
  for (const [name, value] of Object.entries(urls)) out(`  export ${name}=${value}`);
  out(`  ${ours} call demo.typescript.slug -a '["From a second terminal"]'   ${dim("# prints an id")}`);
  out(`  ${ours} result ID`);
  out(`  ${ours} inspect active   ${dim("# both languages' workers; control --list steers them")}`);
  if (python !== undefined) {
    out(`  ${ours} call demo.python.factorial -a '[25]'   ${dim("# to Python")}`);
    out(`  .venv/bin/celery --workdir examples/demo -A tasks call demo.typescript.divide -a '[22, 7]'`);
  }
  out();
  out("Ctrl-C stops everything.");
  // A timer keeps the process alive until then; signals end it.
  const idle = setInterval(() => {}, 60_000);
  await new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, resolve);
  });
  clearInterval(idle);
  out();
}

const interrupted = () => {
  void stopAll().then(() => process.exit(130));
};
try {
  process.once("SIGINT", interrupted);
  process.once("SIGTERM", interrupted);
  const good = await main();
  process.off("SIGINT", interrupted);
  process.off("SIGTERM", interrupted);
  process.exitCode = good ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
await stopAll();
// The logs of what went well tell nothing.
if (process.exitCode === 0) rmSync(logs, { recursive: true, force: true });
