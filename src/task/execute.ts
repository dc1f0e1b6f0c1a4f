/**
 * Runs one task to its outcome. Python: `celery/app/trace.py`, the part that a pool's process does.
 *
 * Two ways with one meaning: the short one for a task without hooks, schemas, middleware and connected signals, which
 * makes no promise for a synchronous function; and the long one, which reads as the list of what happens.
 *
 * What counts as what: {@link classify}. An outcome never rejects.
 */
import { Ignore, Reject, Replaced, Retry, SoftTimeLimitExceeded } from "../errors.ts";
import { exceptionInfo } from "../protocol/exceptions.ts";
import type { Execute, Job, JobPort, LazyAbort, Outcome } from "../protocol/job.ts";
import { tupleOrValue } from "../protocol/result-tuple.ts";
import type { ExceptionInfo } from "../protocol/wire.ts";
import { type Ended, type ExecuteEnv, requestData, TaskExecution } from "./context.ts";
import { runExecution } from "./current.ts";
import type { TaskDefinition } from "./definition.ts";
import { bindInput, checkOutput } from "./input.ts";
import { bindArguments } from "./parameters.ts";
import { reportEnd, reportStart } from "./report.ts";
import { backoffSeconds, isAutoretried, type RetryRequest, retryError, retryReason } from "./retry.ts";

/** What a pool is given: finds the task by its name and runs it. */
export function createExecute(env: ExecuteEnv): Execute {
  return (job: Job, port: JobPort, abort: LazyAbort): Promise<Outcome> | Outcome => {
    const definition = env.registry.get(job.task);
    if (definition === undefined) return notRegistered(job.task);
    return executeJob(new TaskExecution(env, definition, job).on(port, abort));
  };
}

function notRegistered(task: string): Outcome {
  const error = { type: "NotRegistered", module: "celery.exceptions", args: [task], traceback: null };
  return { kind: "failure", error, expected: false, runtimeMs: 0, children: [] };
}

/** Runs one job; also what eager mode uses. A plain outcome when the function was synchronous and nothing is pending. */
export function executeJob(execution: TaskExecution): Promise<Outcome> | Outcome {
  return isPlain(execution) ? runPlain(execution) : runFull(execution);
}

/** Whether nothing but the function itself has to run. */
function isPlain({ definition, env, job }: TaskExecution): boolean {
  const { emitters } = env;
  return !(
    definition.options.hasHooks ||
    definition.input !== null ||
    definition.output !== null ||
    job.softTimeLimitMs !== null ||
    emitters.taskPrerun.active ||
    emitters.taskPostrun.active ||
    emitters.taskSuccess.active ||
    emitters.taskFailure.active ||
    emitters.taskRetry.active ||
    (env.middleware.length > 0 && env.middleware.some((one) => one.run !== undefined))
  );
}

// ---- the short way

function runPlain(execution: TaskExecution): Promise<Outcome> | Outcome {
  const { definition, job } = execution;
  execution.port.onStart(process.pid);
  execution.startedMs = execution.env.clock.monotonic();
  try {
    execution.args = bindArguments(definition, job.args, job.kwargs);
  } catch (error) {
    return notCalled(execution, error);
  }
  let value: unknown;
  try {
    value = runExecution(execution, callTaskFunction);
  } catch (error) {
    return execution.hasPending ? settleFailed(execution, error) : classify(execution, error);
  }
  if (isThenable(value)) return awaited(execution, value);
  return execution.hasPending ? settle(execution, value) : success(execution, value);
}

function callTaskFunction(execution: TaskExecution): unknown {
  const { definition, args } = execution;
  const fn = definition.fn as (...args: readonly unknown[]) => unknown;
  return definition.bound ? fn(execution.context, ...args) : fn(...args);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value instanceof Promise) return true;
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}

async function awaited(execution: TaskExecution, value: PromiseLike<unknown>): Promise<Outcome> {
  let result: unknown;
  try {
    result = await value;
  } catch (error) {
    return execution.hasPending ? settleFailed(execution, error) : classify(execution, error);
  }
  return execution.hasPending ? settle(execution, result) : success(execution, result);
}

