// The way of a visitor: two commands, `git clone` and `make demo`, and a `curl` of the first task, in a folder of their own, with
// nobody there to answer a question. Ends with the time from the clone to the answer; exit code 1 when it is more than
// PETIOLE_FIRST_CURL_S (60) seconds. What is not committed yet is in the clone, too.
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./lib/ports.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const LIMIT_S = Number(process.env.PETIOLE_FIRST_CURL_S ?? 60);
/** Given up after so long. */
const END_MS = Math.max(LIMIT_S * 2000, 300_000);
const out = (text) => process.stdout.write(`${text}\n`);
const home = mkdtempSync(join(tmpdir(), "petiole-visitor-"));
const clone = join(home, "petiole");
const git = (args, options = {}) => execFileSync("git", args, { maxBuffer: 1 << 28, ...options });

/** The first answer of the web server that has the id of a task. */
async function firstAnswer(url, demo) {
  const deadline = performance.now() + END_MS;
  for (;;) {
    if (demo.exitCode !== null) throw new Error(`make demo ended with ${demo.exitCode}`);
    if (performance.now() > deadline) throw new Error(`no answer within ${END_MS / 1000} s`);
    const answer = await fetch(`${url}/tasks/add/?x=10&y=20`).catch(() => null);
    if (answer?.ok) return answer.json();
    await pause(50);
  }
}

async function result(url, id) {
  for (;;) {
    const status = await (await fetch(`${url}/tasks/status/${id}/`)).json();
    if (status.ready) return status.result;
    await pause(50);
  }
}

const changes = git(["diff", "--binary", "HEAD"], { cwd: root });
const added = git(["ls-files", "-z", "--others", "--exclude-standard"], { cwd: root }).toString().split("\0");
const port = await freePort();
const env = { ...process.env, PORT: String(port), NO_COLOR: "1" };
const started = performance.now();
const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
try {
  git(["clone", "--quiet", "--no-local", root, clone]);
  if (changes.length > 0) git(["apply", "--binary"], { cwd: clone, input: changes });
  for (const file of added.filter((one) => one !== "")) cpSync(join(root, file), join(clone, file));
  out(`cloned after ${seconds()} s`);
  // A group of its own: Ctrl-C reaches make and what it runs.
  const demo = spawn("make", ["demo"], {
    cwd: clone,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  for (const stream of [demo.stdout, demo.stderr]) stream.on("data", (chunk) => (log += chunk));
  const ended = new Promise((resolve) => demo.once("close", resolve));
  try {
    const url = `http://127.0.0.1:${port}`;
    const { task_id: id } = await firstAnswer(url, demo);
    const took = Number(seconds());
    out(`GET /tasks/add/?x=10&y=20 was answered after ${took} s, at most ${LIMIT_S}`);
    const sum = await result(url, id);
    out(`its result is ${sum}, after ${seconds()} s`);
    if (sum !== 30 || took > LIMIT_S) process.exitCode = 1;
  } catch (error) {
    process.stderr.write(log);
    throw error;
  } finally {
    if (demo.exitCode === null && demo.pid !== undefined) process.kill(-demo.pid, "SIGINT");
    await ended;
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
