/** A worker as the process's only purpose: signals stop it, errors that nobody caught are told. */
import type { Logger } from "../base/logger.ts";
import { handleSignals, type Worker } from "../worker/index.ts";
import { catchStrays } from "./daemon/process.ts";
import type { ExitCode } from "./io.ts";

export interface RunHooks {
  readonly logger: Logger;
  /** SIGHUP, where there is a log file to open anew. */
  readonly onHangup: (() => void) | null;
  onStarted(): void;
}

/** The process's signals stop it. Ends with 1, as Celery, where a second Ctrl-C made it give up tasks. */
export async function runUntilStopped(running: Worker, hooks: RunHooks): Promise<ExitCode> {
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
    ...(hooks.onHangup === null ? {} : { onHangup: hooks.onHangup }),
    force: () => process.exit(1),
  });
  // A rejected promise of one task must not end the others; after an exception outside of any promise the process is in a state
  // that nobody knows.
  const removeNets = catchStrays(logger, {
    program: "worker",
    onFatal: () => {
      end.code = 1;
    },
    stop: () => running.stop({ how: "cold" }),
  });
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
