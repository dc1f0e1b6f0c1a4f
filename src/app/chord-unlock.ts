/**
 * `celery.chord_unlock`: what clients send whose result backend does not count the parts of a chord. It looks again until all of
 * the header is over, and then sends the body, or lets it fail. Python: `unlock_chord` of `celery/app/builtins.py`.
 */
import { derivedIds } from "../base/derived-id.ts";
import { CHORD_ERROR } from "../canvas/freeze.ts";
import { DecodeError, type RemoteError } from "../errors.ts";
import { type ResultNode, readResultTuple } from "../protocol/result-tuple.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { TaskContext } from "../task/context-types.ts";
import { exceptionRepr } from "../task/retry.ts";
import { internalsOf } from "./internals.ts";
import type { TaskStatus } from "./result-types.ts";

export async function chordUnlock(context: TaskContext, ...given: readonly unknown[]): Promise<null> {
  const [groupId, callback, interval, maxRetries, result] = given;
  const body = readSignature(callback, "the body of a chord");
  const header = headerOf(result);
  const ended = await statesOf(context, header);
  if (ended === null) {
    const countdown = typeof interval === "number" ? interval : context.app.conf.resultChordRetryInterval;
    const most = typeof maxRetries === "number" ? maxRetries : null;
    return context.retry({ countdown: countdown ?? 1, maxRetries: most });
  }
  const failed = [...ended].find(([, status]) => status.state !== "SUCCESS");
  if (failed === undefined) {
    const values = header.map((node) => valueOf(node, ended));
    await context.app.signatureFrom(body).applyAsync([values]);
    return null;
  }
  const [id, status] = failed;
  const { error } = status as { readonly error: RemoteError };
  context.log.error({ group: groupId }, `a chord failed: dependency ${id}`);
  await failBody(context, body, `Dependency ${id} raised ${exceptionRepr(error)}`);
  return null;
}

/** Only of the body's own tasks: none of it runs, and all of it ends as it would if its first tasks had failed. */
async function failBody(context: TaskContext, body: SignatureData, reason: string): Promise<void> {
  const { sender } = internalsOf(context.app);
  const { id, rootId, deliveryInfo } = context.request;
  const plan = await sender.plan(body, { args: [[]], kwargs: {}, options: {} }, derivedIds(id, "body"));
  const sends = plan.sends.map((send) => ({
    ...send,
    task: CHORD_ERROR,
    args: [reason],
    kwargs: {},
    // A worker that knows this task is there.
    options: { ...send.options, queue: deliveryInfo.routingKey },
  }));
  await sender.publish({ ...plan, sends }, { id, rootId, priority: deliveryInfo.priority });
}

function headerOf(result: unknown): readonly ResultNode[] {
  if (!Array.isArray(result)) throw new DecodeError("the results of a chord's header are not a list");
  return result.map((tuple) => {
    const node = readResultTuple(tuple);
    if (node === null) throw new DecodeError("a result of a chord's header is no result");
    return node;
  });
}

type States = ReadonlyMap<string, TaskStatus<unknown>>;

/** null: not all are over. */
async function statesOf(context: TaskContext, header: readonly ResultNode[]): Promise<States | null> {
  const ids = [...new Set(header.flatMap(leavesOf))];
  const all = await Promise.all(ids.map((id) => context.app.asyncResult(id).status()));
  if (!all.every((status) => status.ready)) return null;
  return new Map(ids.map((id, index) => [id, all[index] as TaskStatus<unknown>]));
}

function leavesOf(node: ResultNode): readonly string[] {
  return node.children === null ? [node.id] : node.children.flatMap(leavesOf);
}

function valueOf(node: ResultNode, states: States): unknown {
  if (node.children !== null) return node.children.map((child) => valueOf(child, states));
  const status = states.get(node.id) as { readonly result?: unknown } | undefined;
  return status?.result ?? null;
}
