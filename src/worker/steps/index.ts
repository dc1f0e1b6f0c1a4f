/**
 * The steps of a worker, in the order they are declared; `requires` decides the order they start in. A step that users add to the
 * worker stands before `consumer`, so that it is up before the first message is taken; one of the consumer's stands after it.
 */
import type { Celery } from "../../app/app.ts";
import { type AppInternals, internalsOf } from "../../app/internals.ts";
import { orderSteps, type Step } from "../../base/blueprint.ts";
import type { WorkerContext } from "../context.ts";
import { autoscalerStep } from "./autoscaler.ts";
import { backendStep } from "./backend.ts";
import { broadcastsStep } from "./broadcasts.ts";
import { chordsStep } from "./chords.ts";
import { consumerStep } from "./consumer.ts";
import { controlStep } from "./control.ts";
import { eventsStep } from "./events.ts";
import { gossipStep } from "./gossip.ts";
import { healthStep } from "./health.ts";
import { heartbeatStep } from "./heartbeat.ts";
import { mingleStep } from "./mingle.ts";
import { poolStep } from "./pool.ts";
import { statedbStep } from "./statedb.ts";
import { tasksStep } from "./tasks.ts";
import { transportStep } from "./transport.ts";
import { connectionStep, workerStep } from "./user.ts";

const BEFORE: readonly Step<WorkerContext>[] = [
  healthStep,
  transportStep,
  backendStep,
  statedbStep,
  eventsStep,
  poolStep,
  heartbeatStep,
  gossipStep,
  tasksStep,
  chordsStep,
  controlStep,
  mingleStep,
];
const FROM_CONSUMER: readonly Step<WorkerContext>[] = [consumerStep, broadcastsStep, autoscalerStep];

/** All that a worker of this app is made of. */
export function stepsOf({ steps }: AppInternals): readonly Step<WorkerContext>[] {
  const own = [...steps.worker].map(workerStep);
  return [...BEFORE, ...own, ...FROM_CONSUMER, ...[...steps.consumer].map(connectionStep)];
}

/** For `--print-steps`: names in the order of their start, with what each requires. */
export function workerSteps(
  app: Celery,
): readonly { readonly name: string; readonly requires: readonly string[] }[] {
  return orderSteps(stepsOf(internalsOf(app))).map(({ name, requires }) => ({ name, requires }));
}
