/** Tasks that every app has. Python: `celery/app/builtins.py`. Those of canvas come with canvas. */

import { CHORD_ERROR } from "../canvas/freeze.ts";
import { NotRegistered } from "../errors.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { TaskContext } from "../task/context-types.ts";
import type { AnyTaskOptions } from "../task/options.ts";
import type { AnyTask } from "../task/task-types.ts";
import { internalsOf } from "./internals.ts";

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

/** `celery.chunks(task, it, n)`: sends the parts; its result is the group. */
function chunks(context: TaskContext, ...given: readonly unknown[]): Promise<unknown> {
  const [task, it, n] = given;
  return context.app.signatureFrom(canvas("celery.chunks", { task, it, n })).delay();
}

/** `celery.group(tasks, result, group_id, partial_args)`: of old clients, which took a group apart in a worker. */
async function groupTask(context: TaskContext, ...given: readonly unknown[]): Promise<unknown> {
  const [tasks, result, groupId, partial] = given as readonly [
    readonly SignatureData[],
    unknown,
    string,
    unknown[],
  ];
  for (const task of tasks) await context.app.signatureFrom(task).applyAsync(partial ?? [], { groupId });
  return result;
}

/** `celery.chord(header, body, partial_args=())`: of old clients. */
function chordTask(context: TaskContext, ...given: readonly unknown[]): Promise<unknown> {
  const [header, body, partial] = given as readonly [unknown, unknown, unknown[] | undefined];
  const whole = canvas("celery.chord", { kwargs: {}, header, body });
  return context.app.signatureFrom(whole).applyAsync(partial ?? []);
}

/** `celery.chord_unlock(group_id, callback, interval, max_retries, result)`: of backends that do not count. Loaded when one comes. */
async function chordUnlock(context: TaskContext, ...given: readonly unknown[]): Promise<unknown> {
  const unlock = await import("./chord-unlock.ts");
  return unlock.chordUnlock(context, ...given);
}

/** `celery.backend_cleanup()`: of backends whose results do not go by themselves. */
async function backendCleanup(context: TaskContext): Promise<null> {
  const deleted = await internalsOf(context.app).cleanup();
  if (deleted > 0) context.log.info({ deleted }, "expired results were deleted");
  return null;
}

/** `celery.chord_error`, which no client knows: see {@link CHORD_ERROR}. */
function chordError(reason: string): never {
  throw Object.assign(new Error(reason), { type: "ChordError", module: "celery.exceptions", args: [reason] });
}

function chainTask(): never {
  throw Object.assign(new Error("chain is not a real task"), {
    type: "NotImplementedError",
    module: "builtins",
    args: ["chain is not a real task"],
  });
}

function canvas(task: string, kwargs: Readonly<Record<string, unknown>>): SignatureData {
  return { task, args: [], kwargs, options: {}, subtask_type: null, immutable: false };
}

export const BUILTIN_TASKS: readonly BuiltinTask[] = [
  { name: "celery.chunks", options: { bind: true, params: ["task", "it", "n"] }, fn: chunks },
  {
    name: "celery.group",
    options: { bind: true, params: ["tasks", "result", "group_id", "partial_args", "add_to_parent="] },
    fn: groupTask,
  },
  {
    name: "celery.chord",
    options: { bind: true, params: ["header", "body", "partial_args=", "**kwargs"] },
    fn: chordTask,
  },
  {
    name: "celery.chord_unlock",
    options: {
      bind: true,
      maxRetries: null,
      ignoreResult: true,
      params: ["group_id", "callback", "interval=", "max_retries=", "result=", "**kwargs"],
    },
    fn: chordUnlock,
  },
  { name: CHORD_ERROR, options: { params: ["reason"] }, fn: chordError },
  { name: "celery.chain", options: { params: ["*args", "**kwargs"] }, fn: chainTask },
  { name: "celery.map", options: { bind: true, params: ["task", "it"] }, fn: map },
  { name: "celery.starmap", options: { bind: true, params: ["task", "it"] }, fn: starmap },
  {
    name: "celery.accumulate",
    options: { params: ["*args", "index="] },
    fn: accumulate,
  },
  {
    // Python's beat sends it whatever the backend is.
    name: "celery.backend_cleanup",
    options: { bind: true, ignoreResult: true, params: [] },
    fn: backendCleanup,
  },
];
