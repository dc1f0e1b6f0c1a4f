/** A private PostgreSQL for one test file: free loopback port, temporary directory, stopped by its pid. */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import pg from "pg";
import { makePostgres, postgresPrograms } from "../../scripts/lib/postgres.mjs";
import { eventually } from "./eventually.ts";
import { trackProcess } from "./left-overs.ts";
import { freePort } from "./redis.ts";

export { postgresPrograms };

export interface PostgresServer {
  readonly url: string;
  readonly pool: pg.Pool;
  /** Answers its URL. */
  createDatabase(name: string): Promise<string>;
  /** As a power cut does. */
  kill(): Promise<void>;
  /** On its port, with its data. */
  restart(): Promise<void>;
  /** Ends a backend, as an administrator or a broken network does. */
  terminate(pid: number): Promise<void>;
  /** May be called twice. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGQUIT");
});

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

export async function startPostgres(): Promise<PostgresServer> {
  const { dir, program, args, spawnOptions, url } = makePostgres();
  const port = await freePort();
  const launch = (): ChildProcess => {
    const started = spawn(program, args(port), { ...spawnOptions, stdio: "ignore" });
    running.add(started);
    trackProcess(started, dir);
    started.once("exit", () => running.delete(started));
    return started;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (hasEnded(child)) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    await gone;
  };
  let child = launch();
  const pool = new pg.Pool({ connectionString: url(port), max: 5 });
  pool.on("error", () => {});
  const answers = () =>
    eventually("PostgreSQL answers", async () => {
      if (hasEnded(child)) throw new Error(`postgres ended with ${child.exitCode ?? child.signalCode}`);
      return pool.query("SELECT 1").then(
        () => true,
        () => false,
      );
    });
  await answers();
  return {
    url: url(port),
    pool,
    async createDatabase(name) {
      await pool.query(`CREATE DATABASE "${name}"`);
      const made = new URL(url(port));
      made.pathname = name;
      return made.href;
    },
    // Its children do not outlive it, unlike after SIGKILL.
    kill: () => end("SIGQUIT"),
    async restart() {
      child = launch();
      await answers();
    },
    async terminate(pid) {
      await pool.query("SELECT pg_terminate_backend($1)", [pid]);
    },
    async stop() {
      if (!pool.ended) await pool.end();
      await end("SIGINT");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
