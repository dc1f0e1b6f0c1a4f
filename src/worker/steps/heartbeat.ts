/** Tells that the worker is there, every two seconds that it is alive, and that it leaves. Python: `celery/worker/heartbeat.py`. */
import type { Step } from "../../base/blueprint.ts";
import type { Timer } from "../../base/clock.ts";
import { made, type WorkerContext } from "../context.ts";

/** Running timers: a step is shared by all workers of a process. */
const timers = new WeakMap<WorkerContext, Timer>();

export const heartbeatStep: Step<WorkerContext> = {
  name: "heartbeat",
  requires: ["events"],
  enabled: ({ settings }) => settings.heartbeatSeconds !== null,
  async start(context) {
    made(context.events, "events").announce("worker-online");
    arm(context);
  },
  async stop(context) {
    const timer = timers.get(context);
    if (timer === undefined) return;
    timer.cancel();
    timers.delete(context);
    context.events?.announce("worker-offline");
  },
};

function arm(context: WorkerContext): void {
  const { app, settings } = context;
  const intervalMs = (settings.heartbeatSeconds ?? 0) * 1000;
  const beat = (): void => {
    arm(context);
    context.events?.heartbeat();
  };
  timers.set(context, app.clock.setTimer(intervalMs, beat, { unref: true }));
}
