// A private PostgreSQL: where its programs are, and a folder with a new cluster. The caller starts and stops it, by its pid.
import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DEBIAN = "/usr/lib/postgresql";

export function postgresPrograms() {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => b - a) : [];
  const folders = [...versions.map((one) => `${DEBIAN}/${one}/bin`), ...(process.env.PATH ?? "").split(":")];
  return folders.find((one) => existsSync(`${one}/postgres`) && existsSync(`${one}/initdb`)) ?? null;
}

export function makePostgres() {
  const programs = postgresPrograms();
  if (programs === null)
    throw new Error("PostgreSQL is not installed: run `make servers` for what to install");
  // It refuses to run as root, and Debian's user of it has to get at the folder.
  const owner = process.getuid?.() === 0 ? idsOf("postgres") : {};
  const dir = mkdtempSync(join(process.env.PETIOLE_PG_DIR ?? tmpdir(), "petiole-pg-"));
  if (owner.uid !== undefined) chownSync(dir, owner.uid, owner.gid);
  const spawnOptions = { ...owner, cwd: dir };
  const data = join(dir, "data");
  const made = spawnSync(
    `${programs}/initdb`,
    ["-D", data, "-U", "petiole", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
    { ...spawnOptions, encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stdout}${made.stderr}`);
  return {
    dir,
    program: `${programs}/postgres`,
    args: (port) => ["-D", data, "-p", String(port), "-k", dir, "-h", "127.0.0.1", "-F"],
    spawnOptions,
    url: (port) => `postgresql://petiole@127.0.0.1:${port}/postgres`,
  };
}

export function idsOf(user) {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${user}:`));
  if (line === undefined) {
    throw new Error(
      `this server does not run as root, and there is no user ${user}: run this as another user`,
    );
  }
  const [, , uid, gid] = line.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}
