/** The log of the program `petiole worker`. Python: `celery.app.log.Logging.setup`. */
import type { Celery } from "../app/app.ts";
import { internalsOf } from "../app/internals.ts";
import { emitSignal } from "../app/signals.ts";
import type { Logger } from "../base/logger.ts";
import { createWorkerLogger, type LogLevel, type WorkerLogger } from "../worker/index.ts";

export interface WorkerLog {
  readonly logger: Logger;
  /** Gives standard output back, and writes what is buffered. */
  readonly end: () => void;
  /** Of a log file. */
  readonly reopen: (() => void) | null;
}

/** A handler of `setupLogging` sets up its own and keeps us from it, as in Celery: the app's logger is used then. */
export async function setUpLogging(
  app: Celery,
  wanted: {
    readonly level: LogLevel;
    readonly file: string | null;
    readonly json: boolean;
    /** Not `--no-color`. */
    readonly color: boolean;
  },
): Promise<WorkerLog> {
  const { emitters, conf, logger: own } = internalsOf(app);
  const { level, file: logfile } = wanted;
  if (emitters.setupLogging.active) {
    await emitSignal("setupLogging", { level, logfile }, { emitters, logger: own });
    return { logger: own, end: () => {}, reopen: null };
  }
  const logger: WorkerLogger = await createWorkerLogger({
    level,
    format: wanted.json ? "json" : "text",
    file: logfile ?? undefined,
    logFormat: conf.workerLogFormat ?? undefined,
    taskLogFormat: conf.workerTaskLogFormat ?? undefined,
    color: wanted.color && logfile === null && (conf.workerLogColor ?? isTerminal()),
  });
  for (const name of ["afterSetupLogger", "afterSetupTaskLogger"] as const) {
    await emitSignal(name, { logger, level, logfile }, { emitters, logger });
  }
  const giveBack = conf.workerRedirectStdouts
    ? (await import("../worker/redirect.ts")).redirectStdouts(
        logger,
        conf.workerRedirectStdoutsLevel ?? "WARNING",
      )
    : null;
  return {
    logger,
    end: () => {
      giveBack?.();
      logger.flush();
    },
    reopen: logfile === null ? null : () => reopen(logger),
  };
}

/** Whether the log is read on a terminal that knows colours. */
export function isTerminal(): boolean {
  return process.stderr.isTTY && process.env["TERM"] !== "dumb";
}

/** The new file cannot be opened: the log goes on in the old one, and says so. */
function reopen(logger: WorkerLogger): void {
  try {
    logger.reopen();
    logger.info({}, "the log file was opened anew");
  } catch (err) {
    logger.error({ err }, "the log file could not be opened anew: the old one is kept");
  }
}
