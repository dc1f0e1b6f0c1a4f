/**
 * Who sends whom in a canvas, by the labels of its tasks: the other half of the reference of `canvas-spec.ts`. A canvas is
 * first written as it is sent, with Celery's upgrades; then each task is told what must have sent it.
 */
import type { Spec } from "./canvas-spec.ts";

/** What sends a task. */
export type SentBy =
  | { readonly kind: "client" }
  /** A step of a chain, or each task of a header: it sends what comes next, again when it runs again. */
  | { readonly kind: "step"; readonly label: string }
  /** A chord, once: in the name of one of those that end its header. */
  | { readonly kind: "chord"; readonly enders: readonly string[] };

export interface Links {
  readonly sentBy: ReadonlyMap<string, SentBy>;
  /** By task: those that it sends, as their results are noted; none: an empty list. */
  readonly children: ReadonlyMap<string, readonly string[]>;
  /** Those whose results are the canvas's. */
  readonly results: readonly string[];
}

/** Labels of the built-in task that hands the results of a group on: nobody records its runs. */
const ACCUMULATE = "celery.accumulate";
export const isRecorded = (label: string): boolean => !label.startsWith(ACCUMULATE);

type Chord = Spec & { readonly kind: "chord" };

export function linksOf(spec: Spec): Links {
  const sentBy = new Map<string, SentBy>();
  const children = new Map<string, readonly string[]>();
  /** Returns the labels of those that end it. */
  function walk(one: Spec, by: SentBy): readonly string[] {
    switch (one.kind) {
      case "task":
        sentBy.set(one.label, by);
        children.set(one.label, []);
        return [one.label];
      case "chain": {
        let enders: readonly string[] = [];
        for (const [index, step] of one.steps.entries()) {
          const [label] = enders;
          if (index > 0 && label !== undefined) children.set(label, sent(step));
          enders = walk(step, index === 0 || label === undefined ? by : { kind: "step", label });
        }
        return enders;
      }
      case "group":
        return one.members.flatMap((member) => walk(member, by));
      case "chord": {
        const enders = one.header.flatMap((member) => walk(member, by));
        return walk(one.body, { kind: "chord", enders });
      }
    }
  }
  const results = walk(asSent(spec, { count: 0 }), { kind: "client" });
  return { sentBy, children, results };
}

/** What is noted of it where it is sent. */
function sent(spec: Spec): readonly string[] {
  switch (spec.kind) {
    case "task":
      return [spec.label];
    case "chain":
      return spec.steps.slice(0, 1).flatMap(sent);
    case "group":
      return spec.members.flatMap(ends);
    case "chord":
      return spec.header.flatMap(ends);
  }
}

function ends(spec: Spec): readonly string[] {
  switch (spec.kind) {
    case "task":
      return [spec.label];
    case "chain":
      return spec.steps.slice(-1).flatMap(ends);
    case "group":
      return spec.members.flatMap(ends);
    case "chord":
      return ends(spec.body);
  }
}

function endsInGroup(spec: Spec): boolean {
  if (spec.kind === "chain") return spec.steps.slice(-1).some(endsInGroup);
  return spec.kind === "group" || (spec.kind === "chord" && endsInGroup(spec.body));
}

/** With all of Celery's upgrades; of two of ours, see `docs/canvas.md`: groups in headers stay in their place and are handed on. */
function asSent(spec: Spec, names: { count: number }): Spec {
  const below = (one: Spec): Spec => asSent(one, names);
  switch (spec.kind) {
    case "task":
      return spec;
    case "chain":
      return joined(spec.steps.flatMap(stepsOf).map(below));
    case "group":
      return { kind: "group", members: spec.members.map(below).flatMap(membersOf) };
    case "chord": {
      const header = spec.header.map(below).flatMap(membersOf);
      return counted({ kind: "chord", header, body: below(spec.body) }, names);
    }
  }
  function joined(all: readonly Spec[]): Spec {
    let steps: readonly Spec[] = [];
    for (const step of all.flatMap(stepsOf)) {
      const last = steps.at(-1);
      const before = steps.slice(0, -1);
      if (last?.kind === "group")
        steps = [...before, counted({ kind: "chord", header: last.members, body: step }, names)];
      else if (last?.kind === "chord" && (step.kind !== "chord" || endsInGroup(last.body)))
        steps = [...before, { ...last, body: followed(last.body, step) }];
      else steps = [...steps, step];
    }
    const [only] = steps;
    return steps.length === 1 && only !== undefined ? only : { kind: "chain", steps };
  }
  /** Outside a `chain(…)` a group of one stays a group. */
  function followed(left: Spec, step: Spec): Spec {
    if (left.kind !== "group") return joined([left, step]);
    return counted({ kind: "chord", header: left.members, body: step }, names);
  }
  function counted(chord: Chord, counter: { count: number }): Spec {
    const header = chord.header.map((member) => {
      if (!endsInGroup(member)) return member;
      counter.count += 1;
      return followed(member, { kind: "task", label: `${ACCUMULATE}${counter.count}`, immutable: false });
    });
    return { ...chord, header };
  }
}

/** Chains in chains are one, a group of one is its member. */
function stepsOf(step: Spec): readonly Spec[] {
  if (step.kind === "chain") return step.steps.flatMap(stepsOf);
  return step.kind === "group" && step.members.length === 1 ? step.members.flatMap(stepsOf) : [step];
}

function membersOf(member: Spec): readonly Spec[] {
  return member.kind === "group" ? member.members.flatMap(membersOf) : [member];
}
