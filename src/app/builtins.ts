/** Tasks that every app has. Python: `celery/app/builtins.py`. Those of canvas come with canvas. */
import { NotRegistered } from "../errors.ts";
import type { TaskContext } from "../task/context-types.ts";
import type { AnyTaskOptions } from "../task/options.ts";
import type { AnyTask } from "../task/task-types.ts";

/** A built-in task. */
export interface BuiltinTask {
  readonly name: string;
  readonly options: AnyTaskOptions;
  readonly fn: (...args: readonly never[]) => unknown;
}

/** `celery.accumulate(*args, index=None)`: one of its arguments, or all. Ends a task that was replaced by a group. */
function accumulate(args: readonly unknown[], { index }: { readonly index?: number | null }): unknown {
  return index === undefined || index === null ? args : (args.at(index) ?? null);
}

/** A signature as `celery.map` gets it: of its task only the name counts, as in Celery. */
type Mapped = { readonly task: string };

function runnable(context: TaskContext, { task }: Mapped): AnyTask {
  const found = context.app.tasks.get(task);
  if (found === undefined) throw new NotRegistered(task);
  return found;
}

/** `celery.map(task, it)`: one after the other, in this process. */
async function map(context: TaskContext, task: Mapped, it: readonly unknown[]): Promise<unknown[]> {
  const called = runnable(context, task);
  const results: unknown[] = [];
  for (const item of it) results.push(await called.run(item));
  return results;
}

/** `celery.starmap(task, it)`: as {@link map}, with the arguments of each call in a list. */
async function starmap(
  context: TaskContext,
  task: Mapped,
  it: readonly (readonly unknown[])[],
): Promise<unknown[]> {
  const called = runnable(context, task);
  const results: unknown[] = [];
  for (const args of it) results.push(await called.run(...args));
  return results;
}

export const BUILTIN_TASKS: readonly BuiltinTask[] = [
  { name: "celery.map", options: { bind: true, params: ["task", "it"] }, fn: map },
  { name: "celery.starmap", options: { bind: true, params: ["task", "it"] }, fn: starmap },
  {
    name: "celery.accumulate",
    options: { params: ["*args", "index="] },
    fn: accumulate,
  },
  {
    // Our backends expire results themselves; Python's beat sends it all the same.
    name: "celery.backend_cleanup",
    options: { ignoreResult: true },
    fn: () => null,
  },
];
