/** Ends chords that a worker had to end and did not, because it died. */
import type { Step } from "../../base/blueprint.ts";
import type { Timer } from "../../base/clock.ts";
import { made, type WorkerContext } from "../context.ts";

const EVERY_MS = 10_000;

/** Running timers: a step is shared by all workers of a process. */
const timers = new WeakMap<WorkerContext, Timer>();

export const chordsStep: Step<WorkerContext> = {
  name: "chords",
  requires: ["tasks"],
  enabled: ({ app }) => app.conf.resultBackend !== null,
  async start(context) {
    arm(context, 0);
  },
  async stop(context) {
    timers.get(context)?.cancel();
    timers.delete(context);
  },
};

function arm(context: WorkerContext, inMs: number): void {
  const sweep = (): void => {
    void made(context.tasks, "tasks")
      .chords.sweep()
      .catch((err: unknown) => context.logger.warn({ err }, "overdue chords could not be looked for"))
      .finally(() => {
        if (timers.has(context)) arm(context, EVERY_MS);
      });
  };
  timers.set(context, context.app.clock.setTimer(inMs, sweep, { unref: true }));
}
