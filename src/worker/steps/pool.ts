/** The pool that runs the functions. */
import type { Step } from "../../base/blueprint.ts";
import { WorkerShutdown } from "../../errors.ts";
import type { WorkerContext } from "../context.ts";
import { openPool } from "../open-pool.ts";

export const poolStep: Step<WorkerContext> = {
  name: "pool",
  requires: [],
  async start(context, signal) {
    const pool = await openPool(context);
    context.pool = pool;
    await pool.start(signal);
  },
  async stop(context) {
    await context.pool?.stop({ graceMs: 0, reason: new WorkerShutdown() });
  },
};
