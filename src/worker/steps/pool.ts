/** The pool that runs the functions. */
import type { Step } from "../../base/blueprint.ts";
import { WorkerShutdown } from "../../errors.ts";
import { AsyncPool } from "../../pool/async.ts";
import { createExecute } from "../../task/execute.ts";
import type { WorkerContext } from "../context.ts";

export const poolStep: Step<WorkerContext> = {
  name: "pool",
  requires: [],
  async start(context) {
    const { app, logger, settings } = context;
    const { clock, emitters, middleware, registry } = app;
    const execute = createExecute({ app: app.app, logger, clock, emitters, middleware, registry });
    const pool = new AsyncPool({ size: settings.concurrency, execute, clock, logger });
    context.pool = pool;
    await pool.start();
  },
  async stop(context) {
    await context.pool?.stop({ graceMs: 0, reason: new WorkerShutdown() });
  },
};
