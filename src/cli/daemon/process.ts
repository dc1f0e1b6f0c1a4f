/** What the programs `worker` and `beat` do about their process. Loads what an option needs, and nothing else. */
import { resolve } from "node:path";
import type { Logger } from "../../base/logger.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { enterWorkdir } from "../open-app.ts";
import { octal } from "../values.ts";
import type { PidFile } from "./pid-file.ts";
import type { Privileges } from "./privileges.ts";

/** Options of both programs. */
export interface DaemonWords {
  readonly logfile?: string;
  readonly pidfile?: string;
  readonly detach?: boolean;
  readonly uid?: string;
  readonly gid?: string;
  readonly umask?: number;
  readonly executable?: string;
}

export async function goOnAs(as: Privileges): Promise<void> {
  if (as.uid === undefined && as.gid === undefined && as.umask === undefined) return;
  (await import("./privileges.ts")).dropPrivileges(as);
}

/** Held until the process ends; null: none is wanted. `left` hears of a file that was left over. */
export async function holdPidFile(
  path: string | null,
  left: (what: string) => void,
): Promise<PidFile | null> {
  if (path === null) return null;
  const { PidFile: File } = await import("./pid-file.ts");
  const held = new File(resolve(path));
  held.take(left);
  return held;
}

/** A text is octal, as on the command line. */
export function maskOf(given: string | number | null): number | undefined {
  if (given === null) return undefined;
  return typeof given === "number" ? given : octal(given);
}

/** This process only starts the other, and says what came of it. */
export async function startInBackground(
  { io, globals, options }: Invocation,
  as: { readonly program: string; readonly expand: (file: string) => string; readonly name: string },
): Promise<ExitCode> {
  const { logfile, executable, uid, gid } = options as DaemonWords;
  const cwd = enterWorkdir(globals, io.cwd);
  // One that changes its user could not write to a file that this one has made.
  const opens = logfile !== undefined && uid === undefined && gid === undefined;
  const { detach } = await import("./detach.ts");
  const started = await detach(process.argv.slice(2), {
    executable: executable ?? null,
    logfile: opens ? resolve(cwd, as.expand(logfile)) : null,
    cwd: io.cwd,
  });
  if (started.kind === "up") {
    if (!globals.quiet) io.out(`${as.name} runs in the background, pid ${started.pid}\n`);
    return 0;
  }
  const { code, signal, said } = started;
  io.err(
    said === ""
      ? `petiole ${as.program}: it ended at once, with ${signal ?? `exit code ${code}`} [PET_DAEMON]\n`
      : said,
  );
  return code === 64 || code === 69 || code === 73 ? code : 1;
}

/** An exception that nobody caught ends the program as `stop` does; a rejected promise is only told. */
export function catchStrays(
  logger: Logger,
  on: { readonly program: string; onFatal(): void; readonly stop: () => Promise<void> },
): () => void {
  const onRejection = (err: unknown): void => {
    logger.error({ err }, "a promise was rejected and nobody handled it");
  };
  const onException = (err: unknown): void => {
    on.onFatal();
    logger.error({ err }, `an exception was not caught: the ${on.program} stops`);
    void stopOrLeave(on.stop);
  };
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  return () => {
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
  };
}

async function stopOrLeave(stop: () => Promise<void>): Promise<void> {
  try {
    await stop();
  } catch {
    process.exit(1);
  }
}
