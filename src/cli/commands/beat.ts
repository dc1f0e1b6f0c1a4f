/** `petiole beat`: sends periodic tasks until it is told to stop. Python: `celery/bin/beat.py`. */
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import type { Logger } from "../../base/logger.ts";
import { version } from "../../base/version.ts";
import { Beat, banner } from "../../beat/index.ts";
import { configure } from "../../worker/child-init.ts";
import type { LogLevel } from "../../worker/index.ts";
import { DETACHED } from "../daemon/marks.ts";
import {
  catchStrays,
  type DaemonWords,
  goOnAs,
  holdPidFile,
  maskOf,
  startInBackground,
} from "../daemon/process.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { openApp } from "../open-app.ts";
import { setUpLogging } from "../set-up-logging.ts";
import { settingsOf } from "../setting-words.ts";

interface BeatWords extends DaemonWords {
  readonly schedule?: string;
  readonly scheduler?: string;
  readonly maxInterval?: number;
  readonly loglevel?: LogLevel;
  readonly json?: boolean;
}

export async function beat(invocation: Invocation): Promise<ExitCode> {
  const words = invocation.options as BeatWords;
  const { io, globals } = invocation;
  if (words.detach && io.env[DETACHED] === undefined) {
    return startInBackground(invocation, { program: "beat", name: "beat", expand: (file) => file });
  }
  // Before anything of the app runs.
  await goOnAs(words);
  const app = await openApp(invocation, { needsModule: true });
  configure(app, { settings: settingsOf(invocation.args), include: undefined });
  const { schedule, scheduler, maxInterval } = words;
  const running = new Beat(app, { schedule, scheduler, maxInterval });
  await running.prepare();
  const { conf } = internalsOf(app);
  await goOnAs({
    uid: words.uid ?? conf.beatUid ?? undefined,
    gid: words.gid ?? conf.beatGid ?? undefined,
    umask: words.umask ?? maskOf(conf.beatUmask),
  });
  const left: string[] = [];
  const held = await holdPidFile(words.pidfile ?? conf.beatPidfile, (what) => left.push(what));
  const { logger, end, reopen } = await setUpLogging(app, {
    level: words.loglevel ?? "WARNING",
    file: words.logfile ?? conf.beatLogfile,
    json: words.json === true,
    color: globals.color,
  });
  for (const what of left) logger.warn({}, what);
  running.logger = logger;
  if (!globals.quiet) io.out(banner(running, version()));
  if (io.env[DETACHED] !== undefined) (await import("../daemon/detach.ts")).tellParent();
  const code = await untilStopped(running, { app, logger, reopen });
  end();
  held?.release();
  return code;
}

/** SIGTERM, SIGINT and SIGQUIT end it; SIGHUP opens its log anew, and without one ends it. */
async function untilStopped(
  running: Beat,
  {
    app,
    logger,
    reopen,
  }: { readonly app: Celery; readonly logger: Logger; readonly reopen: (() => void) | null },
): Promise<ExitCode> {
  let code: ExitCode = 0;
  // Boxed: written in a callback, which the compiler does not follow.
  const gate: { open: (() => void) | null } = { open: null };
  const told = new Promise<void>((resolve) => {
    gate.open = resolve;
  });
  const stop = (): void => gate.open?.();
  const heard = (signal: NodeJS.Signals): void => {
    if (signal === "SIGHUP" && reopen !== null) reopen();
    else stop();
  };
  const signals = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, heard);
  const removeNets = catchStrays(logger, {
    program: "beat",
    onFatal: () => {
      code = 1;
    },
    stop: async () => stop(),
  });
  try {
    await running.start();
    await told;
    return code;
  } finally {
    await running.stop();
    await app.close();
    for (const signal of signals) process.off(signal, heard);
    removeNets();
  }
}
