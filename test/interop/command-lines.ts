/** The command lines of both languages, run to their end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cli, root } from "../support/built.ts";
import { python } from "../support/python.ts";

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Servers {
  readonly broker: string;
  readonly backend: string;
}

const END_MS = 40_000;

async function run(
  servers: Servers,
  cwd: string,
  [program, ...words]: readonly [string, ...string[]],
): Promise<Ran> {
  const child = spawn(program, words, {
    cwd,
    env: {
      ...process.env,
      ORACLE_BROKER: servers.broker,
      ORACLE_BACKEND: servers.backend,
      PYTHONDONTWRITEBYTECODE: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kept = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (kept.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (kept.err += chunk.toString()));
  const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
  await once(child, "close");
  clearTimeout(timer);
  return { code: child.exitCode, ...kept };
}

/** Python's `celery`, without colours. */
export const celery = (servers: Servers, ...words: string[]): Promise<Ran> =>
  run(servers, `${root}test/oracle`, [python(), "-m", "celery", "-A", "tasks", "-C", ...words]);

export const petiole = (servers: Servers, ...words: string[]): Promise<Ran> =>
  run(servers, root, [process.execPath, cli, "-A", "test/interop/fixtures/main.ts", ...words]);
