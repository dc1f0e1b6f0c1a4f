/** Steps of users, as the worker's own see them. */
import type { WorkerStep } from "../../app/steps.ts";
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";
import { UserSteps } from "../user-steps.ts";

/** Of `app.steps.worker`. */
export function workerStep(step: WorkerStep): Step<WorkerContext> {
  return {
    name: step.name,
    requires: step.requires ?? [],
    enabled: (context) => stepsIn(context).isWanted(step),
    start: (context) => stepsIn(context).start(step),
    stop: async (context) => context.userSteps?.stop(step),
  };
}

/** Of `app.steps.consumer`. */
export function connectionStep(step: WorkerStep): Step<WorkerContext> {
  return {
    name: step.name,
    requires: ["consumer", ...(step.requires ?? [])],
    enabled: (context) => stepsIn(context).isWanted(step),
    async start(context) {
      const steps = stepsIn(context);
      await steps.start(step);
      steps.connect(step);
      made(context.tasks, "tasks").consumer.onConnection = (isUp) => steps.onConnection(isUp);
    },
    stop: async (context) => context.userSteps?.disconnect(step),
  };
}

function stepsIn(context: WorkerContext): UserSteps {
  const { app, logger, settings, cold } = context;
  context.userSteps ??= new UserSteps(
    {
      app: app.app,
      logger,
      hostname: settings.hostname,
      pool: settings.pool,
      concurrency: settings.concurrency,
      stateDb: settings.stateDb,
      signal: context.stopping,
      stop: () => context.requestStop(),
    },
    { cold: cold.signal, clock: app.clock },
  );
  return context.userSteps;
}
