/** Makes the pool that the settings ask for. Those with children are loaded only then. */
import { emitSignal } from "../app/signals.ts";
import type { Logger } from "../base/logger.ts";
import { AsyncPool } from "../pool/async.ts";
import type { Pool } from "../pool/pool.ts";
import { createExecute } from "../task/execute.ts";
import type { AppModule, ChildInit } from "./child-init.ts";
import type { WorkerContext } from "./context.ts";

/** The setting's default. */
const START_SECONDS = 60;

/** Not started. */
export async function openPool(context: WorkerContext): Promise<Pool> {
  const { pool } = context.settings;
  if (pool === "async" || pool === "solo") return inProcess(context, pool);
  const { app, logger, settings } = context;
  const options = {
    entry: childEntry(),
    size: settings.autoscale?.min ?? settings.concurrency,
    // `resolveOptions` has seen to it that there is one.
    init: childInit(context, settings.appModule as AppModule),
    clock: app.clock,
    logger,
    onOpen: () => {
      void emitSignal(
        "workerBeforeCreateProcess",
        {},
        { emitters: app.emitters, logger, sender: settings.hostname },
      );
    },
    maxTasksPerChild: settings.maxTasksPerChild,
    maxMemoryPerChildKib: settings.maxMemoryPerChild,
    timeouts: timeoutsOf(context),
    startTimeoutMs: (app.conf.workerProcAliveTimeout ?? START_SECONDS) * 1000,
  };
  if (pool === "threads") {
    const { threadPool } = await import("../pool/threads.ts");
    return threadPool(options);
  }
  const { preforkPool } = await import("../pool/prefork.ts");
  return preforkPool(options);
}

function inProcess(context: WorkerContext, name: "async" | "solo"): Pool {
  const { app, logger, settings } = context;
  const { clock, emitters, middleware, registry } = app;
  const execute = createExecute({ app: app.app, logger, clock, emitters, middleware, registry });
  const timeouts = timeoutsOf(context);
  return new AsyncPool({
    name,
    size: settings.autoscale?.min ?? settings.concurrency,
    execute,
    clock,
    logger,
    timeouts,
  });
}

/** Soft and hard limit, seconds. */
function timeoutsOf({ app, settings }: WorkerContext): readonly [soft: number, hard: number] {
  const { taskSoftTimeLimit, taskTimeLimit } = app.conf;
  return [settings.softTimeLimit ?? taskSoftTimeLimit ?? 0, settings.timeLimit ?? taskTimeLimit ?? 0];
}

/** Node 20 cannot run TypeScript: tests that run from the sources start the build's. */
function childEntry(): URL {
  const here = import.meta.url;
  return new URL(here.endsWith(".ts") ? "../../dist/worker/child-main.js" : "./child-main.js", here);
}

function childInit({ logger, settings }: WorkerContext, app: AppModule): ChildInit {
  const reportMemory = settings.pool === "prefork" && settings.maxMemoryPerChild !== null;
  return { app, hostname: settings.hostname, least: leastOf(logger), reportMemory };
}

/** The lowest level that the log shows: lines below it need not cross. */
function leastOf(logger: Logger): ChildInit["least"] {
  const leveled = logger as { isLevelEnabled?(level: string): boolean };
  if (leveled.isLevelEnabled === undefined) return "debug";
  for (const level of ["debug", "info", "warn"] as const) {
    if (leveled.isLevelEnabled(level)) return level;
  }
  return "error";
}
