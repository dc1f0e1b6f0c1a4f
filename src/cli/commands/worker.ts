/** `petiole worker`: runs tasks until it is told to stop. Python: `celery/bin/worker.py`. */
import { hostname as osHostname } from "node:os";
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import type { Logger } from "../../base/logger.ts";
import { version } from "../../base/version.ts";
import { expandFileName, expandNodeName } from "../../protocol/nodenames.ts";
import { configure } from "../../worker/child-init.ts";
import {
  banner,
  createWorkerLogger,
  handleSignals,
  type LogLevel,
  Worker,
  type WorkerLogger,
  type WorkerOptions,
  workerSteps,
} from "../../worker/index.ts";
import { compileEarlySoon } from "../early-compile.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import { settingsOf } from "../setting-words.ts";

/** What the option table reads for this command, besides the worker's own options. */
interface WorkerWords extends Omit<WorkerOptions, "logger" | "appModule"> {
  readonly include?: readonly string[];
  readonly events?: boolean;
  readonly loglevel?: LogLevel;
  readonly logfile?: string;
  readonly json?: boolean;
  readonly printSteps?: boolean;
}

export async function worker(invocation: Invocation): Promise<ExitCode> {
  const { include, events, loglevel, logfile, json, printSteps, ...options } =
    invocation.options as WorkerWords;
  const { io, globals } = invocation;
  const app = await openApp(invocation, { needsModule: true });
  // The module of --config is laid over the app by openApp.
  const given = { settings: settingsOf(invocation.args), include };
  configure(app, given);
  if (printSteps) {
    if (json) io.out(jsonLine(workerSteps(app).map(({ name, requires }) => ({ name, requires }))));
    else
      for (const { name, requires } of workerSteps(app)) {
        io.out(`${name}${requires.length > 0 ? ` (after ${requires.join(", ")})` : ""}\n`);
      }
    return 0;
  }
  const appModule = { module: globals.app ?? "", config: globals.config, ...given };
  const running = new Worker(app, { ...options, ...(events ? { taskEvents: true } : {}), appModule });
  await running.prepare();
  const file = logfile === undefined ? null : expandFileName(logfile, nodeNameOf(options.hostname));
  const { logger, flush } = await setUpLogging(app, {
    level: loglevel ?? "WARNING",
    file,
    json: json === true,
  });
  hintAtPool(options.pool, logger);
  running.logger = logger;
  const code = await runUntilStopped(running, {
    logger,
    onStarted: () => {
      if (!globals.quiet) io.out(banner(running, version()));
      compileEarlySoon();
    },
  });
  flush();
  return code;
}

/** Green threads are what Node's event loop is. */
function hintAtPool(pool: string | undefined, logger: Logger): void {
  if (pool !== "gevent" && pool !== "eventlet") return;
  logger.warn({ pool }, "this pool is Python's: tasks run in the async pool, which does the same");
}

function nodeNameOf(template: string | undefined): string {
  return expandNodeName(template, osHostname());
}

/** A handler of `setupLogging` sets up its own and keeps us from it, as in Celery: the app's logger is used then. */
async function setUpLogging(
  app: Celery,
  wanted: { readonly level: LogLevel; readonly file: string | null; readonly json: boolean },
): Promise<{ readonly logger: Logger; readonly flush: () => void }> {
  const { emitters, conf, logger: own } = internalsOf(app);
  const { level, file: logfile } = wanted;
  if (emitters.setupLogging.active) {
    await emitters.setupLogging.emit(
      { level, logfile },
      { onError: (err) => own.error({ err }, "setupLogging failed") },
    );
    return { logger: own, flush: () => {} };
  }
  const logger: WorkerLogger = await createWorkerLogger({
    level,
    format: wanted.json ? "json" : "text",
    file: logfile ?? undefined,
    logFormat: conf.workerLogFormat ?? undefined,
    taskLogFormat: conf.workerTaskLogFormat ?? undefined,
  });
  for (const emitter of [emitters.afterSetupLogger, emitters.afterSetupTaskLogger]) {
    if (!emitter.active) continue;
    await emitter.emit(
      { logger, level, logfile },
      { onError: (err) => logger.error({ err }, "a signal handler failed") },
    );
  }
  return { logger, flush: () => logger.flush() };
}

/** The process's signals stop it. Ends with 1, as Celery, where a second Ctrl-C made it give up tasks. */
async function runUntilStopped(
  running: Worker,
  hooks: { readonly logger: Logger; onStarted(): void },
): Promise<ExitCode> {
  const { app } = running;
  const { logger } = hooks;
  // Boxed: written in callbacks, which the compiler does not follow.
  const end: { code: ExitCode; told: boolean } = { code: 0, told: false };
  const stopped = new Promise<void>((resolve) => {
    app.signals.workerShutdown.connect(() => resolve());
  });
  app.signals.workerShuttingDown.connect(() => {
    end.told = true;
  });
  const removeHandlers = handleSignals(running, {
    logger,
    onCold: (signal) => {
      if (signal === "SIGINT") end.code = 1;
    },
    force: () => process.exit(1),
  });
  const removeNets = catchStrays(running, { logger, onFatal: () => (end.code = 1) });
  try {
    try {
      await running.start();
      hooks.onStarted();
      await stopped;
    } catch (error) {
      // Told to stop before it was up: that is no failure.
      if (!end.told) throw error;
    }
    await running.stop();
    await app.close();
    return end.code;
  } finally {
    removeHandlers();
    removeNets();
  }
}

/**
 * Errors that nobody caught. A rejected promise of one task must not end the others, so it is only logged; after an
 * exception outside of any promise the process is in a state that nobody knows: the worker stops cold.
 */
function catchStrays(running: Worker, hooks: { readonly logger: Logger; onFatal(): void }): () => void {
  const { logger } = hooks;
  const onRejection = (err: unknown): void => {
    logger.error({ err }, "a promise was rejected and nobody handled it");
  };
  const onException = (err: unknown): void => {
    hooks.onFatal();
    logger.error({ err }, "an exception was not caught: the worker stops");
    void stopCold(running);
  };
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  return () => {
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
  };
}

async function stopCold(running: Worker): Promise<void> {
  try {
    await running.stop({ how: "cold" });
  } catch {
    process.exit(1);
  }
}
