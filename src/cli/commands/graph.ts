/** `petiole graph`: what belongs together, as a picture. Python: `celery/bin/graph.py`. */
import type { Celery } from "../../app/app.ts";
import type { ControlOptions } from "../../app/control-types.ts";
import { type AppInternals, internalsOf } from "../../app/internals.ts";
import { settingsTable } from "../../app/report.ts";
import { workerSteps } from "../../worker/index.ts";
import { type Graph, type GraphEdge, type GraphNode, type NodeKind, toDot } from "../dot.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import { noReply, type RemoteOptions } from "../remote.ts";
import { wordOf } from "../words.ts";
import { bindingsOf } from "./list.ts";

export async function graph(invocation: Invocation): Promise<ExitCode> {
  const { timeout = 1, destination, json = false } = invocation.options as RemoteOptions;
  const draw = wordOf(GRAPHS, invocation.args[0] ?? "", "graph");
  const app = await openApp(invocation, { needsModule: false });
  try {
    await internalsOf(app).finalize();
    const drawn = await draw(app, { timeout, destination });
    invocation.io.out(json ? jsonLine(drawn) : toDot(drawn));
    return 0;
  } finally {
    await app.close();
  }
}

const GRAPHS: Readonly<Record<string, (app: Celery, whom: ControlOptions) => Graph | Promise<Graph>>> = {
  bindings,
  workers,
  bootsteps,
};

/** Collects nodes by id, once each. */
class Drawing {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #edges: GraphEdge[] = [];

  node(kind: NodeKind, name: string, label = name): string {
    const id = `${kind}:${name}`;
    if (!this.#nodes.has(id)) this.#nodes.set(id, { id, label, kind });
    return id;
  }

  edge(from: string, to: string, label?: string): void {
    this.#edges.push(label === undefined ? { from, to } : { from, to, label });
  }

  get graph(): Graph {
    return { nodes: [...this.#nodes.values()], edges: this.#edges };
  }
}

function bootsteps(app: Celery): Graph {
  const drawing = new Drawing();
  const steps = workerSteps(app);
  for (const { name } of steps) drawing.node("step", name);
  for (const { name, requires } of steps) {
    for (const other of requires) drawing.edge(drawing.node("step", other), drawing.node("step", name));
  }
  return drawing.graph;
}

async function bindings(app: Celery): Promise<Graph> {
  const internals = internalsOf(app);
  const drawing = new Drawing();
  const transport = await internals.openTransport("producer");
  try {
    await transport.start(new AbortController().signal);
    for (const { queue, exchange, routingKey } of await bindingsOf(
      transport,
      internals.consumedQueues([], []),
    )) {
      drawing.edge(drawing.node("exchange", exchange), drawing.node("queue", queue), routingKey);
    }
  } finally {
    await transport.stop();
  }
  return drawing.graph;
}

async function workers(app: Celery, whom: ControlOptions): Promise<Graph> {
  const inspect = app.control.inspect(whom);
  const [stats, queues] = await Promise.all([inspect.stats(), inspect.activeQueues()]);
  if (Object.keys(stats).length === 0) throw noReply();
  const { broker, backend } = urlsOf(internalsOf(app));
  const drawing = new Drawing();
  const brokerId = drawing.node("broker", broker);
  for (const [name, fields] of Object.entries(stats)) {
    const worker = drawing.node("worker", name, `${name}\n${slotsOf(fields)}`);
    for (const queue of queues[name] ?? []) {
      const id = drawing.node("queue", queue.name);
      drawing.edge(id, worker);
    }
    if (backend !== null) drawing.edge(worker, drawing.node("backend", backend));
  }
  for (const { id, kind } of drawing.graph.nodes) if (kind === "queue") drawing.edge(brokerId, id);
  return drawing.graph;
}

function slotsOf(stats: unknown): string {
  const { pool } = stats as { readonly pool?: Readonly<Record<string, unknown>> };
  const slots = pool?.["max-concurrency"];
  return typeof slots === "number" ? `${slots} ${slots === 1 ? "slot" : "slots"}` : "";
}

function first(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : value;
}

/** Without passwords. */
function urlsOf({ conf }: AppInternals): { readonly broker: string; readonly backend: string | null } {
  const shown = settingsTable(conf, { withDefaults: true });
  const [broker, backend] = [first(shown["broker_url"]), first(shown["result_backend"])];
  return {
    broker: typeof broker === "string" ? broker : "broker",
    backend: typeof backend === "string" ? backend : null,
  };
}