async function settle(execution: TaskExecution, value: unknown): Promise<Outcome> {
  const lost = await settlePending(execution);
  return lost === null ? success(execution, value) : classify(execution, lost.error);
}

async function settleFailed(execution: TaskExecution, error: unknown): Promise<Outcome> {
  await settlePending(execution);
  return classify(execution, error);
}

const STILL_PENDING = Promise.resolve();

/**
 * Waits for what the function sent or stored without waiting. A send that fails only now, after the function's end, was
 * seen by nobody: it is the task's failure. One that had failed before was the function's to handle.
 */
async function settlePending(execution: TaskExecution): Promise<{ readonly error: unknown } | null> {
  let lost: { readonly error: unknown } | null = null;
  for (const promise of execution.pending) {
    execution.pending.delete(promise);
    try {
      await Promise.race([promise, STILL_PENDING]);
    } catch {
      continue;
    }
    try {
      await promise;
    } catch (error) {
      lost ??= { error };
    }
  }
  return lost;
}

// ---- the long way

async function runFull(execution: TaskExecution): Promise<Outcome> {
  execution.port.onStart(process.pid);
  await reportStart(execution);
  execution.startedMs = execution.env.clock.monotonic();
  const ended = await runToEnd(execution);
  await runExecution(execution, () => reportEnd(execution, ended));
  if (execution.hasPending) await settlePending(execution);
  return ended.outcome;
}

async function runToEnd(execution: TaskExecution): Promise<Ended> {
  let value: unknown;
  try {
    execution.args = await boundArguments(execution);
  } catch (error) {
    return { outcome: notCalled(execution, error), value: error };
  }
  try {
    value = await withinSoftLimit(execution);
    const lost = execution.hasPending ? await settlePending(execution) : null;
    if (lost !== null) throw lost.error;
  } catch (error) {
    if (execution.hasPending) await settlePending(execution);
    return { outcome: classify(execution, error), value: error };
  }
  try {
    value = await checkOutput(execution.definition, value ?? null);
  } catch (error) {
    return { outcome: failure(execution, error), value: error };
  }
  return { outcome: success(execution, value), value: value ?? null };
}

async function boundArguments({ definition, job }: TaskExecution): Promise<readonly unknown[]> {
  if (definition.input === null) return bindArguments(definition, job.args, job.kwargs);
  return [await bindInput(definition, job.args, job.kwargs)];
}

/**
 * The function, its middleware and `beforeStart`. At the soft limit its signal is aborted; a function that never took
 * the signal cannot act on it, so that its run ends there. What it does later is dropped.
 */
function withinSoftLimit(execution: TaskExecution): Promise<unknown> {
  const running = runExecution(execution, start);
  if (execution.job.softTimeLimitMs === null || execution.abort === null) return running;
  const { signal } = execution.abort;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      if (signal.reason instanceof SoftTimeLimitExceeded && !execution.signalTaken) reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    running.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

async function start(execution: TaskExecution): Promise<unknown> {
  const { hooks } = execution.definition.options;
  if (hooks.beforeStart !== undefined) await hooks.beforeStart(execution.context);
  return around(execution, 0);
}

/** Middleware from `index` on, the first that was added outermost. */
async function around(execution: TaskExecution, index: number): Promise<unknown> {
  const { middleware } = execution.env;
  for (let at = index; at < middleware.length; at += 1) {
    const one = middleware[at];
    if (one?.run !== undefined) return one.run(execution.context, () => around(execution, at + 1));
  }
  return callTaskFunction(execution);
}

// ---- what counts as what

function success(execution: TaskExecution, value: unknown): Outcome {
  return {
    kind: "success",
    value: value === undefined ? null : tupleOrValue(value),
    runtimeMs: execution.runtimeMs,
    children: execution.sent,
  };
}

/** A failure that no retry is for: arguments that do not bind, a schema that does not match. Also {@link classify}'s. */
function failure(execution: TaskExecution, error: unknown): Outcome {
  execution.thrown = error;
  return {
    kind: "failure",
    error: ownTraceback(exceptionInfo(error, execution.module)),
    expected: execution.definition.options.throws.some((one) => error instanceof one),
    runtimeMs: execution.runtimeMs,
    children: execution.sent,
  };
}

/** A failure before the function was called: no frame is the user's. */
function notCalled(execution: TaskExecution, error: unknown): Outcome {
  const outcome = failure(execution, error);
  if (outcome.kind !== "failure" || outcome.error.traceback === null) return outcome;
  const traceback = outcome.error.traceback.replace(/^ {2}[^\n]*\n/gm, "");
  return { ...outcome, error: { ...outcome.error, traceback } };
}

/** Frames of this package, between the start of a traceback and the user's function. */
const OWN_FRAMES =
  /(Traceback \(most recent call last\):\n)(?: {2}[^\n]*\n)*? {2}File "[^"\n]*", line \d+, in callTaskFunction\n/g;

