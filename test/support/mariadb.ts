/** A private MariaDB for one test file: free loopback port, temporary directory, small, nothing is synced, but all that is committed outlives its process, stopped by its pid. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPool, type Pool } from "mysql2/promise";
import { idsOf } from "../../scripts/lib/postgres.mjs";
import { makeCertificate } from "./certificate.ts";
import { eventually } from "./eventually.ts";
import { trackProcess } from "./left-overs.ts";
import { freePort } from "./redis.ts";

export interface MariadbOptions {
  /** Serve TLS too, with a certificate of our own: `caFile`. */
  readonly tls?: boolean;
}

export interface MariadbServer {
  /** Of root. */
  readonly pool: Pool;
  readonly port: number;
  /** Of its unix socket. */
  readonly socket: string;
  readonly url: string;
  /** Certificate to trust, with `tls`. */
  readonly caFile: string | null;
  /** Answers its URL. */
  createDatabase(name: string): Promise<string>;
  /** May be called twice. */
  kill(): Promise<void>;
  /** On its port, with its data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Debian keeps servers out of a user's PATH. */
function program(name: string): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, name)).find((one) => existsSync(one)) ?? null;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export async function startMariadb(options: MariadbOptions = {}): Promise<MariadbServer> {
  const server = program("mariadbd");
  const install = program("mariadb-install-db");
  if (server === null || install === null)
    throw new Error("MariaDB is not installed: run `make servers` for what to install");
  const dir = mkdtempSync(join(tmpdir(), "petiole-my-"));
  const user: { uid?: number; gid?: number } = process.getuid?.() === 0 ? idsOf("mysql") : {};
  if (user.uid !== undefined && user.gid !== undefined) chownSync(dir, user.uid, user.gid);
  const data = join(dir, "data");
  const socket = join(dir, "sock");
  // A folder of its own for temporary tables: at its start each server deletes those of others in /tmp.
  const small = [`--tmpdir=${dir}`, "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"];
  const made = spawnSync(
    install,
    [
      "--no-defaults",
      `--datadir=${data}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      ...small,
    ],
    { ...user, cwd: dir, encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`mariadb-install-db failed: ${made.stdout}${made.stderr}`);
  const tls = options.tls === true ? makeCertificate(dir, user) : null;
  const port = await freePort();
  const launch = (): ChildProcess => {
    const started = spawn(
      server,
      [
        "--no-defaults",
        `--datadir=${data}`,
        `--socket=${socket}`,
        `--port=${port}`,
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-flush-method=nosync",
        "--skip-log-bin",
        "--character-set-server=utf8mb4",
        ...(tls === null ? [] : [`--ssl-cert=${tls.certFile}`, `--ssl-key=${tls.keyFile}`]),
        ...small,
      ],
      { ...user, cwd: dir, stdio: "ignore" },
    );
    running.add(started);
    trackProcess(started, `--datadir=${data}`);
    started.once("exit", () => running.delete(started));
    return started;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    await gone;
  };
  let child = launch();
  const pool = createPool({ socketPath: socket, user: "root", connectionLimit: 3 });
  const answers = () =>
    eventually("MariaDB answers", async () => {
      if (child.exitCode !== null) throw new Error(`mariadbd ended with ${child.exitCode}`);
      return pool.query("SELECT 1").then(
        () => true,
        () => false,
      );
    });
  await answers();
  await pool.query("CREATE USER petiole@'%' IDENTIFIED BY 'SECRET'");
  await pool.query("GRANT ALL ON *.* TO petiole@'%'");
  const url = (name: string): string => `mysql://petiole:SECRET@127.0.0.1:${port}/${name}`;
  await pool.query("CREATE DATABASE petiole");
  let ended = false;
  return {
    pool,
    port,
    socket,
    url: url("petiole"),
    caFile: tls?.certFile ?? null,
    async createDatabase(name) {
      await pool.query(`CREATE DATABASE \`${name}\``);
      return url(name);
    },
    kill: () => end("SIGKILL"),
    async restart() {
      child = launch();
      await answers();
    },
    async stop() {
      if (!ended) await pool.end();
      ended = true;
      await end("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
