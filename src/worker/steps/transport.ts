/** Connects to the broker and binds the queues. */
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";

export const transportStep: Step<WorkerContext> = {
  name: "transport",
  requires: [],
  async start(context, signal) {
    const transport = await context.app.openTransport("worker", context.logger);
    context.transport = transport;
    await transport.start(signal);
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
