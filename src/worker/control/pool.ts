/** Commands that change the pool. */
import { made, type WorkerContext } from "../context.ts";
import { prefetchOf } from "../options.ts";
import { countOf, optionalNumber } from "./arguments.ts";
import { CommandError } from "./errors.ts";
import { type CommandGroup, type ControlState, nok, ok } from "./state.ts";

export const POOL_COMMANDS: CommandGroup = {
  async pool_grow(state, args) {
    if (state.context.autoscaler !== null) return nok(notWithAutoscale("pool_grow"));
    await resize(state, countOf(args, "n", 1), "grow");
    return ok("pool will grow");
  },

  async pool_shrink(state, args) {
    if (state.context.autoscaler !== null) return nok(notWithAutoscale("pool_shrink"));
    await resize(state, -countOf(args, "n", 1), "shrink");
    return ok("pool will shrink");
  },

  /** The answer does not wait: children that run end after their job. `modules` and `reload` are Python's. */
  pool_restart({ context }) {
    const { app, logger } = context;
    if (app.conf.workerPoolRestarts !== true) {
      throw new CommandError("ValueError", "Pool restarts not enabled");
    }
    logger.info({}, "the pool is restarted by remote control");
    poolOf(context)
      .restart()
      .catch((err: unknown) => logger.error({ err }, "the pool could not be restarted"));
    return ok("reload started");
  },

  autoscale({ context, tasks }, args) {
    const { autoscaler, logger, settings } = context;
    if (autoscaler === null) throw new CommandError("ValueError", "Autoscale not enabled");
    const now = autoscaler.info();
    const max = optionalNumber(args, "max") ?? now.max;
    const min = optionalNumber(args, "min") ?? Math.min(now.min, max);
    autoscaler.update({ max, min });
    tasks.consumer.setPrefetch(prefetchOf(max, settings));
    logger.info({ max, min }, "autoscale was changed by remote control");
    return ok(`autoscale now max=${max} min=${min}`);
  },
};

function notWithAutoscale(command: string): string {
  return `${command} is not supported with autoscale. Adjust autoscale range instead.`;
}

function poolOf(context: WorkerContext): NonNullable<WorkerContext["pool"]> {
  return made(context.pool, "pool");
}

async function resize({ context, tasks }: ControlState, by: number, how: "grow" | "shrink"): Promise<void> {
  const { settings, logger } = context;
  if (settings.pool === "solo") {
    throw new CommandError("AttributeError", `'TaskPool' object has no attribute '${how}'`);
  }
  const pool = poolOf(context);
  const size = pool.size + by;
  if (size < 1)
    throw new CommandError("ValueError", `the pool has ${pool.size} slots, and keeps one at least`);
  if (size > MAX_SLOTS) throw new CommandError("ValueError", `a pool has ${MAX_SLOTS} slots at most`);
  await pool.resize(size);
  tasks.consumer.setPrefetch(prefetchOf(size, settings));
  logger.info({ size }, "the pool was resized by remote control");
}

/** More are a mistake. */
const MAX_SLOTS = 100_000;
