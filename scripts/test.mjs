// The whole suite: servers, Python oracle, build, vitest over all projects. The last line is
// `tests: N passed, N failed, N skipped`; before it, the files that took longest, a `NOT RUN` line with the reason and the
// mending command for each project that could not run, and a `SLOW` line when all took longer than it should. Under CI=true
// what is missing is a failure.
//   --package        also the tests of the package as users install it
//   --projects=a,b   only these folders of test/
//   --coverage       measure src/ while testing
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensureOracle } from "./oracle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const results = join(root, `.cache/test-results-${process.pid}.json`);
const ci = process.env.CI === "true";
const { values: flags } = parseArgs({
  options: { package: { type: "boolean" }, projects: { type: "string" }, coverage: { type: "boolean" } },
});
const withCoverage = flags.coverage === true;
const only = flags.projects?.split(",");
const started = Date.now();
/** Seconds that the suite may take on two cores, without coverage. */
const BUDGET_S = 480;
const SLOWEST = 10;
const out = (text) => process.stdout.write(`${text}\n`);

/** Reasons why something did not run: `NOT RUN <what>: <why>. Mend with: <command>`. */
const notRun = [];
let failures = 0;

function miss(what, reason, command) {
  notRun.push(`NOT RUN ${what}: ${reason}. Mend with: ${command}`);
  if (ci) failures += 1;
}

function finish(counts) {
  for (const line of notRun) out(line);
  const { passed, failed, skipped } = counts;
  const seconds = Math.round((Date.now() - started) / 1000);
  if (seconds > BUDGET_S && !withCoverage) out(`SLOW the suite took longer than its ${BUDGET_S} s`);
  out(`time: ${seconds} s of ${BUDGET_S} s`);
  out(`tests: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

const node = (script) =>
  spawnSync(process.execPath, [join(root, script)], { stdio: ["ignore", 2, 2] }).status === 0;

/** Folders of `test/` that hold tests. */
function known() {
  const holdsTests = (name) => /\.test(-d)?\.ts$/.test(name);
  const paths = readdirSync(join(root, "test"), { recursive: true }).filter(holdsTests);
  return [...new Set(paths.map((path) => path.split(sep)[0]))].sort((a, b) => a.localeCompare(b));
}

function refuseUnknown(names) {
  const unknown = names.filter((name) => !known().includes(name));
  if (unknown.length === 0) return;
  throw new Error(`--projects: no tests in ${unknown.join(", ")}; choose from ${known().join(", ")}`);
}

function projects() {
  const chosen = only ?? ["unit", "types", "conformance", "integration"];
  const oracle = ensureOracle();
  if ("python" in oracle) {
    if (only === undefined) chosen.push("interop");
  } else {
    miss("interop", oracle.reason, oracle.command);
    // Tests of other projects leave out what needs Python: test/support/without-python.ts.
    process.env.PETIOLE_WITHOUT_PYTHON = oracle.reason;
  }
  if (flags.package === true) chosen.push("package");
  return chosen;
}

function vitest(chosen) {
  rmSync(results, { force: true });
  const args = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${results}`];
  for (const name of chosen) args.push("--project", name);
  if (withCoverage) args.push("--coverage");
  const bin = join(root, "node_modules/vitest/vitest.mjs");
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => child.kill(signal));
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** Where the time went, so that growth is seen. */
function showSlowest(files) {
  const took = files.map(({ name, startTime, endTime }) => ({ name, seconds: (endTime - startTime) / 1000 }));
  const total = took.reduce((sum, { seconds }) => sum + seconds, 0);
  out(`slowest files, of ${Math.round(total)} s in all:`);
  for (const { name, seconds } of took.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST)) {
    out(`${seconds.toFixed(1).padStart(7)} s  ${name.replace(root, "")}`);
  }
}

/** Counts of the JSON report. A file that could not be loaded has no tests and counts as one that failed. */
function count(code) {
  const none = { passed: 0, failed: 1 + failures, skipped: 0 };
  if (!existsSync(results)) return none;
  const report = JSON.parse(readFileSync(results, "utf8"));
  rmSync(results);
  showSlowest(report.testResults);
  const broken = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((one) => one.status === "failed"),
  );
  for (const file of broken) out(`FAILED to run ${file.name}: ${String(file.message).split("\n")[0]}`);
  for (const file of report.testResults) {
    for (const one of file.assertionResults) {
      if (one.status === "failed") out(`FAILED ${one.fullName} (${file.name.replace(root, "")})`);
      else if (one.status !== "passed") out(`SKIPPED ${one.fullName} (${file.name.replace(root, "")})`);
    }
  }
  const failed = report.numFailedTests + broken.length + failures;
  return {
    passed: report.numPassedTests,
    // Unhandled errors fail vitest without failing a test.
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

refuseUnknown(only ?? []);
mkdirSync(join(root, ".cache"), { recursive: true });
if (!node("scripts/ensure-servers.mjs")) {
  miss("the whole suite", "Redis is missing", "one of the commands above");
  finish({ passed: 0, failed: 1, skipped: 0 });
} else if (!node("scripts/build.mjs") && ci) {
  out("the build failed: see the compiler's messages above");
  finish({ passed: 0, failed: 1, skipped: 0 });
} else {
  finish(count(await vitest(projects())));
}
