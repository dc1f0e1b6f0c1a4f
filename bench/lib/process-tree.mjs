/** CPU and memory of a process with all its descendants, from /proc. Linux only. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks of /proc/<pid>/stat per second: USER_HZ, 100 on every Linux of today. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command name may hold spaces and brackets: fields are counted from its last bracket.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return {
      parent: Number(fields[1]),
      ticks: Number(fields[11]) + Number(fields[12]), // utime + stime
      waitedTicks: Number(fields[13]) + Number(fields[14]), // of children that have ended
      rssBytes: Number(fields[21]) * PAGE_BYTES,
    };
  } catch {
    return null;
  }
}

/** The process and its descendants. */
export function treeOf(root) {
  const children = new Map();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = statOf(pid);
    if (stat) children.set(stat.parent, [...(children.get(stat.parent) ?? []), pid]);
  }
  const all = [];
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    all.push(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return all;
}

/** `{ cpuSeconds, rssBytes, processes }` of a list of pids; one that has ended counts for nothing. */
export function usage(pids) {
  let ticks = 0;
  let rssBytes = 0;
  let processes = 0;
  for (const pid of pids) {
    const stat = statOf(pid);
    if (!stat) continue;
    ticks += stat.ticks;
    rssBytes += stat.rssBytes;
    processes += 1;
  }
  return { cpuSeconds: ticks / TICKS_PER_SECOND, rssBytes, processes };
}

/** Leaders of the groups started here. */
const groups = new Set();

function endGroup(leader) {
  groups.delete(leader);
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // All have ended, as they should.
  }
}

/** Ends everything that was started here: for Ctrl-C (it also ends this process) and for failures. */
export function endAll() {
  for (const leader of groups) endGroup(leader);
}

process.once("exit", endAll);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

/** Starts a program; its last lines are kept for the message of a failure. */
export function start(command, args, options = {}) {
  // A process group of its own: what it leaves behind can be ended without touching anything else.
  const child = spawn(command, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  groups.add(child.pid);
  const lines = [];
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    lines.push(text);
    if (lines.length > 50) lines.shift();
  });
  const exited = new Promise((resolve) => {
    child.once("error", (error) => {
      lines.push(error.message);
      resolve(127);
    });
    child.once("close", (code, signal) => resolve(code ?? signal));
  });
  return {
    pid: child.pid,
    child,
    exited,
    output: () => out,
    errors: () => lines.join("").trim(),
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    /** Asks it to end, then makes it end. Resolves when it has. */
    async stop(signal = "SIGTERM", graceMs = 5000) {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      const timer = setTimeout(() => endGroup(child.pid), graceMs);
      await exited;
      clearTimeout(timer);
      endGroup(child.pid);
    },
  };
}

/** Runs a program to its end and returns the JSON of its last line. */
export async function runJson(command, args, options = {}) {
  const running = start(command, args, options);
  const code = await running.exited;
  endGroup(running.pid);
  if (code !== 0)
    throw new Error(
      `${args.join(" ")} ended with ${code}: ${running.errors().split("\n").slice(-3).join(" ")}`,
    );
  const last = running.output().trim().split("\n").at(-1);
  return JSON.parse(last);
}
