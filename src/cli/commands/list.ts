/** `petiole list`: what the broker knows of the app's queues. Python: `celery/bin/list.py`. */
import { internalsOf } from "../../app/internals.ts";
import type { QueueDeclaration, Transport } from "../../transports/transport.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import type { RemoteOptions } from "../remote.ts";
import { wordOf } from "../words.ts";

/** A queue that an exchange sends messages of this key to. */
export interface Binding {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
}

type Row = readonly [string, string | number, string];

export async function list(invocation: Invocation): Promise<ExitCode> {
  const { io } = invocation;
  const { json = false } = invocation.options as RemoteOptions;
  const [what = ""] = invocation.args;
  const { title, read } = wordOf(LISTS, what, "list");
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const queues = internals.consumedQueues([], []);
    const transport = await internals.openTransport("producer");
    try {
      await transport.start(new AbortController().signal);
      const rows = await read(transport, queues);
      io.out(json ? jsonOf(title, rows) : table(title, rows));
    } finally {
      await transport.stop();
    }
    return 0;
  } finally {
    await app.close();
  }
}

const LISTS = {
  bindings: { title: ["Queue", "Exchange", "Routing Key"] satisfies Row, read: bindings },
  queues: { title: ["Queue", "Messages", "Exchange"] satisfies Row, read: sizes },
};

/** Of every exchange that the app's queues have, whoever bound them. */
export async function bindingsOf(
  transport: Transport,
  queues: readonly QueueDeclaration[],
): Promise<readonly Binding[]> {
  await transport.declare(queues);
  const found: Binding[] = [];
  for (const exchange of new Set(queues.map((queue) => queue.exchange))) {
    for (const { queue, routingKey } of await transport.bindings(exchange)) {
      found.push({ queue, exchange, routingKey });
    }
  }
  return found;
}

async function bindings(transport: Transport, queues: readonly QueueDeclaration[]): Promise<readonly Row[]> {
  return (await bindingsOf(transport, queues)).map((one) => [one.queue, one.exchange, one.routingKey]);
}

async function sizes(transport: Transport, queues: readonly QueueDeclaration[]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const { name, exchange } of queues) rows.push([name, await transport.size(name), exchange]);
  return rows;
}

const WIDTH = 28;
const LINE = "-".repeat(16);

function table(title: Row, rows: readonly Row[]): string {
  const line = (row: Row): string => `${row[0].padEnd(WIDTH)} ${String(row[1]).padEnd(WIDTH)} ${row[2]}\n`;
  return [title, [LINE, LINE, LINE] as const, ...rows].map(line).join("");
}

function jsonOf(title: Row, rows: readonly Row[]): string {
  const names = title.map((word) => String(word).toLowerCase().replaceAll(" ", "_"));
  const named = rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index]])));
  return jsonLine(named);
}
