// Makes dist/ of src/, only when something changed since the last good build: scripts/bundle.mjs the JavaScript, tsc the
// declarations. Exit code 1 on type errors (what was made stays). Several processes may call it at once: one builds, the others
// wait for it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, ".cache");
const stamp = join(cache, "build.stamp");
const info = join(cache, "build.tsbuildinfo");
const lock = join(cache, "build.lock");
const dist = join(root, "dist");
const WAIT_MS = 180_000;

/** Paths of the files below `dir`, relative to it. */
function files(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
}

function fingerprint() {
  const hash = createHash("sha256");
  for (const name of ["package-lock.json", "tsconfig.json", "tsconfig.build.json", "scripts/bundle.mjs"]) {
    hash.update(readFileSync(join(root, name)));
  }
  for (const name of files(join(root, "src"))) {
    hash.update(name).update(readFileSync(join(root, "src", name)));
  }
  return hash.digest("hex");
}

async function withLock(action) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!ownerLives()) rmSync(lock, { force: true });
    else if (Date.now() > deadline) throw new Error(`another build holds ${lock}: remove it if none runs`);
    else await pause(100);
  }
  try {
    return await action();
  } finally {
    rmSync(lock, { force: true });
  }
}

function ownerLives() {
  try {
    const pid = Number(readFileSync(lock, "utf8"));
    // An empty file: its owner is about to write. Give it the benefit for two seconds.
    if (pid === 0) return Date.now() - statSync(lock).mtimeMs < 2000;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** What an earlier build left would still be importable and shipped. */
function removeStale(made) {
  const sources = files(join(root, "src")).map((name) => name.replace(/\.ts$/, ".d.ts"));
  const fresh = new Set([...sources, ...made]);
  for (const name of files(dist)) if (!fresh.has(name)) rmSync(join(dist, name));
}

/** What is wrong with the modules; empty: nothing. */
async function makeModules() {
  try {
    removeStale(await bundle());
    return "";
  } catch (error) {
    return String(error);
  }
}

/** With `--brief` only the first errors: the tests run what was emitted, and `make check` tells the rest. */
function report(log) {
  const lines = log.split("\n").filter((line) => line !== "");
  const shown = process.argv.includes("--brief") ? lines.slice(0, 3) : lines;
  for (const line of shown) process.stderr.write(`${line.slice(0, 300)}\n`);
  if (shown.length < lines.length) process.stderr.write(`… ${lines.length - shown.length} more lines\n`);
}

async function build() {
  const now = fingerprint();
  const last = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
  if (last.startsWith(now) && existsSync(dist)) {
    const log = last.slice(now.length);
    if (log !== "") report(log);
    return log === "" ? 0 : 1;
  }
  rmSync(stamp, { force: true });
  if (files(dist).length === 0) rmSync(info, { force: true });
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = ["-p", join(root, "tsconfig.build.json"), "--incremental", "--tsBuildInfoFile", info];
  const started = Date.now();
  const run = spawnSync(process.execPath, [tsc, ...args], { cwd: root, encoding: "utf8" });
  const broken = await makeModules();
  const bin = join(dist, "cli/main.js");
  if (existsSync(bin)) chmodSync(bin, 0o755);
  const types = run.status === 0 ? "" : `${run.stdout}${run.stderr}` || `tsc ended with ${run.signal}`;
  const log = types + broken;
  report(log);
  writeFileSync(stamp, now + log);
  process.stderr.write(`build: ${log === "" ? "done" : "errors"} in ${Date.now() - started} ms\n`);
  return log === "" ? 0 : 1;
}

/** Examples with a package.json of their own import `petiole` as their copies at users' do: from node_modules. */
function linkSelf() {
  const link = join(root, "node_modules/petiole");
  if (!existsSync(link)) symlinkSync("..", link, "dir");
}

mkdirSync(cache, { recursive: true });
linkSelf();
process.exitCode = await withLock(build);
