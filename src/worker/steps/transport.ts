/** Connects to the broker and binds the queues. */
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";
import { connect } from "./connect.ts";

export const transportStep: Step<WorkerContext> = {
  name: "transport",
  requires: [],
  async start(context, signal) {
    const { app, logger } = context;
    const transport = await connect(context, signal, {
      name: "broker",
      open: () => app.openTransport("worker", logger),
    });
    context.transport = transport;
    await transport.declare(context.settings.queues);
    if (context.settings.purge) await purge(context);
  },
  async stop(context) {
    await context.transport?.stop();
  },
};

async function purge(context: WorkerContext): Promise<void> {
  for (const { name } of context.settings.queues) {
    const deleted = await made(context.transport, "transport").purge(name);
    context.logger.warn({ queue: name, deleted }, "the messages of a queue were deleted");
  }
}
