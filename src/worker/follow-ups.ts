/**
 * What a task's end sends: callbacks, the next step of a chain, errbacks, the next attempt.
 *
 * All ids are fixed before anything is sent, from the signatures or from the task's own id, so that a redelivered task that
 * runs again repeats them. Python: `celery/app/trace.py`, `Backend._call_task_errbacks`, `Task.signature_from_request`.
 */
import { createHash } from "node:crypto";
import { canvasFeature } from "../canvas/plain.ts";
import type { Sender, SendParent } from "../canvas/sender.ts";
import type { Outcome } from "../protocol/job.ts";
import { groupTuple, resultTuple } from "../protocol/result-tuple.ts";
import type { DecodedTask, SignatureData } from "../protocol/wire.ts";
import { UNIQUE_HEADER } from "../transports/unique-locks.ts";
import { customHeaders, type Request } from "./request.ts";

/** One send that is to be made. */
export type FollowUp = () => Promise<unknown>;

export interface FollowUps {
  readonly sends: readonly FollowUp[];
  /** Result tuples of them, for the stored `children`. */
  readonly children: readonly unknown[];
}

const NAMESPACE = "petiole:";

/** A UUID of version 5's shape that follows from the task's id and a purpose. */
export function derivedId(id: string, purpose: string): string {
  const bytes = createHash("sha1").update(`${NAMESPACE}${purpose}:${id}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The canvas that a message carries and this version cannot send, in words; null: none. */
export function unsupportedCanvas({ embed }: DecodedTask): string | null {
  const { callbacks, chain, chord } = embed;
  if (chord !== null) return "a chord that it is a member of";
  return unsupportedMember(chain, "as a step of its chain") ?? unsupportedMember(callbacks, "as a callback");
}

function unsupportedMember(members: readonly SignatureData[] | null, where: string): string | null {
  for (const { task, subtask_type: type, options } of members ?? []) {
    const feature = options["chord"] == null ? canvasFeature(task, type) : "chord";
    if (feature !== null) return `a ${feature} ${where}`;
  }
  return null;
}

function parentOf(task: DecodedTask): SendParent {
  return { id: task.id, rootId: task.rootId, priority: task.priority };
}

function idOf(signature: SignatureData): string | null {
  const id = signature.options["task_id"];
  return typeof id === "string" && id !== "" ? id : null;
}

/** Callbacks and the next step of the chain, with the result in front of their arguments. */
export function afterSuccess(sender: Sender, task: DecodedTask, value: unknown): FollowUps {
  const { callbacks, chain } = task.embed;
  const sends: FollowUp[] = [];
  const children: unknown[] = [];
  if (callbacks !== null && callbacks.length > 0) {
    const group = callbacks.length > 1 ? derivedId(task.id, "callbacks") : null;
    const sent = sendAll({ sender, task, signatures: callbacks, args: [value], group, purpose: "callback" });
    sends.push(...sent.sends);
    const members = sent.ids.map((id) => resultTuple(id));
    children.push(...(group === null ? members : [groupTuple(group, members)]));
  }
  const next = chain?.at(-1);
  if (chain !== null && next !== undefined) {
    const id = idOf(next) ?? derivedId(task.id, "chain");
    const rest = chain.slice(0, -1);
    sends.push(() =>
      sender.sendSignature(next, [value], {
        options: { task_id: id },
        embed: { chain: rest },
        parent: parentOf(task),
      }),
    );
    children.push(resultTuple(id));
  }
  return { sends, children };
}

/** Old-style errbacks: sent with the failed task's id. They form a group, as Celery's do. */
export function oldStyleErrbacks(
  sender: Sender,
  task: DecodedTask,
  errbacks: readonly SignatureData[],
): readonly FollowUp[] {
  const group = derivedId(task.id, "errbacks");
  return sendAll({ sender, task, signatures: errbacks, args: [task.id], group, purpose: "errback" }).sends;
}

function sendAll(one: {
  readonly sender: Sender;
  readonly task: DecodedTask;
  readonly signatures: readonly SignatureData[];
  readonly args: readonly unknown[];
  readonly group: string | null;
  readonly purpose: string;
}): { readonly sends: readonly FollowUp[]; readonly ids: readonly string[] } {
  const { sender, task, signatures, args, group, purpose } = one;
  const ids = signatures.map(
    (signature, index) => idOf(signature) ?? derivedId(task.id, `${purpose}:${index}`),
  );
  const sends = signatures.map((signature, index): FollowUp => {
    const options = {
      task_id: ids[index],
      ...(group === null ? {} : { group_id: group, group_index: index }),
    };
    return () => sender.sendSignature(signature, args, { options, parent: parentOf(task) });
  });
  return { sends, ids };
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
  const sent: Record<string, unknown> = {
    ...decoded.stamps,
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
    stamped_headers: decoded.stampedHeaders.length === 0 ? null : decoded.stampedHeaders,
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
