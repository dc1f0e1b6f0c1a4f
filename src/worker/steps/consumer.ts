/** Takes messages. Stops first: nothing new, then what runs ends, then what never started goes back. */
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";

/** Resolves when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

export const consumerStep: Step<WorkerContext> = {
  name: "consumer",
  requires: ["tasks", "statedb", "control", "mingle"],
  async start(context) {
    const { consumer, receiver, tracer, endings } = made(context.tasks, "tasks");
    consumer.start({ receiver, tracer, endings });
  },
  async stop(context) {
    const consumer = context.tasks?.consumer;
    if (consumer === undefined) return;
    try {
      await Promise.race([consumer.pause(), aborted(context.cold.signal)]);
      if (context.lingers && consumer.active.size === 0) await aborted(context.cold.signal);
      await consumer.drain(context.cold.signal);
      await consumer.abandon();
    } finally {
      await consumer.close();
    }
  },
};
