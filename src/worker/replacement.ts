/** The task that finishes in another's place: with its id, and all that was to follow it. Python: `Task.replace`. */
import { derivedIds } from "../base/derived-id.ts";
import { addLinks, compose, linkTo } from "../canvas/compose.ts";
import { chainData, kindOf, tasksOf, withOptions } from "../canvas/data.ts";
import { ACCUMULATE } from "../canvas/freeze.ts";
import type { CanvasPlan } from "../canvas/plan.ts";
import type { Sender } from "../canvas/sender.ts";
import { marksOf, stampAll } from "../canvas/stamp.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { DecodedTask, SignatureData } from "../protocol/wire.ts";
import { stampsOf } from "./request.ts";

/** @throws DecodeError */
export function planReplacement(sender: Sender, task: DecodedTask, signature: unknown): Promise<CanvasPlan> {
  const given = readSignature(signature, "the replacement");
  // A group becomes a chord, so that there is one task with the id.
  const whole = kindOf(given) === "group" || kindOf(given) === "chunks" ? compose(given, ACCUMULATE) : given;
  const nesting = task.replacedTaskNesting + 1;
  const { callbacks, errbacks, chain, chord } = task.embed;
  const stamps = stampsOf(task);
  let linked = stamps === null ? whole : stampAll(whole, marksOf(stamps));
  for (const callback of callbacks ?? []) linked = linkLast(linked, callback);
  for (const errback of errbacks ?? []) linked = linkTo(linked, "link_error", errback);
  const options = {
    task_id: task.id,
    chord,
    group_id: task.group,
    group_index: task.groupIndex,
    root_id: task.rootId,
    replaced_task_nesting: nesting,
    chain: chain === null ? null : chain.map((step) => nested(step, nesting)),
  };
  return sender.plan(
    nestedSteps(linked, nesting),
    { args: [], kwargs: {}, options },
    // What finishes in its place has its id, and may be replaced as well.
    derivedIds(task.id, nesting === 1 ? "replacement" : `replacement ${nesting}`),
  );
}

/** Callbacks go to what ends it: in a chain to its last step, before what came after the replaced task. */
function linkLast(signature: SignatureData, callback: SignatureData): SignatureData {
  return kindOf(signature) === "chain"
    ? addLinks(signature, "link", callback)
    : linkTo(signature, "link", callback);
}

function nested(signature: SignatureData, nesting: number): SignatureData {
  return withOptions(signature, { ...signature.options, replaced_task_nesting: nesting });
}

function nestedSteps(signature: SignatureData, nesting: number): SignatureData {
  if (kindOf(signature) !== "chain") return signature;
  const steps = tasksOf(signature).map((step) => nested(step, nesting));
  return { ...chainData(steps, signature.options), args: signature.args, immutable: signature.immutable };
}
