/** Takes messages. Stops first: nothing new, then what runs ends, then what never started goes back. */
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";

export const consumerStep: Step<WorkerContext> = {
  name: "consumer",
  requires: ["tasks"],
  async start(context) {
    const { consumer, receiver, tracer } = made(context.tasks, "tasks");
    consumer.start({ receiver, tracer });
  },
  async stop(context) {
    const consumer = context.tasks?.consumer;
    if (consumer === undefined) return;
    try {
      await consumer.pause();
      await consumer.drain(context.cold.signal);
      await consumer.abandon();
    } finally {
      await consumer.close();
    }
  },
};
