/** Answers remote control, from before the first message is taken until running tasks have ended. */
import type { Step } from "../../base/blueprint.ts";
import type { WorkerContext } from "../context.ts";
import { ControlNode } from "../control/node.ts";

const nodes = new WeakMap<WorkerContext, ControlNode>();

export const controlStep: Step<WorkerContext> = {
  name: "control",
  requires: ["tasks", "statedb"],
  enabled: ({ settings }) => settings.remoteControl,
  async start(context) {
    const { app } = context;
    const serializer = app.conf.taskSerializer ?? "json";
    if (serializer !== "json") await app.loadCodec(serializer);
    const node = new ControlNode(context);
    nodes.set(context, node);
    await node.start();
  },
  async stop(context) {
    const node = nodes.get(context);
    nodes.delete(context);
    await node?.stop();
  },
};
