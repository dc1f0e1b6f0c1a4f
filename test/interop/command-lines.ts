/** The command lines of both languages, run to their end. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cli, root } from "../support/built.ts";
import { type PythonFork, startPython } from "../support/python-forks.ts";

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

/** The output is all there when `close` is told. */
async function ended(child: ChildProcess | PythonFork): Promise<Ran> {
  const kept = { out: "", err: "" };
  child.stdout?.on("data", (chunk: Buffer) => (kept.out += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (kept.err += chunk.toString()));
  const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
  await once(child, "close");
  clearTimeout(timer);
  return { code: child.exitCode, ...kept };
}

const environment = ({ broker, backend }: Servers): NodeJS.ProcessEnv => ({
  ...process.env,
  ORACLE_BROKER: broker,
  ORACLE_BACKEND: backend,
});

/** Python's `celery`, without colours. */
export async function celery(servers: Servers, ...words: string[]): Promise<Ran> {
  const child = await startPython(["-m", "celery", "-A", "tasks", "-C", ...words], environment(servers));
  child.stdin.end();
  return ended(child);
}

export function petiole(servers: Servers, ...words: string[]): Promise<Ran> {
  const line = [cli, "-A", "test/interop/fixtures/client.mjs", ...words];
  return ended(
    spawn(process.execPath, line, {
      cwd: root,
      env: environment(servers),
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
}
