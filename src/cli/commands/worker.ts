/** `petiole worker`: runs tasks until it is told to stop. Python: `celery/bin/worker.py`. */
import { hostname as osHostname } from "node:os";
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import { appFile } from "../../app/loader.ts";
import type { Logger } from "../../base/logger.ts";
import { version } from "../../base/version.ts";
import type { Beat, BeatOptions } from "../../beat/index.ts";
import { PetioleError } from "../../errors.ts";
import { expandFileName, expandNodeName } from "../../protocol/nodenames.ts";
import { configure } from "../../worker/child-init.ts";
import {
  banner,
  createWorkerLogger,
  type LogLevel,
  Worker,
  type WorkerOptions,
  workerSteps,
} from "../../worker/index.ts";
import { DETACHED, DEVELOPED, WATCHED } from "../daemon/marks.ts";
import { type DaemonWords, goOnAs, holdPidFile, maskOf, startInBackground } from "../daemon/process.ts";
import { compileEarlySoon } from "../early-compile.ts";
import type { ExitCode, Invocation, Io } from "../io.ts";
import { enterWorkdir, openApp } from "../open-app.ts";
import { runUntilStopped } from "../run-worker.ts";
import { isTerminal, setUpLogging } from "../set-up-logging.ts";

/** What the option table reads for this command, besides the worker's own options. */
interface WorkerWords extends Omit<WorkerOptions, "logger" | "appModule" | "health">, DaemonWords {
  readonly include?: readonly string[];
  readonly events?: boolean;
  readonly loglevel?: LogLevel;
  readonly json?: boolean;
  readonly printSteps?: boolean;
  readonly healthPort?: { readonly host: string; readonly port: number };
  readonly watch?: boolean;
  readonly beat?: boolean;
  readonly scheduleFilename?: string;
  readonly scheduler?: string;
}

export async function worker(invocation: Invocation): Promise<ExitCode> {
  const words = invocation.options as WorkerWords;
  const { include, events, loglevel, logfile, json, printSteps, healthPort, pidfile, ...others } = words;
  const { detach, watch, uid, gid, umask, executable: _parents, beat: withBeat, ...more } = others;
  const { scheduleFilename, scheduler, ...options } = more;
  const { io, globals } = invocation;
  if (watch && detach) {
    throw new PetioleError(
      "PET_USAGE",
      "--watch and --detach exclude each other: --watch is for development, in a terminal; leave one of them out",
    );
  }
  if (detach && io.env[DETACHED] === undefined) {
    const name = nodeNameOf(options.hostname);
    return startInBackground(invocation, {
      program: "worker",
      name,
      expand: (file) => expandFileName(file, name),
    });
  }
  if (io.env[WATCHED] !== undefined) (await import("../daemon/watch.ts")).stopWithSupervisor();
  else if (watch && !printSteps && globals.app !== null) return watched(invocation, globals.app);
  // Before anything of the app runs.
  await goOnAs({ uid, gid, umask });
  const app = await openApp(invocation, { needsModule: true });
  if (io.env[DEVELOPED] !== undefined)
    await (await import("../start/dev-defaults.ts")).setDevDefaults(app, io);
  // The module of --config is laid over the app by openApp.
  const { args } = invocation;
  const settings = args.length === 0 ? {} : (await import("../setting-words.ts")).settingsOf(args);
  const given = { settings, include };
  configure(app, given);
  if (printSteps) {
    await printStepsOf(app, { io, json: json === true });
    return 0;
  }
  const appModule = { module: globals.app ?? "", config: globals.config, ...given };
  const running = new Worker(app, {
    ...options,
    ...(events ? { taskEvents: true } : {}),
    health: healthPort,
    appModule,
  });
  await running.prepare();
  const { conf } = app;
  await goOnAs({
    uid: uid ?? conf.workerUid ?? undefined,
    gid: gid ?? conf.workerGid ?? undefined,
    umask: umask ?? maskOf(conf.workerUmask),
  });
  const node = nodeNameOf(options.hostname);
  const path = (template: string | null): string | null =>
    template === null ? null : expandFileName(template, node);
  const left: string[] = [];
  const held = await holdPidFile(path(pidfile ?? conf.workerPidfile), (what) => left.push(what));
  const { logger, end, reopen } = await setUpLogging(app, {
    level: loglevel ?? "WARNING",
    file: path(logfile ?? conf.workerLogfile),
    json: json === true,
    color: globals.color,
  });
  for (const what of left) logger.warn({}, what);
  hintAtPool(options.pool, logger);
  running.logger = logger;
  if (io.env[DETACHED] !== undefined) (await import("../daemon/detach.ts")).tellParent();
  const scheduled =
    withBeat || (io.env[DEVELOPED] !== undefined && internalsOf(app).periodicTasks.length > 0);
  const beat = scheduled ? await startBeat(app, { schedule: scheduleFilename, scheduler, logger }) : null;
  let code: ExitCode;
  try {
    code = await runUntilStopped(running, {
      logger,
      onHangup: reopen,
      onStarted: () => {
        if (!globals.quiet) io.out(banner(running, version()));
        compileEarlySoon();
      },
    });
  } finally {
    await beat?.stop();
  }
  end();
  held?.release();
  return code;
}

/** This process starts the worker, again and again. */
async function watched({ io, globals, options }: Invocation, app: string): Promise<ExitCode> {
  const { json } = options as WorkerWords;
  const file = await appFile(app, enterWorkdir(globals, io.cwd));
  const logger = await createWorkerLogger({
    level: globals.quiet ? "WARNING" : "INFO",
    format: json === true ? "json" : "text",
    color: globals.color && isTerminal(),
  });
  const { supervise } = await import("../daemon/watch.ts");
  const code = await supervise({ words: process.argv.slice(2), cwd: io.cwd, file, logger });
  logger.flush();
  return code;
}

/** A scheduler in this process. It ends as the worker begins to. */
async function startBeat(app: Celery, options: BeatOptions): Promise<Beat> {
  const { Beat: Scheduler } = await import("../../beat/index.ts");
  const beat = new Scheduler(app, { ...options, embedded: true });
  await beat.start();
  app.signals.workerShuttingDown.connect(() => beat.stop());
  return beat;
}

async function printStepsOf(
  app: Celery,
  { io, json }: { readonly io: Io; readonly json: boolean },
): Promise<void> {
  const steps = workerSteps(app);
  if (json) io.out((await import("../json-line.ts")).jsonLine(steps));
  else {
    for (const { name, requires } of steps) {
      io.out(`${name}${requires.length > 0 ? ` (after ${requires.join(", ")})` : ""}\n`);
    }
  }
}

/** Green threads are what Node's event loop is. */
function hintAtPool(pool: string | undefined, logger: Logger): void {
  if (pool !== "gevent" && pool !== "eventlet") return;
  logger.warn({ pool }, "this pool is Python's: tasks run in the async pool, which does the same");
}

function nodeNameOf(template: string | undefined): string {
  return expandNodeName(template, osHostname());
}
