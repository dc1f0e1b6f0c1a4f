// Makes sure that the programs which the tests start are installed. Exit code 1, with the exact commands, when one that
// is required cannot be had. It starts and stops no server.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { postgresPrograms } from "./lib/postgres.mjs";

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
      const folder = postgresPrograms();
      return [folder === null ? "postgres" : `${folder}/postgres`];
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

/** `named`: it was asked for, and cannot be done without. */
function ensure(server, named) {
  const missing = () => server.programs.filter((program) => !onPath(program));
  if (missing().length === 0) return true;
  if (canInstall()) install(server.apt);
  if (missing().length === 0) return true;
  const optional = server.optional === true && !named;
  const whose = named ? "" : ` by ${optional ? "some tests, which are skipped," : "the tests"}`;
  process.stderr.write(
    [
      `${server.name} is needed${whose} and ${missing().join(", ")} was not found. Install it with one of:`,
      `  Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y ${server.apt.join(" ")}`,
      `  macOS:           ${server.brew}`,
      ...(server.docker === null ? [] : [`  Docker:          ${server.docker}`]),
      "",
    ].join("\n"),
  );
  return optional;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // With names, only these, and all of them.
  const wanted = process.argv.slice(2);
  const named = wanted.length > 0;
  const known = SERVERS.map(({ name }) => name);
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no server ${unknown.join(", ")}; choose from ${known.join(", ")}`);
  const servers = SERVERS.filter(({ name }) => !named || wanted.includes(name));
  process.exitCode = servers.map((server) => ensure(server, named)).every(Boolean) ? 0 : 1;
}
