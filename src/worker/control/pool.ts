/** Commands that change the pool. */
import { made, type WorkerContext } from "../context.ts";
import { prefetchOf } from "../options.ts";
import { countOf } from "./arguments.ts";
import { CommandError } from "./errors.ts";
import { type CommandGroup, type ControlState, ok } from "./state.ts";

export const POOL_COMMANDS: CommandGroup = {
  async pool_grow(state, args) {
    await resize(state, countOf(args, "n", 1), "grow");
    return ok("pool will grow");
  },

  async pool_shrink(state, args) {
    await resize(state, -countOf(args, "n", 1), "shrink");
    return ok("pool will shrink");
  },

  pool_restart({ context }) {
    if (context.app.conf.workerPoolRestarts !== true) {
      throw new CommandError("ValueError", "Pool restarts not enabled");
    }
    throw new CommandError("NotImplementedError", `the pool ${poolOf(context).name} cannot be restarted`);
  },

  autoscale() {
    throw new CommandError("ValueError", "Autoscale not enabled");
  },
};

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
  tasks.consumer.setPrefetch(prefetchOf(size, settings.prefetchMultiplier));
  logger.info({ size }, "the pool was resized by remote control");
}

/** More are a mistake. */
const MAX_SLOTS = 100_000;
