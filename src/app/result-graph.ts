/**
 * The tree of results below one, as a graph. Python: `AsyncResult.iterdeps` and `build_graph`, `celery/utils/graph.py`.
 *
 * What a task has sent is known when it is over. What other programs stored is not trusted: a result that names one above it
 * is not followed a second time.
 */
import { PetioleError } from "../errors.ts";
import type { AsyncResult, GraphOptions, ResultGraph } from "./result-types.ts";

type Result = AsyncResult<unknown>;
export type Dependency = readonly [parent: Result | null, result: Result];

/** A result as the graph needs it: a group that a task has sent is one child. */
export interface Dependent extends Result {
  dependents(): Promise<readonly Result[]>;
}

/** From outside in, level by level. @throws PetioleError `PET_RESULT_INCOMPLETE` */
export async function* iterdeps(
  root: Result,
  { intermediate = false }: GraphOptions,
): AsyncGenerator<Dependency, void, void> {
  const level: Dependency[] = [[null, root]];
  const followed = new Set<string>();
  for (let next = level.shift(); next !== undefined; next = level.shift()) {
    yield next;
    const [, result] = next;
    if (followed.has(result.id)) continue;
    followed.add(result.id);
    if (await result.ready()) {
      for (const child of await (result as Dependent).dependents()) level.push([result, child]);
    } else if (!intermediate) {
      throw new PetioleError(
        "PET_RESULT_INCOMPLETE",
        `task ${result.id} is not over: what it sends is not known yet. Wait for it, or ask for what there is with { intermediate: true }`,
      );
    }
  }
}

/** The value of the last one, which all are waited for. */
export async function leafOf(root: Result): Promise<unknown> {
  let value: unknown = null;
  for await (const [, result] of iterdeps(root, {})) value = await result.get();
  return value;
}

export async function graphOf(root: Result, options: GraphOptions): Promise<ResultGraph> {
  const results = new Map<string, Result>();
  const edges: (readonly [from: string, to: string])[] = [];
  for await (const [parent, result] of iterdeps(root, options)) {
    if (!results.has(result.id)) results.set(result.id, result);
    if (parent !== null) edges.push([parent.id, result.id]);
  }
  return { results: [...results.values()], edges, toDot: () => dotOf(root.id, [...results.keys()], edges) };
}

type Attributes = Readonly<Record<string, string>>;
/** As Celery draws them. */
const ALL: Attributes = { shape: "oval", arrowhead: "vee", style: "filled", fontname: "HelveticaNeue" };
const NODE: Attributes = { ...ALL, fillcolor: "palegreen3", color: "palegreen4" };
const LEAF: Attributes = { ...ALL, fillcolor: "palegreen1", color: "palegreen2" };
const EDGE: Attributes = { ...ALL, color: "darkseagreen4", arrowcolor: "black", arrowsize: "0.7" };

function dotOf(root: string, ids: readonly string[], edges: ResultGraph["edges"]): string {
  const below = grouped(edges);
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const id of ids) {
    const own = below.get(id) ?? [];
    if (!seen.has(id)) lines.push(`${quoted(id)} [${attributes(own.length === 0 ? LEAF : NODE)}]`);
    seen.add(id);
    for (const [from, to] of own) lines.push(`${quoted(from)} -> ${quoted(to)} [${attributes(EDGE)}]`);
  }
  const head = `graph [${attributes({ ...ALL, bgcolor: "mintcream", root })}]`;
  return `digraph dependencies {\n${[head, ...lines].map((line) => `    ${line}\n`).join("")}}\n`;
}

function grouped(edges: ResultGraph["edges"]): ReadonlyMap<string, ResultGraph["edges"]> {
  const found = new Map<string, (readonly [from: string, to: string])[]>();
  for (const edge of edges) {
    const own = found.get(edge[0]);
    if (own === undefined) found.set(edge[0], [edge]);
    else own.push(edge);
  }
  return found;
}

function attributes(given: Attributes): string {
  return Object.entries(given)
    .map(([name, value]) => `${name}=${quoted(value)}`)
    .join(", ");
}

function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
