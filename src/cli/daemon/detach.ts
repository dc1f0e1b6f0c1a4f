/**
 * `--detach`: the same command in a session of its own, without a terminal. Python: `celery.platforms.detached`.
 *
 * The parent waits until the child says that it is set up (its module loaded, pid file and log its own), or has ended: then it
 * says why. Celery's parent knows nothing of its child.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { PetioleError } from "../../errors.ts";
import { DETACHED } from "./marks.ts";

const PIPE_FD = 3;
const UP = "\0up";

export interface DetachOptions {
  /** Node, when it is another one than this. */
  readonly executable: string | null;
  /** Where what is written beside the log goes; null: nowhere. */
  readonly logfile: string | null;
  readonly cwd: string;
}

/** How a process came up in the background; `said`: why it did not. */
export type Detached =
  | { readonly kind: "up"; readonly pid: number }
  | {
      readonly kind: "ended";
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
      readonly said: string;
    };

/** Runs these words of the command line in the background. */
export async function detach(words: readonly string[], options: DetachOptions): Promise<Detached> {
  const program = process.argv[1] ?? "";
  const log = options.logfile === null ? null : openLog(options.logfile);
  const output = log ?? "ignore";
  const child = spawn(options.executable ?? process.execPath, [...process.execArgv, program, ...words], {
    cwd: options.cwd,
    detached: true,
    env: { ...process.env, [DETACHED]: String(PIPE_FD) },
    stdio: ["ignore", output, output, "pipe"],
  });
  if (log !== null) closeSync(log);
  let said = "";
  const pipe = child.stdio[PIPE_FD];
  pipe?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new PetioleError("PET_DAEMON", `the process could not be started: ${cause.message}`, { cause }));
    });
    child.once("exit", () => setImmediate(resolve));
    pipe?.on("data", () => {
      if (said.endsWith(UP)) resolve();
    });
  });
  if (said.endsWith(UP)) {
    pipe?.destroy();
    child.unref();
    return { kind: "up", pid: child.pid ?? 0 };
  }
  return { kind: "ended", code: child.exitCode, signal: child.signalCode, said };
}

function openLog(path: string): number {
  try {
    return openSync(path, "a");
  } catch (cause) {
    throw new PetioleError("PET_DAEMON", `the log file cannot be written: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** In the child: nothing more can keep it from running. */
export function tellParent(text: string = UP): void {
  if (process.env[DETACHED] === undefined) return;
  try {
    writeSync(PIPE_FD, text);
    if (text === UP) closeSync(PIPE_FD);
  } catch {
    // The parent is gone.
  }
  if (text === UP) delete process.env[DETACHED];
}
