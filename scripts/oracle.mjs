// Makes sure that .venv/ holds Python's Celery 5.6.3 with the pinned packages of test/oracle/requirements.txt, the peer of
// the interop suite. Prints one JSON line: {"python": path} or {"reason": text, "command": what mends it}. Exit code 1
// when Celery cannot be had; a single package that is absent is named and the rest is installed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { canInstall, install, onPath } from "./ensure-servers.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const venv = join(root, ".venv");
const python = join(venv, "bin/python");
const stamp = join(venv, "oracle.stamp");
const requirements = join(root, "test/oracle/requirements.txt");
const CELERY = "5.6.3";

const pins = readFileSync(requirements, "utf8")
  .split("\n")
  .filter((line) => /^[A-Za-z]/.test(line));
const fingerprint = createHash("sha256").update(pins.join("\n")).digest("hex");

/** Everything that installers print goes to stderr: stdout is for the answer. */
const run = (program, args) => spawnSync(program, args, { stdio: ["ignore", 2, 2] }).status === 0;
const pip = (args) =>
  run(python, ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", ...args]);

function celeryVersion() {
  const code = "import celery, kombu, redis; print(celery.__version__)";
  const answer = spawnSync(python, ["-c", code], { encoding: "utf8" });
  return answer.status === 0 ? answer.stdout.trim() : undefined;
}

function makeVenv() {
  const make = () => run("python3", ["-m", "venv", "--clear", venv]) && existsSync(python);
  if (onPath("python3") && make()) return undefined;
  if (canInstall()) {
    install(["python3", "python3-venv"]);
    if (make()) return undefined;
  }
  rmSync(venv, { recursive: true, force: true });
  return {
    reason: "Python 3 with its venv module was not found",
    command: "sudo apt-get update && sudo apt-get install -y python3 python3-venv && make oracle",
  };
}

function installPins() {
  if (pip(["-r", requirements])) return [];
  process.stderr.write("not all at once; installing one by one\n");
  return pins.filter((pin) => !pip([pin]));
}

/** `{ python }`, or why not. */
export function ensureOracle() {
  const fresh = existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint;
  if (fresh && existsSync(python)) return { python };
  process.stderr.write(`installing the Python oracle (Celery ${CELERY}) into .venv\n`);
  const failure = makeVenv();
  if (failure) return failure;
  const absent = installPins();
  const version = celeryVersion();
  if (version !== CELERY) {
    return {
      reason: `Celery ${CELERY} could not be installed (${absent.join(", ") || `found ${version}`})`,
      command:
        "python3 -m venv .venv && .venv/bin/pip install -r test/oracle/requirements.txt && make oracle",
    };
  }
  if (absent.length > 0) process.stderr.write(`absent from the oracle: ${absent.join(", ")}\n`);
  else writeFileSync(stamp, fingerprint);
  return { python };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const answer = ensureOracle();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  process.exitCode = "python" in answer ? 0 : 1;
}
