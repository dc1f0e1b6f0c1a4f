/** Tasks that every app has. Python: `celery/app/builtins.py`. Those of canvas come with canvas. */
import type { AnyTaskOptions } from "../task/options.ts";

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

export const BUILTIN_TASKS: readonly BuiltinTask[] = [
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