/** The traceback begins with the user's function: how it came to be called helps nobody. */
function ownTraceback(info: ExceptionInfo): ExceptionInfo {
  return info.traceback === null ? info : { ...info, traceback: info.traceback.replace(OWN_FRAMES, "$1") };
}

/** What a thrown value means. */
function classify(execution: TaskExecution, thrown: unknown): Outcome {
  const error = ownAbort(execution, thrown);
  if (error instanceof Retry) return retry(execution, error);
  if (error instanceof Replaced)
    return { kind: "replaced", signature: error.signature, children: execution.sent };
  if (error instanceof Ignore) return { kind: "ignored", reason: error.message };
  if (error instanceof Reject) return { kind: "rejected", requeue: error.requeue, reason: error.reason };
  const { definition } = execution;
  if (!isAutoretried(definition.options, error)) return failure(execution, error);
  const { request } = execution.context;
  const countdown = backoffSeconds(definition.options, request.retries);
  try {
    return retry(execution, retryError({ definition, request, options: { cause: error, countdown } }));
  } catch (last) {
    return failure(execution, last);
  }
}

/** An AbortError that the task's own signal caused is stored as the signal's reason. */
function ownAbort(execution: TaskExecution, thrown: unknown): unknown {
  if (execution.abort === null || !execution.abort.aborted || !(thrown instanceof Error)) return thrown;
  return thrown.name === "AbortError" ? execution.abort.signal.reason : thrown;
}

function retry(execution: TaskExecution, error: Retry): Outcome {
  const wanted = error.request as RetryRequest;
  const cause =
    wanted.cause === undefined ? null : ownTraceback(exceptionInfo(wanted.cause, execution.module));
  return {
    kind: "retry",
    delayMs: wanted.delayMs,
    etaMs: wanted.etaMs,
    cause,
    reason: retryReason(wanted, cause),
    overrides: wanted.overrides,
    children: execution.sent,
  };
}

// ---- a call without a message

/**
 * `task.run`: calls the function here and now. What it throws is thrown; `task.retry` throws its cause. A send made below
 * belongs to the task that runs around it, if any.
 */
export async function callDirectly(
  env: ExecuteEnv,
  definition: TaskDefinition,
  call: { readonly args: readonly unknown[]; readonly kwargs: Readonly<Record<string, unknown>> },
): Promise<unknown> {
  const { args, kwargs } = call;
  const request = requestData({ task: definition.name, args, kwargs, calledDirectly: true });
  const job: Job = {
    id: "",
    task: definition.name,
    args,
    kwargs,
    request,
    softTimeLimitMs: null,
    timeLimitMs: null,
  };
  const execution = new TaskExecution(env, definition, job);
  execution.args = await boundArguments(execution);
  const value = await checkOutput(definition, (await callTaskFunction(execution)) ?? null);
  if (execution.hasPending) await Promise.allSettled(execution.pending);
  return value;
}
