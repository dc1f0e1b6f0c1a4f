/** What the worker tells of itself and of its tasks. Off, events of tasks cost nothing; remote control can turn them on. */
import { emitSignal } from "../../app/signals.ts";
import type { Step } from "../../base/blueprint.ts";
import { made, type WorkerContext } from "../context.ts";
import { WorkerEvents } from "../worker-events.ts";

export const eventsStep: Step<WorkerContext> = {
  name: "events",
  requires: ["transport"],
  async start(context) {
    const { app, logger, settings } = context;
    const { conf, clock, lamport, emitters } = app;
    const { hostname } = settings;
    const transport = made(context.transport, "transport");
    const serializer = conf.eventSerializer ?? "json";
    if (serializer !== "json") await app.loadCodec(serializer);
    context.events = new WorkerEvents({
      hostname,
      exchange: conf.eventExchange ?? "celeryev",
      serializer,
      publish: (messages) => transport.publish(messages, null),
      // A monitor looks a result up as soon as it hears of it.
      beforeTasks: () => context.tasks?.consumer.flush(),
      clock,
      lamport,
      logger,
      taskEvents: settings.taskEvents,
      freq: settings.heartbeatSeconds ?? FREQ_WITHOUT,
      status: () => statusOf(context),
      onHeartbeat: () => {
        void emitSignal("heartbeatSent", {}, { emitters, logger, sender: hostname });
      },
    });
  },
  async stop(context) {
    context.events?.close();
  },
};

/** What a heartbeat on request says of a worker that sends no regular ones: Celery's. Seconds. */
const FREQ_WITHOUT = 5;

function statusOf({ tasks }: WorkerContext): { readonly active: number; readonly processed: number } {
  if (tasks === null) return { active: 0, processed: 0 };
  const counts = Object.values(tasks.strategies.totals());
  return { active: tasks.consumer.active.size, processed: counts.reduce((sum, one) => sum + one, 0) };
}
