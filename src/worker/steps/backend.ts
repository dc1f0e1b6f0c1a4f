/** Connects to the result backend. */
import type { Step } from "../../base/blueprint.ts";
import type { WorkerContext } from "../context.ts";
import { connect } from "./connect.ts";

export const backendStep: Step<WorkerContext> = {
  name: "backend",
  requires: [],
  async start(context, signal) {
    const { app, logger } = context;
    context.backend = await connect(context, signal, {
      name: "result backend",
      open: () => app.openBackend(logger),
    });
  },
  async stop(context) {
    await context.backend?.stop();
  },
};
