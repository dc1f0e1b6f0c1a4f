/** Grows and shrinks the pool with the work. Off without `--autoscale`. */
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";

export const autoscalerStep: Step<WorkerContext> = {
  name: "autoscaler",
  requires: ["consumer"],
  enabled: (context) => context.settings.autoscale !== null,
  async start(context) {
    const { app, logger, settings } = context;
    if (settings.autoscale === null) return;
    const { Autoscaler } = await import("../autoscaler.ts");
    const { consumer } = made(context.tasks, "tasks");
    const autoscaler = new Autoscaler({
      range: settings.autoscale,
      pool: made(context.pool, "pool"),
      clock: app.clock,
      logger,
      work: () => consumer.active.size + consumer.reserved,
    });
    context.autoscaler = autoscaler;
    consumer.onReserved = () => autoscaler.look();
    autoscaler.start();
    autoscaler.look();
  },
  async stop(context) {
    context.autoscaler?.stop();
  },
};
