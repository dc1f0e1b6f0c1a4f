// A floor for each folder of src/ instead of one number for all: lines and branches, from vitest's json-summary.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Per cent. protocol/ decides what is on the wire: what is not covered there is not known to be right. */
const FLOORS = { protocol: { lines: 99, branches: 97 } };
const FLOOR = { lines: 90, branches: 85 };
/** Run as processes of their own, from dist/: V8's counts of them do not reach the report. */
const ELSEWHERE = { cli: "its processes run from dist/ (test/integration/cli)" };

const summary = JSON.parse(readFileSync(join(root, "coverage/coverage-summary.json"), "utf8"));
const folders = new Map();
for (const [file, counts] of Object.entries(summary)) {
  if (file === "total") continue;
  const [, folder = "(root)"] = /\/src\/(?:([^/]+)\/)?/.exec(file) ?? [];
  const sum = folders.get(folder) ?? { lines: [0, 0], branches: [0, 0] };
  for (const kind of ["lines", "branches"]) {
    sum[kind][0] += counts[kind].covered;
    sum[kind][1] += counts[kind].total;
  }
  folders.set(folder, sum);
}
const percent = ([covered, total]) => (total === 0 ? 100 : (100 * covered) / total);

let failed = 0;
for (const [folder, sum] of [...folders].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  const floor = FLOORS[folder] ?? FLOOR;
  const lines = percent(sum.lines);
  const branches = percent(sum.branches);
  const reason = ELSEWHERE[folder];
  const low = reason === undefined && (lines < floor.lines || branches < floor.branches);
  if (low) failed += 1;
  const verdict =
    reason === undefined ? (low ? `FAIL (lines ${floor.lines}, branches ${floor.branches})` : "ok") : reason;
  process.stdout.write(
    `${folder.padEnd(12)} lines ${lines.toFixed(1).padStart(5)} %  branches ${branches.toFixed(1).padStart(5)} %  ${verdict}\n`,
  );
}
process.stdout.write(
  failed === 0
    ? "coverage: every folder is at its floor\n"
    : `coverage: ${failed} folders below their floor\n`,
);
process.exitCode = failed === 0 ? 0 : 1;
