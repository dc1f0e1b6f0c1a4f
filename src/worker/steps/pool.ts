/** The pool that runs the functions. */
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
    const { name } = pool;
    if (name === "async" || name === "solo") context.loopWatch = watchTasks(pool, context.logger);
  },
  async stop(context) {
    await context.loopWatch?.stop();
    await context.pool?.stop({ graceMs: 0, reason: new WorkerShutdown() });
  },
};
