/** Prepares what every message goes through: strategies, receiver, tracer, settler. */
import type { Step } from "../../base/blueprint.ts";
import { Chords } from "../chords.ts";
import { TaskConsumer } from "../consumer.ts";
import { made, type TaskParts, type WorkerContext } from "../context.ts";
import { Endings } from "../endings.ts";
import { Errbacks } from "../errbacks.ts";
import { Failures } from "../failures.ts";
import { limitsOf } from "../limits.ts";
import { MetaMaker } from "../outcome.ts";
import { Receiver } from "../receiver.ts";
import { Settler } from "../settler.ts";
import { StateStore } from "../states.ts";
import { Strategies } from "../strategy.ts";
import { TaskLog } from "../task-log.ts";
import { Tracer } from "../tracer.ts";
import { UniqueTasks } from "../unique.ts";

export const tasksStep: Step<WorkerContext> = {
  name: "tasks",
  requires: ["transport", "backend", "pool", "events"],
  async start(context) {
    context.tasks = taskParts(context);
  },
  async stop() {},
};

function taskParts(context: WorkerContext): TaskParts {
  const { app, logger, settings } = context;
  const { clock } = app;
  const { hostname } = settings;
  const transport = made(context.transport, "transport");
  const backend = made(context.backend, "backend");
  const pool = made(context.pool, "pool");
  const { loopWatch } = context;
  const events = made(context.events, "events");
  const log = new TaskLog(logger);
  const settler = new Settler({ transport, backend, clock, logger, hurry: context.hurry.signal });
  const unique = new UniqueTasks({ transport, settler, logger });
  const metas = new MetaMaker({ hostname, extended: settings.resultExtended, clock });
  const errbacks = new Errbacks({ app, settler, logger });
  const { revoked } = context;
  const chords = new Chords({
    app,
    backend,
    settler,
    metas,
    errbacks,
    revoked,
    hurry: context.hurry.signal,
    logger,
  });
  const strategies = new Strategies(app, settings);
  const isDone = async (id: string): Promise<boolean> => (await backend.get([id]))[0]?.status === "SUCCESS";
  const consumer = new TaskConsumer({
    transport,
    pool,
    onWork: loopWatch === null ? null : () => loopWatch.start(),
    clock,
    logger,
    settler,
    unique,
    prefetch: settings.prefetch,
    disablePrefetch: settings.disablePrefetch,
    queues: settings.queues.map((queue) => queue.name),
    revoked,
    cancelsOnLoss: app.conf.workerCancelLongRunningTasksOnConnectionLoss === true,
    rateOf: (task) => strategies.of(task)?.rate ?? 0,
    hasLimits: () => [...app.registry.values()].some(({ options }) => limitsOf(options) !== null),
    isDone: settings.deduplicate && backend.enabled ? isDone : null,
    giveUp: () => context.hurry.abort(),
    onSettled: () => events.dispatcher.flush(),
  });
  const states = new StateStore({ settler, metas, logger });
  const endings = new Endings({
    app,
    settler,
    unique,
    metas,
    states,
    failures: new Failures({ settler, metas, chords, errbacks, log, events }),
    chords,
    logger,
    log,
    events,
    onEnd: (request) => consumer.onEnd(request),
  });
  const tracer = new Tracer({
    hostname,
    pool,
    settler,
    states,
    endings,
    revoked,
    clock,
    logger,
    events,
    onSlot: () => consumer.onSlot(),
  });
  const receiver = new Receiver({
    app,
    accept: settings.accept,
    strategies,
    tracer,
    endings,
    settler,
    unique,
    metas,
    logger,
    log,
    events,
    parks: transport.capabilities.parks,
    hold: (request, etaMs) => consumer.hold(request, etaMs),
    again: (delivery) => consumer.takeUp(delivery),
  });
  return { strategies, settler, metas, chords, tracer, endings, receiver, consumer };
}
