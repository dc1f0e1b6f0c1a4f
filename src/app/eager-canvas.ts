/** A canvas in eager mode: its tasks run here, one after the other. Python: the `apply`s of `celery/canvas.py`. */
import { upgraded } from "../canvas/compose.ts";
import { asGroup, bodyOf, headerOf, kindOf, membersOf, tasksOf } from "../canvas/data.ts";
import type { Given } from "../canvas/plan.ts";
import { mergeOptions, splitWireOptions } from "../canvas/wire-options.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { EagerCall } from "./eager.ts";
import type { AsyncResult } from "./result-types.ts";

/** What of an app a canvas needs to run here. */
export interface EagerHost {
  apply(call: EagerCall): Promise<AsyncResult<unknown>>;
  /** The handle of a group of what has run. */
  group(results: readonly AsyncResult<unknown>[]): AsyncResult<unknown>;
}

const NOTHING: Given = { args: [], kwargs: {}, options: {} };

/** Ends at the first task that fails, whose handle it gives. */
export async function applyCanvas(
  host: EagerHost,
  signature: SignatureData,
  given: Given,
): Promise<AsyncResult<unknown>> {
  const data = asGroup(signature);
  const args = data.immutable ? data.args : [...given.args, ...data.args];
  switch (kindOf(data)) {
    case "chain":
      return applyChain(host, tasksOf(data), { ...given, args });
    case "group": {
      const results: AsyncResult<unknown>[] = [];
      for (const member of membersOf(data)) results.push(await applyCanvas(host, member, given));
      return host.group(results);
    }
    case "chord": {
      const header = await applyCanvas(host, headerOf(data), { ...given, args });
      return applyNext(host, bodyOf(data), header);
    }
    case "chunks":
    case "task": {
      const { options, extra } = mergeOptions(
        splitWireOptions(data.options),
        splitWireOptions(given.options),
      );
      const kwargs = data.immutable ? data.kwargs : { ...data.kwargs, ...given.kwargs };
      return host.apply({ task: data.task, args, kwargs, options, extra });
    }
  }
}

async function applyChain(
  host: EagerHost,
  tasks: readonly SignatureData[],
  given: Given,
): Promise<AsyncResult<unknown>> {
  const [first, ...rest] = upgraded(tasks);
  if (first === undefined) return host.group([]);
  let last = await applyCanvas(host, first, given);
  for (const step of rest) last = await applyNext(host, step, last);
  return last;
}

/** With the result of what ran before it; what has failed ends it. */
async function applyNext(
  host: EagerHost,
  next: SignatureData,
  before: AsyncResult<unknown>,
): Promise<AsyncResult<unknown>> {
  const outcome = await before.outcome();
  if (outcome.state !== "SUCCESS") return before;
  return applyCanvas(host, next, { ...NOTHING, args: [outcome.result] });
}
