/**
 * One signature after the other: Celery's `|`, with its upgrades. Pure, on the JSON form.
 *
 * | left               | right        | gives                                          |
 * |--------------------|--------------|------------------------------------------------|
 * | a group            | anything     | a chord, however many members the group has    |
 * | anything           | group of one | its member in the group's place                |
 * | anything           | a chain      | one chain                                      |
 * | a chain            | anything     | one chain                                      |
 * | … ends in a chord  | no chord, or the body ends in a group | goes to the body of that chord |
 * | … ends in a group  | a task       | the group becomes a chord with this body       |
 */
import { isDeepStrictEqual } from "node:util";
import type { SignatureData } from "../protocol/wire.ts";
import {
  asGroup,
  bodyOf,
  chainData,
  chordData,
  endsInGroup,
  headerOf,
  kindOf,
  tasksOf,
  unrolled,
  withOptions,
} from "./data.ts";

/** `left | right`. */
export function compose(left: SignatureData, right: SignatureData): SignatureData {
  if (kindOf(asGroup(left)) === "group") return chordData(asGroup(left), right);
  return asOne(extend(stepsOf(left), stepsOf(unrolled(right))));
}

/** `chain(…)`: each step by {@link compose}, but a group of one in front is its member. */
export function chained(steps: readonly SignatureData[]): SignatureData {
  return asOne(upgraded(steps));
}

/** A chain of one chord or of one group is that; a chain of one task stays a chain, as in Celery. */
function asOne(tasks: readonly SignatureData[]): SignatureData {
  const [first] = tasks;
  if (tasks.length === 1 && first !== undefined && kindOf(first) !== "task") return first;
  return chainData(tasks);
}

/** The steps of a chain, with what was linked to it: callbacks go to its last step, errbacks to each. */
export function stepsOf(data: SignatureData): readonly SignatureData[] {
  if (kindOf(data) !== "chain") return [data];
  const { link, link_error: linkError } = data.options;
  const steps = tasksOf(data).flatMap(stepsOf);
  return steps.map((step, index) => {
    const linked = index === steps.length - 1 && link !== undefined ? addLinks(step, "link", link) : step;
    return linkError === undefined ? linked : addLinks(linked, "link_error", linkError);
  });
}

/** Steps as they are sent: what comes after a group is the body of a chord. */
export function upgraded(steps: readonly SignatureData[]): readonly SignatureData[] {
  return extend([], steps.map(unrolled).flatMap(stepsOf));
}

function extend(steps: readonly SignatureData[], more: readonly SignatureData[]): readonly SignatureData[] {
  let all = steps;
  for (const step of more) all = add(all, step);
  return all;
}

function add(steps: readonly SignatureData[], next: SignatureData): readonly SignatureData[] {
  const last = steps.at(-1);
  if (last === undefined) return [next];
  const before = steps.slice(0, -1);
  switch (kindOf(last)) {
    case "group":
    case "chunks":
      return add(before, chordData(asGroup(last), next));
    case "chord":
      if (kindOf(next) === "chord" && !endsInGroup(bodyOf(last))) return [...steps, next];
      return [...before, withBody(last, compose(bodyOf(last), next))];
    case "chain":
    case "task":
      return [...steps, next];
  }
}

function withBody(chord: SignatureData, body: SignatureData): SignatureData {
  return { ...chord, kwargs: { ...chord.kwargs, body } };
}

/**
 * What is linked to a signature. Callbacks of a group go to its first member and errbacks to each, both immutable; those of
 * a chord go to its body. Python: `group.link`, `chord.link_error`.
 *
 * @param name - `link` or `link_error`
 */
export function linkTo(
  data: SignatureData,
  name: "link" | "link_error",
  callback: SignatureData,
): SignatureData {
  switch (kindOf(data)) {
    case "group": {
      const fixed = { ...callback, immutable: true };
      const tasks = tasksOf(data).map((task, index) =>
        index === 0 || name === "link_error" ? linkTo(task, name, fixed) : task,
      );
      return { ...data, kwargs: { ...data.kwargs, tasks } };
    }
    case "chord": {
      const body = linkTo(bodyOf(data), name, callback);
      if (name === "link") return withBody(data, body);
      const header = headerOf(data);
      const tasks = tasksOf(header).map((task) =>
        kindOf(task) === "chord" ? linkTo(task, name, callback) : task,
      );
      return withBody(
        { ...data, kwargs: { ...data.kwargs, header: { ...header, kwargs: { ...header.kwargs, tasks } } } },
        body,
      );
    }
    case "chain":
    case "chunks":
    case "task":
      return addLinks(data, name, callback);
  }
}

/** Appends to the option itself; what is there already is not added twice. */
export function addLinks(data: SignatureData, name: "link" | "link_error", given: unknown): SignatureData {
  const there = asList(data.options[name]);
  const fresh = asList(given).filter((one) => !there.some((known) => isDeepStrictEqual(known, one)));
  return withOptions(data, { ...data.options, [name]: [...there, ...fresh] });
}

function asList(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? (value as readonly unknown[]) : [value];
}

/** Arguments of a call. */
interface GivenArguments {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/**
 * With arguments, as sending it with them has it: a chain's go to its first step, a group's to each member, a chord's to its
 * header. What is immutable takes none.
 */
export function giveTo(data: SignatureData, given: GivenArguments): SignatureData {
  const kind = kindOf(data);
  if (kind === "chunks" || (data.immutable && kind !== "group")) return data;
  const { kwargs } = data;
  const all = { args: [...given.args, ...data.args], kwargs: given.kwargs };
  switch (kind) {
    case "chain": {
      const [first, ...rest] = tasksOf(data);
      const tasks = first === undefined ? [] : [giveTo(first, all), ...rest];
      return { ...data, args: [], kwargs: { ...kwargs, tasks } };
    }
    case "group":
      return { ...data, kwargs: { ...kwargs, tasks: tasksOf(data).map((task) => giveTo(task, given)) } };
    case "chord":
      return { ...data, args: [], kwargs: { ...kwargs, header: giveTo(headerOf(data), all) } };
    case "task":
      return { ...data, args: all.args, kwargs: { ...kwargs, ...given.kwargs } };
  }
}
