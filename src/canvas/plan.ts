/**
 * Takes a signature apart into the tasks that are sent now. Pure but for the source of ids. Python: the `apply_async` and
 * `run` of `celery/canvas.py`.
 *
 * | kind  | sent now                              | later, by the worker                          |
 * |-------|---------------------------------------|-----------------------------------------------|
 * | task  | itself                                |                                               |
 * | chain | its first step                        | the rest, which the first step carries        |
 * | group | every member                          |                                               |
 * | chord | its header; of an empty one, its body | the body, which every member carries          |
 */
import type { Stepwise } from "../base/turns.ts";
import type { ResultNode } from "../protocol/result-tuple.ts";
import type { SignatureData } from "../protocol/wire.ts";
import { addLinks, linkTo, upgraded } from "./compose.ts";
import {
  asGroup,
  bodyOf,
  groupData,
  headerOf,
  kindOf,
  membersOf,
  sizeOf,
  tasksOf,
  withOptions,
} from "./data.ts";
import {
  countable,
  type FreezeContext,
  firstOf,
  freeze,
  freezeMembers,
  freezeSteps,
  idOf,
  type Node,
} from "./freeze.ts";

/** What a call adds to a signature. */
export interface Given {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** By wire names; null and undefined are left out. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** A chord of which the backend is told before its header is sent. */
export interface ChordSize {
  readonly group: string;
  readonly size: number;
  /** What its header gives, in order. */
  readonly members: readonly ResultNode[];
}

export interface CanvasPlan {
  /** Complete: nothing is to be merged any more. In order. */
  readonly sends: readonly SignatureData[];
  readonly chords: readonly ChordSize[];
  /** What the caller gets: of the last step. */
  readonly result: ResultNode;
  /** What is noted as sent where it is sent from: of what is sent now. */
  readonly sent: ResultNode;
}

type Options = Readonly<Record<string, unknown>>;

interface Planned {
  readonly result: Node;
  readonly sent: Node;
}

interface Drafts extends FreezeContext {
  readonly sends: SignatureData[];
  readonly chords: ChordSize[];
}

/** After each member of a group others may have their turn. @throws DecodeError */
export function* planCanvas(
  signature: SignatureData,
  given: Given,
  context: FreezeContext,
): Stepwise<CanvasPlan> {
  const drafts: Drafts = {
    sends: [],
    chords: [],
    replyTo: context.replyTo,
    newId: () => context.newId(),
  };
  const { result, sent } = yield* plan(signature, given, drafts);
  return { sends: drafts.sends, chords: drafts.chords, result, sent };
}

function* plan(signature: SignatureData, given: Given, drafts: Drafts): Stepwise<Planned> {
  const data = asGroup(signature);
  switch (kindOf(data)) {
    case "chain":
      return yield* planChain(data, given, drafts);
    case "group":
      return yield* planGroup(data, given, drafts);
    case "chord":
      return yield* planChord(data, given, drafts);
    case "chunks":
    case "task":
      return planTask(data, given, drafts);
  }
}

function planTask(signature: SignatureData, given: Given, drafts: Drafts): Planned {
  const options: Record<string, unknown> = mergeWire(signature.options, given.options);
  const id = idOf(options) ?? drafts.newId();
  options["task_id"] = id;
  drafts.sends.push({ ...withGiven(signature, given), options });
  const node: Node = { id, parent: null, children: null };
  return { result: node, sent: node };
}

/** Given arguments come first; an immutable signature ignores them. */
function withGiven(signature: SignatureData, { args, kwargs }: Given): SignatureData {
  if (signature.immutable) return signature;
  return {
    ...signature,
    args: args.length === 0 ? signature.args : [...args, ...signature.args],
    kwargs: { ...signature.kwargs, ...kwargs },
  };
}

/** As {@link mergeOptions}, by wire names: what is given wins, but for `group_id` and stamps. */
function mergeWire(own: Options, given: Options): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...own };
  const stamped = own["stamped_headers"];
  const fixed = new Set<unknown>(["group_id", "stamped_headers", ...(Array.isArray(stamped) ? stamped : [])]);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (fixed.has(name) && merged[name] !== undefined && merged[name] !== null) continue;
    merged[name] = value;
  }
  return merged;
}

function without(options: Options, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)));
}

const OF_CHAIN = [
  "task_id",
  "group_id",
  "group_index",
  "chord",
  "link",
  "link_error",
  "root_id",
  "parent_id",
  "chain",
];

