// Makes sure that the programs which the tests start are installed. Exit code 1, with the exact commands, when one that
// is required cannot be had. It starts and stops no server.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SERVERS = [
  {
    name: "Redis",
    programs: [process.env.REDIS_SERVER ?? "redis-server"],
    apt: ["redis-server"],
    brew: "brew install redis",
    docker:
      'docker run --rm -it -v "$PWD":/petiole -w /petiole node:20 sh -c "apt-get update && apt-get install -y redis-server python3-venv && make test"',
  },
  {
    name: "PostgreSQL",
    get programs() {
      return [newest("/usr/lib/postgresql", "bin/postgres") ?? "postgres"];
    },
    apt: ["postgresql"],
    brew: "brew install postgresql@15",
    docker: null,
    /** Tests of SQL databases and of transactions are skipped without it. */
    optional: true,
  },
  {
    name: "MariaDB",
    programs: ["mariadbd", "mariadb-install-db"],
    apt: ["mariadb-server"],
    brew: "brew install mariadb",
    docker: null,
    /** Tests of SQL databases are skipped on it without it. */
    optional: true,
  },
  {
    name: "Chromium",
    programs: [process.env.CHROMIUM ?? "chromium"],
    apt: ["chromium"],
    brew: "brew install --cask chromium",
    docker: null,
    /** Tests of pages are skipped without it. */
    optional: true,
  },
];

/** Debian has a folder for each version, and none of them is on PATH. */
function newest(folder, program) {
  const versions = existsSync(folder) ? readdirSync(folder).sort((a, b) => b - a) : [];
  return versions.map((one) => `${folder}/${one}/${program}`).find((one) => existsSync(one));
}

/** Is the program on PATH? */
export function onPath(program) {
  if (program.includes("/")) return existsSync(program);
  return (process.env.PATH ?? "").split(":").some((dir) => dir !== "" && existsSync(`${dir}/${program}`));
}

/** May we install Debian packages without asking anybody? */
export function canInstall() {
  return process.platform === "linux" && process.getuid?.() === 0 && onPath("apt-get");
}

/** Installs Debian packages; services that a package would start stay off (policy-rc.d is not ours to change). */
export function install(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const run = (args) => spawnSync("apt-get", args, { stdio: ["ignore", 2, 2], env }).status === 0;
  process.stderr.write(`installing ${packages.join(" ")} with apt-get\n`);
  run(["update", "-q"]);
  return run(["install", "-q", "-y", "--no-install-recommends", ...packages]);
}

function ensure(server) {
  const missing = () => server.programs.filter((program) => !onPath(program));
  if (missing().length === 0) return true;
  if (canInstall()) install(server.apt);
  if (missing().length === 0) return true;
  process.stderr.write(
    [
      `${server.name} is needed by ${server.optional ? "some tests, which are skipped," : "the tests"} and ${missing().join(", ")} was not found. Install it with one of:`,
      `  Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y ${server.apt.join(" ")}`,
      `  macOS:           ${server.brew}`,
      ...(server.docker === null ? [] : [`  Docker:          ${server.docker}`]),
      "",
    ].join("\n"),
  );
  return server.optional === true;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // With names, only these.
  const wanted = process.argv.slice(2);
  const servers = SERVERS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  process.exitCode = servers.map(ensure).every(Boolean) ? 0 : 1;
}
