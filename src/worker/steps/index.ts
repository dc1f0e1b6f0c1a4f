/** The steps of a worker, in the order they are declared; `requires` decides the order they start in. */
import { orderSteps, type Step } from "../../base/blueprint.ts";
import type { WorkerContext } from "../context.ts";
import { autoscalerStep } from "./autoscaler.ts";
import { backendStep } from "./backend.ts";
import { consumerStep } from "./consumer.ts";
import { controlStep } from "./control.ts";
import { eventsStep } from "./events.ts";
import { gossipStep } from "./gossip.ts";
import { heartbeatStep } from "./heartbeat.ts";
import { mingleStep } from "./mingle.ts";
import { poolStep } from "./pool.ts";
import { tasksStep } from "./tasks.ts";
import { transportStep } from "./transport.ts";

export const WORKER_STEPS: readonly Step<WorkerContext>[] = [
  transportStep,
  backendStep,
  eventsStep,
  poolStep,
  heartbeatStep,
  gossipStep,
  tasksStep,
  controlStep,
  mingleStep,
  consumerStep,
  autoscalerStep,
];

/** For `--print-steps`: names in the order of their start, with what each requires. */
export function workerSteps(): readonly { readonly name: string; readonly requires: readonly string[] }[] {
  return orderSteps(WORKER_STEPS).map(({ name, requires }) => ({ name, requires }));
}
