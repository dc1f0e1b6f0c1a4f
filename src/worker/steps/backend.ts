/** Connects to the result backend. */
import type { Step } from "../../base/blueprint.ts";
import type { WorkerContext } from "../context.ts";

export const backendStep: Step<WorkerContext> = {
  name: "backend",
  requires: [],
  async start(context, signal) {
    const backend = await context.app.openBackend(context.logger);
    context.backend = backend;
    await backend.start(signal);
  },
  async stop(context) {
    await context.backend?.stop();
  },
};
