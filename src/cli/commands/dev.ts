/** `petiole dev`: what a project needs while it is written, by one command. */
import { appFile } from "../../app/loader.ts";
import { createWorkerLogger, type LogLevel } from "../../worker/index.ts";
import { DEVELOPED } from "../daemon/marks.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { enterWorkdir } from "../open-app.ts";
import { isTerminal } from "../set-up-logging.ts";
import { findModule } from "../start/find-module.ts";

interface DevWords {
  readonly concurrency?: number;
  readonly loglevel?: LogLevel;
  readonly queues?: readonly string[];
  readonly json?: boolean;
}

export async function dev({ globals, options, io }: Invocation): Promise<ExitCode> {
  const { concurrency, loglevel = "INFO", queues, json } = options as DevWords;
  const cwd = enterWorkdir(globals, io.cwd);
  const app = globals.app ?? (await findModule(cwd));
  const logger = await createWorkerLogger({
    level: globals.quiet ? "WARNING" : "INFO",
    format: json === true ? "json" : "text",
    color: globals.color && isTerminal(),
  });
  const { supervise } = await import("../daemon/watch.ts");
  const code = await supervise({
    words: [
      ...flag("--app", app),
      ...flag("--broker", globals.broker),
      ...flag("--result-backend", globals.resultBackend),
      ...flag("--config", globals.config),
      ...(globals.color ? [] : ["--no-color"]),
      ...(globals.quiet ? ["--quiet"] : []),
      "worker",
      ...flag("--loglevel", loglevel),
      ...flag("--concurrency", concurrency),
      ...flag("--queues", queues?.join(",")),
      ...(json === true ? ["--json"] : []),
    ],
    cwd,
    file: await appFile(app, cwd),
    env: { [DEVELOPED]: "1" },
    logger,
  });
  logger.flush();
  return code;
}

function flag(name: string, value: string | number | null | undefined): readonly string[] {
  return value === null || value === undefined ? [] : [name, String(value)];
}
