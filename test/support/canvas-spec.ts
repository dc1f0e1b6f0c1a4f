/**
 * Canvases as plain data, and what they come to: a reference that knows nothing of messages. Its one task, `demo.wrap`,
 * gives its label and what it was given, so that a result shows what was put where.
 */
import { type AnySignature, type Celery, chain, chord, group } from "petiole";

export type Spec =
  | { readonly kind: "task"; readonly label: string; readonly immutable: boolean }
  | { readonly kind: "chain"; readonly steps: readonly Spec[] }
  | { readonly kind: "group"; readonly members: readonly Spec[] }
  | { readonly kind: "chord"; readonly header: readonly Spec[]; readonly body: Spec };

/** A task that takes what comes before it. */
export const w = (label: string): Spec => ({ kind: "task", label, immutable: false });
/** A task that does not. */
export const wi = (label: string): Spec => ({ kind: "task", label, immutable: true });
export const ch = (...all: readonly Spec[]): Spec => ({ kind: "chain", steps: all });
export const gr = (...all: readonly Spec[]): Spec => ({ kind: "group", members: all });
export const co = (header: readonly Spec[], body: Spec): Spec => ({ kind: "chord", header, body });

/** What it gives when it gets `args`. */
export function evaluate(spec: Spec, args: readonly unknown[] = []): unknown {
  switch (spec.kind) {
    case "task":
      return spec.immutable ? [spec.label] : [spec.label, ...args];
    case "chain":
      return steps(spec.steps).reduce<readonly unknown[]>((given, step) => [evaluate(step, given)], args)[0];
    case "group":
      return members(spec.members).map((member) => evaluate(member, args));
    case "chord":
      return evaluate(spec.body, [evaluate({ kind: "group", members: spec.header }, args)]);
  }
}

/** A group of one in a chain is its member, chains in chains are one. */
function steps(all: readonly Spec[]): readonly Spec[] {
  return all.flatMap((step) => {
    if (step.kind === "chain") return steps(step.steps);
    return step.kind === "group" && step.members.length === 1 ? steps(step.members) : [step];
  });
}

/** Groups in groups are one; a chain of nothing but a group is that group. */
function members(all: readonly Spec[]): readonly Spec[] {
  return all.flatMap((member) => {
    if (member.kind === "group") return members(member.members);
    const [only, ...others] = member.kind === "chain" ? steps(member.steps) : [];
    return only?.kind === "group" && others.length === 0 ? members(only.members) : [member];
  });
}

/** With the public API. */
export function build(app: Celery, spec: Spec): AnySignature {
  const wrap = app.remote<(...values: unknown[]) => unknown>("demo.wrap");
  switch (spec.kind) {
    case "task":
      return spec.immutable ? wrap.si(spec.label) : (wrap.s(spec.label) as AnySignature);
    case "chain":
      return (chain as (...all: AnySignature[]) => AnySignature)(...spec.steps.map((one) => build(app, one)));
    case "group":
      return group(spec.members.map((one) => build(app, one))) as AnySignature;
    case "chord":
      return chord(
        spec.header.map((one) => build(app, one)),
        build(app, spec.body) as never,
      ) as AnySignature;
  }
}

/** The same for a Python client: defines `build(spec)`. */
export const PYTHON_BUILD = `
def build(spec):
    kind = spec["kind"]
    if kind == "task":
        return wrap.si(spec["label"]) if spec["immutable"] else wrap.s(spec["label"])
    if kind == "chain":
        return chain(*[build(one) for one in spec["steps"]])
    if kind == "group":
        return group([build(one) for one in spec["members"]])
    return chord([build(one) for one in spec["header"]], build(spec["body"]))
`;
