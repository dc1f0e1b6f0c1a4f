// The unit, conformance and package suites and `make demo` on each version of Node that is supported, with its real program:
// the npm package node-<platform>-<arch>, in .cache/nodes. Dependencies and build serve all of them. Ends with a line for each
// version. Without any that ran it fails; under CI=true a version that cannot be had is a failure.
//   --others  not on the version that runs this: scripts/test.mjs --package has been
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePort } from "./lib/ports.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The last of each line that is published as a package. */
const VERSIONS = ["20.20.2", "22.23.5", "24.22.3"];
const PROJECTS = "unit,conformance,package";
const own = process.versions.node;
const out = (text) => process.stdout.write(`${text}\n`);
const majorOf = (version) => version.split(".")[0];

/** The program of a version, installed when it is not there. An error says what to do. */
function programOf(version) {
  if (majorOf(version) === majorOf(own)) return process.execPath;
  const folder = join(root, ".cache/nodes", version);
  const name = `node-${process.platform}-${process.arch}`;
  const program = join(folder, "node_modules", name, "bin/node");
  if (versionOf(program) === version) return program;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  // The end of npm's search for a project.
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const flags = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--prefer-offline"];
  const run = spawnSync("npm", ["install", ...flags, `${name}@${version}`], {
    cwd: folder,
    stdio: ["ignore", 2, 2],
  });
  if (run.status === 0 && versionOf(program) === version) return program;
  throw new Error(
    `npm install ${name}@${version} failed: see above. Mend with: PATH=<the bin folder of a Node ${majorOf(version)}>:$PATH make test-nodes`,
  );
}

function versionOf(program) {
  if (!existsSync(program)) return null;
  return spawnSync(program, ["-p", "process.versions.node"], { encoding: "utf8" }).stdout?.trim() ?? null;
}

/** First on PATH, so that it also runs `node`, npm and npx of what the tests start. */
function runWith(program, [command, ...args], env = {}) {
  const PATH = `${dirname(program)}${delimiter}${process.env.PATH ?? ""}`;
  const started = Date.now();
  const run = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env, PATH },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return { ok: run.status === 0, seconds: Math.round((Date.now() - started) / 1000) };
}

const told = ({ ok, seconds }) => `${ok ? "ok" : "FAILED"} in ${seconds} s`;

const lines = [];
let failed = false;
let ran = 0;
const { values: flags } = parseArgs({ options: { others: { type: "boolean" } } });
for (const version of VERSIONS.filter((one) => flags.others !== true || majorOf(one) !== majorOf(own))) {
  let program;
  try {
    program = programOf(version);
  } catch (error) {
    lines.push(`NOT RUN node ${version}: ${error.message}`);
    if (process.env.CI === "true") failed = true;
    continue;
  }
  const shown = versionOf(program);
  out(`node ${shown}: ${program}`);
  const suites = runWith(program, [program, "scripts/test.mjs", `--projects=${PROJECTS}`]);
  const demo = runWith(program, ["make", "demo"], { DEMO_EXIT: "1", PORT: String(await freePort()) });
  ran += 1;
  if (!suites.ok || !demo.ok) failed = true;
  lines.push(`node ${shown}: suites ${told(suites)}, make demo ${told(demo)}`);
}
for (const line of lines) out(line);
process.exitCode = failed || ran === 0 ? 1 : 0;
