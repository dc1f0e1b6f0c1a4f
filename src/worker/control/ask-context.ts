/** How a worker asks the others. */
import type { AskContext } from "../../app/control-ask.ts";
import { pidboxNames } from "../../protocol/pidbox.ts";
import { made, type WorkerContext } from "../context.ts";

export function askContext(context: WorkerContext): AskContext {
  const { app, logger, settings } = context;
  return {
    transport: made(context.transport, "transport"),
    names: pidboxNames(app.conf.controlExchange ?? "celery"),
    clock: app.clock,
    lamport: app.lamport,
    logger,
    accept: settings.accept,
    serializer: app.conf.taskSerializer ?? "json",
    limits: app.limits,
  };
}
