/** Answers probes over HTTP, from before the first connection until the end. Off without `--health-port`. */
import type { Step } from "../../base/blueprint.ts";
import type { WorkerContext } from "../context.ts";
import type { HealthServer } from "../health.ts";

const servers = new WeakMap<WorkerContext, HealthServer>();

export const healthStep: Step<WorkerContext> = {
  name: "health",
  requires: [],
  enabled: ({ settings }) => settings.health !== null,
  async start(context) {
    const { HealthServer } = await import("../health.ts");
    const server = new HealthServer(context);
    servers.set(context, server);
    if (context.settings.health !== null) await server.listen(context.settings.health);
  },
  async stop(context) {
    await servers.get(context)?.close();
    servers.delete(context);
  },
};
