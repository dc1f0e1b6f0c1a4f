/** Tells in the log which task holds up the event loop of an in-process pool. */
import type { Logger } from "../base/logger.ts";
import { LoopWatch } from "../pool/loop-watch.ts";
import type { Pool } from "../pool/pool.ts";
import { currentTask } from "../task/current.ts";

export function watchTasks(pool: Pool, logger: Logger): LoopWatch {
  /** The last one that was named. */
  let last: { readonly task: string | null; readonly id: string | null } = { task: null, id: null };
  return new LoopWatch({
    idle: () => pool.busy === 0,
    onBlocked({ ms, stack }) {
      const task = currentTask();
      last = { task: task?.name ?? null, id: task?.request.id ?? null };
      logger.error(
        { ...last, seconds: ms / 1000, stack },
        "a task holds up the event loop: nothing else runs in this worker, and it cannot be stopped here (the pools prefork and threads can)",
      );
      // An endless loop would keep the line in its buffer.
      (logger as { flush?(): void }).flush?.();
    },
    onOver(ms) {
      logger.warn({ ...last, seconds: Math.round(ms) / 1000 }, "the event loop was held up, and goes on");
      last = { task: null, id: null };
    },
  });
}
