/** When a body started, for the tasks of the JavaScript peers: kept in memory, written a few times a second. */
import { closeSync, openSync, writeSync } from "node:fs";

/** Wall clock in milliseconds with the resolution of the monotonic one; comparable between processes of one machine. */
export const now = () => performance.timeOrigin + performance.now();

const path = process.env.BENCH_OUT ?? "";
let lines = [];

function flush() {
  if (lines.length === 0) return;
  const fd = openSync(path, "a");
  writeSync(fd, `${lines.join("\n")}\n`);
  closeSync(fd);
  lines = [];
}

/** Notes the start of a body that was called at `calledAt`: `<called> <started>`, milliseconds. */
export function stamp(calledAt) {
  const startedAt = now();
  if (lines.length === 0) setTimeout(flush, 200).unref();
  lines.push(`${calledAt} ${startedAt}`);
}

/** As `stamp`, written at once: for the first task of a process. */
export function stampNow(calledAt) {
  lines.push(`${calledAt} ${now()}`);
  flush();
}
