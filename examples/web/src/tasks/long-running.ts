/** A task that tells how far it is, and stops when it is terminated. */
import { setTimeout as sleep } from "node:timers/promises";
import { sharedTask } from "petiole";

export const longRunningTask = sharedTask(
  "web.long_running_task",
  // Acknowledged when done: a worker that dies loses nothing, another one starts the task anew.
  { bind: true, acksLate: true },
  async (task, duration: number = 10) => {
    for (let second = 0; second < duration; second += 1) {
      await task.updateState("PROGRESS", { current: second, total: duration });
      // Aborted when the task is revoked with terminate, as this service does, or when the worker has to stop: the sleep throws.
      // A plain revoke lets a task that runs end, as in Celery.
      await sleep(1000, undefined, { signal: task.signal });
    }
    return `Completed after ${duration} seconds`;
  },
);
