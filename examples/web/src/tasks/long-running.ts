/** A task that tells how far it is, and stops when it is revoked. */
import { setTimeout as sleep } from "node:timers/promises";
import { sharedTask } from "petiole";

export const longRunningTask = sharedTask(
  "web.long_running_task",
  // Acknowledged when done: a worker that dies loses nothing, another one starts the task anew.
  { bind: true, acksLate: true },
  async (task, duration: number = 10) => {
    for (let second = 0; second < duration; second += 1) {
      await task.updateState("PROGRESS", { current: second, total: duration });
      // The signal is aborted when the task is revoked with terminate, or the worker has to stop: the sleep throws.
      await sleep(1000, undefined, { signal: task.signal });
      if (task.isRevoked()) {
        // Revoked with terminate its signal is on its way; without, it may end as it likes.
        await sleep(500, undefined, { signal: task.signal });
        return `Stopped after ${second + 1} of ${duration} seconds`;
      }
    }
    return `Completed after ${duration} seconds`;
  },
);
