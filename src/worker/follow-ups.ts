/**
 * What a task's end sends: callbacks, the next step of a chain, errbacks, the next attempt.
 *
 * All ids are fixed before anything is sent, from the signatures or from the task's own id, so that a redelivered task that
 * runs again repeats them. Python: `celery/app/trace.py`, `Backend._call_task_errbacks`, `Task.signature_from_request`.
 */
import { derivedId, derivedIds } from "../base/derived-id.ts";
import { groupData, kindOf } from "../canvas/data.ts";
import type { CanvasPlan } from "../canvas/plan.ts";
import type { Sender, SendParent } from "../canvas/sender.ts";
import type { Outcome } from "../protocol/job.ts";
import { writeResultTuple } from "../protocol/result-tuple.ts";
import type { DecodedTask, SignatureData } from "../protocol/wire.ts";
import { UNIQUE_HEADER } from "../transports/unique-locks.ts";
import { customHeaders, type Request, stampsOf } from "./request.ts";

/** One send that is to be made. */
export type FollowUp = () => Promise<unknown>;

export interface FollowUps {
  readonly sends: readonly FollowUp[];
  /** Result tuples of them, for the stored `children`. */
  readonly children: readonly unknown[];
}

export function parentOf(task: Failed): SendParent {
  return { id: task.id, rootId: task.rootId, priority: task.priority };
}

/** Callbacks and the next step of the chain, with the result in front of their arguments. @throws DecodeError */
export async function afterSuccess(sender: Sender, task: DecodedTask, value: unknown): Promise<FollowUps> {
  const { callbacks, chain } = task.embed;
  const plans: CanvasPlan[] = [];
  if (callbacks !== null) plans.push(...(await callbackPlans(sender, task, value)));
  const next = chain?.at(-1);
  if (chain !== null && next !== undefined) {
    const rest = chain.slice(0, -1);
    const given = { args: [value], kwargs: {}, options: { chain: rest } };
    plans.push(await sender.plan(next, given, derivedIds(task.id, "chain")));
  }
  const parent = parentOf(task);
  return {
    sends: plans.map((plan) => () => sender.publish(plan, parent)),
    children: plans.map((plan) => writeResultTuple(plan.sent)),
  };
}

/** Several callbacks form a group; groups among them are their own, as in Celery. */
async function callbackPlans(
  sender: Sender,
  task: DecodedTask,
  value: unknown,
): Promise<readonly CanvasPlan[]> {
  const plans: CanvasPlan[] = [];
  const callbacks = task.embed.callbacks ?? [];
  const newId = derivedIds(task.id, "callback");
  const given = { args: [value], kwargs: {}, options: {} };
  // One after the other: they share a source of ids.
  const planAll = async (signatures: readonly SignatureData[]): Promise<readonly CanvasPlan[]> => {
    for (const one of signatures) plans.push(await sender.plan(one, given, newId));
    return plans;
  };
  if (callbacks.length <= 1) return planAll(callbacks);
  const groups = callbacks.filter((one) => kindOf(one) === "group");
  const others = callbacks.filter((one) => kindOf(one) !== "group");
  const together = groupData(others, { task_id: derivedId(task.id, "callbacks") });
  const all = others.length === 0 ? groups : [...groups, together];
  return planAll(all);
}

/** Who failed, as its errbacks are told. */
export type Failed = Pick<DecodedTask, "id" | "rootId" | "priority">;

/** Old-style errbacks: sent with the failed task's id. They form a group, as Celery's do. */
export function oldStyleErrbacks(
  sender: Sender,
  failed: Failed,
  errbacks: readonly SignatureData[],
): readonly FollowUp[] {
  const group = derivedId(failed.id, "errbacks");
  const newId = derivedIds(failed.id, "errback");
  const parent = parentOf(failed);
  return errbacks.map((errback, index) => async () => {
    const options = { group_id: group, group_index: index };
    const plan = await sender.plan(errback, { args: [failed.id], kwargs: {}, options }, newId);
    await sender.publish(plan, parent);
  });
}

/** The next attempt: the same task with the same id, on the queue it came from. */
export function nextAttempt(
  sender: Sender,
  request: Request,
  outcome: Outcome & { readonly kind: "retry" },
): FollowUp {
  const { decoded, delivery } = request;
  const { args, kwargs, options } = outcome.overrides as {
    readonly args?: readonly unknown[];
    readonly kwargs?: Readonly<Record<string, unknown>>;
    readonly options?: Readonly<Record<string, unknown>>;
  };
  const headers = customHeaders(decoded);
  const stamps = stampsOf(decoded);
  const sent: Record<string, unknown> = {
    ...stamps,
    queue: delivery.queue,
    priority: decoded.priority,
    expires: decoded.expiresMs === null ? null : (decoded.headers["expires"] ?? null),
    time_limit: decoded.timeLimit,
    soft_time_limit: decoded.softTimeLimit,
    ignore_result: decoded.ignoreResult,
    shadow: decoded.shadow,
    reply_to: decoded.replyTo,
    group_id: decoded.group,
    group_index: decoded.groupIndex,
    root_id: decoded.rootId,
    parent_id: decoded.parentId,
    replaced_task_nesting: decoded.replacedTaskNesting === 0 ? null : decoded.replacedTaskNesting,
    stamped_headers: stamps === null ? null : Object.keys(stamps),
    headers: Object.keys(headers).length === 0 ? null : headers,
    argsrepr: args === undefined ? decoded.argsrepr : null,
    kwargsrepr: kwargs === undefined ? decoded.kwargsrepr : null,
    ...options,
    ...whenOf(outcome),
    task_id: decoded.id,
    retries: decoded.retries + 1,
  };
  // Other headers that the retry gave must not take the key away.
  if (request.unique !== null) {
    const unique = { [UNIQUE_HEADER]: decoded.headers[UNIQUE_HEADER] };
    sent["headers"] = { ...(sent["headers"] as Readonly<Record<string, unknown>> | null), ...unique };
  }
  if (options?.["exchange"] !== undefined || options?.["routing_key"] !== undefined) {
    if (options["queue"] === undefined) delete sent["queue"];
  }
  return () =>
    sender.send({
      task: decoded.task,
      args: args ?? decoded.args,
      kwargs: kwargs ?? decoded.kwargs,
      options: sent,
      embed: embedWith(decoded, options),
      parent: null,
    });
}

function whenOf(outcome: Outcome & { readonly kind: "retry" }): Readonly<Record<string, unknown>> {
  if (outcome.etaMs !== null) return { eta: new Date(outcome.etaMs), countdown: null };
  return { countdown: (outcome.delayMs ?? 0) / 1000, eta: null };
}

/** Callbacks that the retry gave win over those of the message. */
function embedWith(
  task: DecodedTask,
  options: Readonly<Record<string, unknown>> | undefined,
): Partial<DecodedTask["embed"]> {
  const embed: { -readonly [K in keyof DecodedTask["embed"]]?: DecodedTask["embed"][K] } = { ...task.embed };
  if (options?.["link"] !== undefined) delete embed.callbacks;
  if (options?.["link_error"] !== undefined) delete embed.errbacks;
  return embed;
}
