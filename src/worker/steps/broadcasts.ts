/** Listens to broadcast queues, from when tasks run until the worker stops. Python: `kombu.common.Broadcast`. */
import type { Step } from "../../base/blueprint.ts";
import type { WorkerContext } from "../context.ts";

export const broadcastsStep: Step<WorkerContext> = {
  name: "broadcasts",
  requires: ["tasks", "consumer"],
  enabled: ({ settings }) => settings.broadcasts.length > 0,
  async start(context) {
    const { Broadcasts } = await import("../broadcasts.ts");
    context.broadcasts = new Broadcasts(context);
    await context.broadcasts.start();
  },
  async stop(context) {
    await context.broadcasts?.stop();
  },
};
