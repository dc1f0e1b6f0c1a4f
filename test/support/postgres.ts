/** A private PostgreSQL for one test file: free loopback port, temporary directory, stopped by its pid. It refuses to run as root. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { eventually } from "./eventually.ts";
import { trackProcess } from "./left-overs.ts";
import { freePort } from "./redis.ts";

const DEBIAN = "/usr/lib/postgresql";

/** The folder of its programs; null: it is not installed. Debian's is not on PATH. */
export function postgresPrograms(): string | null {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((one) => `${DEBIAN}/${one}/bin`),
    ...(process.env["PATH"] ?? "").split(":"),
  ];
  return folders.find((one) => existsSync(`${one}/postgres`) && existsSync(`${one}/initdb`)) ?? null;
}

export interface PostgresServer {
  readonly pool: pg.Pool;
  /** Ends a backend, as an administrator or a broken network does. */
  terminate(pid: number): Promise<void>;
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGQUIT");
});

export async function startPostgres(): Promise<PostgresServer> {
  const programs = postgresPrograms();
  if (programs === null)
    throw new Error("PostgreSQL is not installed: run `make servers` for what to install");
  const dir = mkdtempSync(join(process.env["PETIOLE_PG_DIR"] ?? tmpdir(), "petiole-pg-"));
  const user = process.getuid?.() === 0 ? idsOf("postgres") : {};
  if (user.uid !== undefined && user.gid !== undefined) chownSync(dir, user.uid, user.gid);
  const data = join(dir, "data");
  const made = spawnSync(
    `${programs}/initdb`,
    ["-D", data, "-U", "petiole", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
    { ...user, cwd: dir, encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stdout}${made.stderr}`);
  const port = await freePort();
  const options = ["-D", data, "-p", String(port), "-k", dir, "-h", "127.0.0.1", "-F"];
  const child = spawn(`${programs}/postgres`, options, { ...user, cwd: dir, stdio: "ignore" });
  running.add(child);
  trackProcess(child, `-D ${data}`);
  child.once("exit", () => running.delete(child));
  const pool = new pg.Pool({ host: "127.0.0.1", port, user: "petiole", database: "postgres", max: 5 });
  pool.on("error", () => {});
  await eventually("PostgreSQL answers", async () => {
    if (child.exitCode !== null) throw new Error(`postgres ended with ${child.exitCode}`);
    return pool.query("SELECT 1").then(
      () => true,
      () => false,
    );
  });
  return {
    pool,
    async terminate(pid) {
      await pool.query("SELECT pg_terminate_backend($1)", [pid]);
    },
    async stop() {
      await pool.end();
      const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      if (child.exitCode === null) {
        child.kill("SIGINT");
        await gone;
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function idsOf(name: string): { uid?: number; gid?: number } {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return line === undefined ? {} : { uid: Number(uid), gid: Number(gid) };
}
