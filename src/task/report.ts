/** Hooks and signals around a run. Called only when somebody listens. A hook that fails is logged, the outcome stays. */
import type { SignalEmitters } from "../app/internals.ts";
import type { SignalEvents } from "../app/signal-types.ts";
import { assertNever } from "../base/assert-never.ts";
import { errorFrom } from "../protocol/exceptions.ts";
import type { Outcome } from "../protocol/job.ts";
import type { Ended, TaskExecution } from "./context.ts";

/** `taskPrerun`. */
export async function reportStart(execution: TaskExecution): Promise<void> {
  if (execution.env.emitters.taskPrerun.active) await emit(execution, "taskPrerun", {});
}

/** The hook and signal of the outcome, then `afterReturn` and `taskPostrun`. */
export async function reportEnd(execution: TaskExecution, { outcome, value }: Ended): Promise<void> {
  const { hooks } = execution.definition.options;
  const { context } = execution;
  switch (outcome.kind) {
    case "success":
      await hook(execution, "onSuccess", () => hooks.onSuccess?.(context, outcome.value));
      await emit(execution, "taskSuccess", { result: outcome.value });
      break;
    case "failure":
      await hook(execution, "onFailure", () => hooks.onFailure?.(context, value));
      await emit(execution, "taskFailure", {
        error: value instanceof Error ? value : errorFrom(outcome.error),
      });
      break;
    case "retry": {
      const reason = value instanceof Error ? value : new Error(outcome.reason);
      await hook(execution, "onRetry", () => hooks.onRetry?.(context, reason.cause ?? reason));
      await emit(execution, "taskRetry", { reason });
      break;
    }
    case "rejected":
    case "ignored":
    case "replaced":
    case "terminated":
    case "timed-out":
    case "lost":
      break;
    default:
      assertNever(outcome);
  }
  const state = stateOf(outcome);
  const returned = state !== "REJECTED" && state !== "IGNORED";
  if (returned) await hook(execution, "afterReturn", () => hooks.afterReturn?.(context, state, value));
  await emit(execution, "taskPostrun", { state, result: value });
}

function stateOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case "success":
      return "SUCCESS";
    case "retry":
      return "RETRY";
    case "rejected":
      return "REJECTED";
    case "ignored":
    case "replaced":
      return "IGNORED";
    case "failure":
    case "terminated":
    case "timed-out":
    case "lost":
      return "FAILURE";
    default:
      return assertNever(outcome);
  }
}

async function hook(execution: TaskExecution, name: string, run: () => unknown): Promise<void> {
  try {
    await run();
  } catch (error) {
    failed(execution, name, error);
  }
}

type RunSignal = "taskPrerun" | "taskPostrun" | "taskSuccess" | "taskFailure" | "taskRetry";

async function emit<N extends RunSignal>(
  execution: TaskExecution,
  name: N,
  event: Omit<SignalEvents[N], "task" | "request">,
): Promise<void> {
  const { emitters } = execution.env;
  const emitter = emitters[name] as SignalEmitters[RunSignal];
  if (!emitter.active) return;
  const { definition, context } = execution;
  const whole = { task: definition.handle, request: context.request, ...event } as never;
  await emitter.emit(whole, {
    sender: definition.name,
    onError: (error) => failed(execution, name, error),
  });
}

/** Python: `report_internal_error`. */
function failed(execution: TaskExecution, where: string, err: unknown): void {
  const { definition, env, job } = execution;
  env.logger.error(
    { task: definition.name, id: job.id, where, err },
    "a hook or signal handler of a task failed",
  );
  const { taskInternalError } = env.emitters;
  if (!taskInternalError.active) return;
  const error = err instanceof Error ? err : new Error(String(err));
  void taskInternalError.emit(
    { task: definition.handle as never, request: execution.context.request, error },
    { sender: definition.name, onError: () => {} },
  );
}
