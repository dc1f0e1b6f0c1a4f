/** Listens to the other workers. Python: `celery/worker/consumer/gossip.py`. */
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";

export const gossipStep: Step<WorkerContext> = {
  name: "gossip",
  requires: ["events", "transport"],
  enabled: ({ settings }) => settings.gossip,
  async start(context) {
    const { Gossip } = await import("../gossip.ts");
    const { app, logger, settings } = context;
    const gossip = new Gossip({
      app,
      hostname: settings.hostname,
      pid: process.pid,
      events: made(context.events, "events"),
      transport: made(context.transport, "transport"),
      logger,
    });
    context.gossip = gossip;
    gossip.start();
  },
  async stop(context) {
    await context.gossip?.stop();
  },
};
