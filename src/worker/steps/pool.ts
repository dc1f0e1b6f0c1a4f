/** The pool that runs the functions. */
import type { SignalEvents } from "../../app/signal-types.ts";
import { emitSignal } from "../../app/signals.ts";
import type { Step } from "../../base/blueprint.ts";
import { WorkerShutdown } from "../../errors.ts";
import type { WorkerContext } from "../context.ts";
import { watchTasks } from "../loop-watch.ts";
import { openPool } from "../open-pool.ts";

export const poolStep: Step<WorkerContext> = {
  name: "pool",
  requires: [],
  async start(context, signal) {
    const pool = await openPool(context);
    context.pool = pool;
    await pool.start(signal);
    if (!inWorker(context)) return;
    context.loopWatch = watchTasks(pool, context.logger);
    await tell(context, "workerProcessInit", {});
  },
  async stop(context) {
    await context.loopWatch?.stop();
    if (context.pool === null) return;
    await context.pool.stop({ graceMs: 0, reason: new WorkerShutdown() });
    if (inWorker(context)) await tell(context, "workerProcessShutdown", { pid: process.pid, exitcode: 0 });
  },
};

/** Tasks run in this process. */
function inWorker({ settings }: WorkerContext): boolean {
  return settings.pool === "async" || settings.pool === "solo";
}

function tell<N extends "workerProcessInit" | "workerProcessShutdown">(
  { app, logger, settings }: WorkerContext,
  name: N,
  event: SignalEvents[N],
): Promise<void> {
  return emitSignal(name, event, { emitters: app.emitters, logger, sender: settings.hostname });
}
