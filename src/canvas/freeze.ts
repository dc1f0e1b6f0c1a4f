/**
 * Fixes the ids of a signature and of all that it is made of, so that its results can be named before anything has run. Pure
 * but for the source of ids. Python: the `freeze`s of `celery/canvas.py`.
 *
 * What a chord's header is told of its body when it is sent is not written into it before: Python copies the body into each
 * member already here, so that a chain of chords grows with the power of its length.
 */
import type { Stepwise } from "../base/turns.ts";
import type { ResultNode } from "../protocol/result-tuple.ts";
import type { SignatureData } from "../protocol/wire.ts";
import { compose, upgraded } from "./compose.ts";
import {
  asGroup,
  bodyOf,
  chainData,
  endsInGroup,
  groupData,
  headerOf,
  kindOf,
  membersOf,
  tasksOf,
  withOptions,
} from "./data.ts";

export interface FreezeContext {
  newId(): string;
  /** `reply_to` of everything that has none. */
  readonly replyTo: string;
}

/** What the surroundings of a signature say of it. An id or a group that it has already wins. */
export interface Place {
  readonly id?: string | null;
  readonly groupId?: string | null;
  readonly groupIndex?: number;
  /** The body of the chord that it is in the header of. */
  readonly chord?: SignatureData | null;
  readonly rootId?: string | null;
  readonly parentId?: string | null;
}

export interface Frozen {
  readonly signature: SignatureData;
  readonly result: Node;
}

/** A result whose parent is found later. */
export interface Node extends ResultNode {
  parent: Node | null;
}

type Options = Record<string, unknown>;

export function idOf(options: Readonly<Record<string, unknown>>): string | null {
  const id = options["task_id"];
  return typeof id === "string" && id !== "" ? id : null;
}

export function* freeze(given: SignatureData, place: Place, context: FreezeContext): Stepwise<Frozen> {
  const signature = asGroup(given);
  switch (kindOf(signature)) {
    case "chain":
      return yield* freezeChain(signature, place, context);
    case "group":
      return yield* freezeGroup(signature, place, context);
    case "chord":
      return yield* freezeChord(signature, place, context);
    case "chunks":
    case "task":
      return freezeTask(signature, place, context);
  }
}

function freezeTask(signature: SignatureData, place: Place, context: FreezeContext): Frozen {
  const options: Options = { ...signature.options };
  const id = idOf(options) ?? place.id ?? context.newId();
  options["task_id"] = id;
  options["reply_to"] ??= context.replyTo;
  if (place.rootId) options["root_id"] = place.rootId;
  if (place.parentId) options["parent_id"] = place.parentId;
  if (place.groupId) options["group_id"] ??= place.groupId;
  if (place.chord) options["chord"] = place.chord;
  if (place.groupIndex !== undefined) options["group_index"] = place.groupIndex;
  return { signature: withOptions(signature, options), result: { id, parent: null, children: null } };
}

/** The steps as they are sent: see {@link upgraded}. */
function* freezeChain(signature: SignatureData, place: Place, context: FreezeContext): Stepwise<Frozen> {
  const { steps, result } = yield* freezeSteps(upgraded(tasksOf(signature)), place, context);
  const options = place.id ? { ...signature.options, task_id: place.id } : signature.options;
  return {
    signature: { ...chainData(steps, options), immutable: signature.immutable, args: signature.args },
    result,
  };
}

export function* freezeSteps(
  steps: readonly SignatureData[],
  place: Place,
  context: FreezeContext,
): Stepwise<{ readonly steps: readonly SignatureData[]; readonly result: Node }> {
  const frozen: SignatureData[] = [];
  let result: Node | null = null;
  for (const [index, step] of steps.entries()) {
    const here = index === steps.length - 1 ? place : { rootId: place.rootId ?? null };
    const one = yield* freeze(step, here, context);
    frozen.push(one.signature);
    if (result !== null) firstOf(one.result).parent = result;
    result = one.result;
  }
  return { steps: frozen, result: result ?? { id: place.id ?? context.newId(), parent: null, children: [] } };
}

