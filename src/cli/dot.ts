/** A graph, and its text in graphviz's language. */

export interface GraphNode {
  readonly id: string;
  /** `\n` begins a line. */
  readonly label: string;
  readonly kind: NodeKind;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly label?: string;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export type NodeKind = "broker" | "backend" | "worker" | "queue" | "exchange" | "step";

const LOOKS: Readonly<Record<NodeKind, string>> = {
  broker: 'shape=circle, fillcolor="lightblue"',
  backend: 'shape=folder, fillcolor="bisque"',
  worker: 'shape=box, fillcolor="palegreen"',
  queue: 'shape=cds, fillcolor="lightyellow"',
  exchange: 'shape=hexagon, fillcolor="lightgrey"',
  step: 'shape=box, fillcolor="white"',
};

export function toDot({ nodes, edges }: Graph): string {
  const lines = [
    ...nodes.map(({ id, label, kind }) => `  ${quoted(id)} [label=${quoted(label)}, ${LOOKS[kind]}];`),
    ...edges.map(({ from, to, label }) => {
      const attributes = label === undefined ? "" : ` [label=${quoted(label)}]`;
      return `  ${quoted(from)} -> ${quoted(to)}${attributes};`;
    }),
  ];
  return `digraph petiole {\n  rankdir=LR;\n  node [style=filled, fontname="Helvetica"];\n${lines.join("\n")}\n}\n`;
}

/** Names come from strangers: nothing in them ends the quotes. */
function quoted(text: string): string {
  const plain = text
    .replaceAll(/(?!\n)\p{Cc}/gu, " ")
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"');
  return `"${plain.replaceAll("\n", "\\n")}"`;
}
