/** The task that runs now, for whatever is called below it. Python: `celery.current_task`. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { SendParent } from "../canvas/sender.ts";
import type { TaskContext } from "./context-types.ts";

/** One running execution, as a send made below it sees it. */
export interface Execution {
  readonly context: TaskContext;
  /** What a send made now inherits. */
  readonly parent: SendParent;
  /** Result tuples of what was sent: the stored `children`. Written by the producer. */
  readonly children: unknown[];
  /** Sends and state updates that user code did not wait for; settled before the result is stored. */
  readonly pending: Set<Promise<unknown>>;
}

const storage = new AsyncLocalStorage<Execution>();

/** Runs `fn` so that everything below it sees `execution`, which is also its argument: no closure for each task. */
export function runExecution<E extends Execution, T>(execution: E, fn: (execution: E) => T): T {
  return storage.run(execution, fn, execution);
}

/** The execution that is running; undefined outside a task. */
export function currentExecution(): Execution | undefined {
  return storage.getStore();
}

/** The context of the task that is running, anywhere below it; `null` outside a task. */
export function currentTask(): TaskContext | null {
  return storage.getStore()?.context ?? null;
}
