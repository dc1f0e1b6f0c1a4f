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
if (!Number.isFinite(LIMIT_S) || LIMIT_S <= 0) {
  throw new Error(
    `PETIOLE_FIRST_CURL_S=${process.env.PETIOLE_FIRST_CURL_S} is no limit: choose a number of seconds above 0, as in PETIOLE_FIRST_CURL_S=90 make first-curl`,
  );
}
/** Given up after so long. */
const END_MS = Math.max(LIMIT_S * 2000, 300_000);
/** For one answer. */
const ASK_MS = 10_000;
const out = (text) => process.stdout.write(`${text}\n`);
const home = mkdtempSync(join(tmpdir(), "petiole-visitor-"));
const clone = join(home, "petiole");
const git = (args, options = {}) => execFileSync("git", args, { maxBuffer: 1 << 28, ...options });

/** The first answer that is `done`. @throws when there is none in time, or the demo has ended */
async function poll(url, done) {
  const deadline = performance.now() + END_MS;
  for (;;) {
    const code = demo.exitCode ?? demo.signalCode;
    if (code !== null) throw new Error(`make demo ended with ${code}`);
    if (performance.now() > deadline) throw new Error(`${url}: no answer within ${END_MS / 1000} s`);
    const answer = await ask(url).catch(() => null);
    if (answer !== null && done(answer)) return answer;
    await pause(50);
  }
}

async function ask(url) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(ASK_MS) });
  return answer.ok ? answer.json() : null;
}

/** What is left of the group: of make, or of what it ran. */
function interrupt(group) {
  try {
    process.kill(-group, "SIGINT");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

const changes = git(["diff", "--binary", "HEAD"], { cwd: root });
const added = git(["ls-files", "-z", "--others", "--exclude-standard"], { cwd: root }).toString().split("\0");
const port = await freePort();
const env = { ...process.env, PORT: String(port), NO_COLOR: "1" };
const started = performance.now();
const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
let demo;
try {
  git(["clone", "--quiet", "--no-local", root, clone]);
  if (changes.length > 0) git(["apply", "--binary"], { cwd: clone, input: changes });
  for (const file of added.filter((one) => one !== "")) cpSync(join(root, file), join(clone, file));
  out(`cloned after ${seconds()} s`);
  // A group of its own: Ctrl-C reaches make and what it runs.
  demo = spawn("make", ["demo"], {
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
    const { task_id: id } = await poll(
      `${url}/tasks/add/?x=10&y=20`,
      (answer) => answer.task_id !== undefined,
    );
    const took = Number(seconds());
    out(`GET /tasks/add/?x=10&y=20 was answered after ${took} s, at most ${LIMIT_S}`);
    const { result: sum } = await poll(`${url}/tasks/status/${id}/`, (status) => status.ready);
    out(`its result is ${sum}, after ${seconds()} s`);
    if (sum !== 30) throw new Error(`10 + 20 gave ${JSON.stringify(sum)}`);
    if (took > LIMIT_S) throw new Error(`the first answer took ${took} s, more than ${LIMIT_S}`);
  } catch (error) {
    process.stderr.write(log);
    throw error;
  } finally {
    interrupt(demo.pid);
    await ended;
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