function* planChain(signature: SignatureData, given: Given, drafts: Drafts): Stepwise<Planned> {
  const options = mergeWire(signature.options, given.options);
  const { group_index: groupIndex, chain } = options;
  const { steps, result } = yield* freezeSteps(
    linkSteps(upgraded(tasksOf(signature)), options),
    {
      id: idOf(options),
      groupId: textOf(options["group_id"]),
      chord: (options["chord"] as SignatureData | undefined) ?? null,
      rootId: textOf(options["root_id"]),
      ...(typeof groupIndex === "number" ? { groupIndex } : {}),
    },
    drafts,
  );
  const [first, ...rest] = steps;
  // Of no steps at all: nothing is sent, and nothing will be stored.
  if (first === undefined) return { result, sent: result };
  // Reversed: the next step is the last one. What comes after this chain comes first.
  const later = Array.isArray(chain) ? (chain as readonly SignatureData[]) : null;
  const after = [...(later ?? []), ...rest.toReversed()];
  const args = signature.immutable ? [] : [...given.args, ...signature.args];
  const passed = {
    ...without(options, OF_CHAIN),
    ...(after.length === 0 && later === null ? {} : { chain: after }),
  };
  const planned = yield* plan(
    first,
    {
      args,
      kwargs: signature.immutable ? {} : given.kwargs,
      options: { ...passed, parent_id: options["parent_id"] },
    },
    drafts,
  );
  return { result, sent: planned.sent };
}

/** Callbacks of a chain are its last step's, errbacks every step's. */
function linkSteps(steps: readonly SignatureData[], { link, link_error }: Options): readonly SignatureData[] {
  if (link === undefined && link_error === undefined) return steps;
  return steps.map((step, index) =>
    withLinks(step, index === steps.length - 1 ? { link, link_error } : { link_error }),
  );
}

function withLinks(signature: SignatureData, { link, link_error: linkError }: Options): SignatureData {
  const called = link === undefined ? signature : linkAll(signature, "link", link);
  return linkError === undefined ? called : linkAll(called, "link_error", linkError);
}

/** Callbacks as options have them: one, or a list. */
function linkAll(signature: SignatureData, name: "link" | "link_error", linked: unknown): SignatureData {
  if (kindOf(signature) === "task") return addLinks(signature, name, linked);
  const all = (Array.isArray(linked) ? linked : [linked]) as readonly SignatureData[];
  return all.reduce((data, one) => linkTo(data, name, one), signature);
}

const OF_GROUP = ["task_id", "group_id", "group_index", "chord", "link", "link_error"];

function* planGroup(signature: SignatureData, given: Given, drafts: Drafts): Stepwise<Planned> {
  const options = mergeWire(signature.options, given.options);
  const id = idOf(options) ?? drafts.newId();
  const chord = (options["chord"] as SignatureData | undefined) ?? null;
  const { members, results } = yield* freezeMembers(
    membersOf(signature),
    { groupId: id, rootId: textOf(options["root_id"]) },
    drafts,
  );
  // A group with the id of the one around it is a part of that chord, which has counted it.
  const counted = chord !== null && options["group_id"] !== id;
  if (counted && members.length > 0)
    drafts.chords.push({
      group: id,
      size: members.reduce((sum, member) => sum + sizeOf(member), 0),
      members: results,
    });
  const passed: Options = {
    ...without(options, OF_GROUP),
    group_id: id,
    ...(chord === null ? {} : { chord }),
  };
  for (const member of linkMembers(members, options)) {
    yield* plan(member, { ...given, options: passed }, drafts);
    yield;
  }
  const result: Node = { id, parent: null, children: results };
  return { result, sent: result };
}

/** What is linked to a group by an option of the call, as by {@link linkTo}. */
function linkMembers(members: readonly SignatureData[], options: Options): readonly SignatureData[] {
  if (options["link"] === undefined && options["link_error"] === undefined) return members;
  return tasksOf(withLinks(groupData(members), options));
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

const OF_HEADER = ["task_id", "group_id", "group_index", "chord", "chain", "link", "link_error"];

function* planChord(signature: SignatureData, given: Given, drafts: Drafts): Stepwise<Planned> {
  const options = mergeWire(signature.options, given.options);
  const header = countable(headerOf(signature));
  const group = idOf(header.options) ?? drafts.newId();
  const own = withLinks(bodyOf(signature), options);
  const body = yield* freeze(
    withOptions(own, mergeWire(own.options, without(options, ["task_id", "link", "link_error"]))),
    {
      id: idOf(options) ?? drafts.newId(),
      groupId: "group_id" in given.options ? null : group,
      rootId: textOf(own.options["root_id"]),
    },
    drafts,
  );
  const extra = signature.kwargs["kwargs"];
  const toHeader: Given = {
    args: signature.immutable ? signature.args : [...given.args, ...signature.args],
    kwargs: { ...(typeof extra === "object" ? extra : {}), ...given.kwargs },
    options: { ...without(options, OF_HEADER), task_id: group, chord: body.signature },
  };
  const planned = yield* planGroup(header, toHeader, drafts);
  firstOf(body.result).parent = planned.result;
  if (planned.result.children?.length !== 0) return { result: body.result, sent: planned.result };
  const { sent } = yield* plan(body.signature, { args: [[]], kwargs: {}, options: {} }, drafts);
  return { result: body.result, sent };
}