/** What came first: the last of the parents. */
export function firstOf(result: Node): Node {
  let node = result;
  while (node.parent !== null) node = node.parent;
  return node;
}

function* freezeGroup(signature: SignatureData, place: Place, context: FreezeContext): Stepwise<Frozen> {
  const options: Options = { ...signature.options };
  const id = idOf(options) ?? place.groupId ?? context.newId();
  options["task_id"] = id;
  if (place.groupId) options["group_id"] = place.groupId;
  if (place.chord) options["chord"] = place.chord;
  if (place.groupIndex !== undefined) options["group_index"] = place.groupIndex;
  options["root_id"] ??= place.rootId ?? null;
  options["parent_id"] ??= place.parentId ?? null;
  const { members, results } = yield* freezeMembers(
    membersOf(signature),
    {
      groupId: place.groupId ?? null,
      rootId: options["root_id"] as string | null,
      parentId: options["parent_id"] as string | null,
    },
    context,
  );
  return {
    signature: groupData(members, options),
    result: { id, parent: null, children: results },
  };
}

export function* freezeMembers(
  members: readonly SignatureData[],
  place: Place,
  context: FreezeContext,
): Stepwise<{ readonly members: readonly SignatureData[]; readonly results: readonly Node[] }> {
  const signatures: SignatureData[] = [];
  const results: Node[] = [];
  for (const [groupIndex, member] of members.entries()) {
    const { signature, result } = yield* freeze(member, { ...place, groupIndex }, context);
    signatures.push(signature);
    results.push(result);
    yield;
  }
  return { members: signatures, results };
}

/**
 * The task that takes the place of a chord's body that cannot run: what follows it, its chord and its errbacks hear of it as of any
 * failure.
 */
export const CHORD_ERROR = "celery.chord_error";

/** Hands the results of a group on as one. */
export const ACCUMULATE: SignatureData = {
  task: "celery.accumulate",
  args: [],
  kwargs: { index: 0 },
  options: {},
  subtask_type: null,
  immutable: false,
};

/**
 * A header as its chord can count it: a member that ends in a group becomes a chord whose body hands its results on as one.
 * Python gives that group the id of the outer one, and waits for its results in the worker.
 */
export function countable(header: SignatureData): SignatureData {
  const members = membersOf(header);
  return groupData(members.map(countedOnce), header.options);
}

/** A part of a chord that gives one result. */
export function countedOnce(member: SignatureData): SignatureData {
  return endsInGroup(member) ? compose(member, withOptions(ACCUMULATE, stampsOf(member))) : member;
}

/** Stamps of the first task in it: what is done for it is found by them too. */
function stampsOf(data: SignatureData): Readonly<Record<string, unknown>> {
  const kind = kindOf(data);
  if (kind !== "task") {
    const [first] = kind === "chord" ? [bodyOf(data)] : tasksOf(asGroup(data));
    return first === undefined ? {} : stampsOf(first);
  }
  const { stamped_headers: names } = data.options;
  if (!Array.isArray(names)) return {};
  const stamps = (names as readonly string[]).map((name) => [name, data.options[name]]);
  return { ...Object.fromEntries(stamps), stamped_headers: names };
}

function* freezeChord(signature: SignatureData, place: Place, context: FreezeContext): Stepwise<Frozen> {
  const header = yield* freeze(
    countable(headerOf(signature)),
    { rootId: place.rootId ?? null, parentId: place.parentId ?? null },
    context,
  );
  const { id = null, groupId = null, chord = null, rootId = null, groupIndex } = place;
  const body = yield* freeze(
    bodyOf(signature),
    { id, groupId, chord, rootId, ...(groupIndex === undefined ? {} : { groupIndex }) },
    context,
  );
  firstOf(body.result).parent = header.result;
  return {
    signature: {
      ...signature,
      kwargs: { ...signature.kwargs, header: header.signature, body: body.signature },
      options: { ...signature.options, task_id: header.result.id },
    },
    result: body.result,
  };
}
