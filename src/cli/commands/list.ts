/** `petiole list`: what the broker knows of the app's queues. Python: `celery/bin/list.py`. */
import { internalsOf } from "../../app/internals.ts";
import { PetioleError } from "../../errors.ts";
import type { QueueDeclaration, Transport } from "../../transports/transport.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import type { RemoteOptions } from "../remote.ts";

type Row = readonly [string, string | number, string];

export async function list(invocation: Invocation): Promise<ExitCode> {
  const { io } = invocation;
  const { json = false } = invocation.options as RemoteOptions;
  const [what = ""] = invocation.args;
  if (what !== "bindings" && what !== "queues") {
    throw new PetioleError(
      "PET_USAGE",
      `there is no list of ${JSON.stringify(what)}: say bindings or queues`,
    );
  }
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const queues = internals.consumedQueues([], []);
    const transport = await internals.openTransport("producer");
    try {
      await transport.start(new AbortController().signal);
      const rows = what === "bindings" ? await bindings(transport, queues) : await sizes(transport, queues);
      const title: Row =
        what === "bindings" ? ["Queue", "Exchange", "Routing Key"] : ["Queue", "Messages", "Exchange"];
      io.out(json ? jsonOf(title, rows) : table(title, rows));
    } finally {
      await transport.stop();
    }
    return 0;
  } finally {
    await app.close();
  }
}

/** Of every exchange that the app's queues have, whoever bound them. */
async function bindings(transport: Transport, queues: readonly QueueDeclaration[]): Promise<readonly Row[]> {
  await transport.declare(queues);
  const rows: Row[] = [];
  for (const exchange of new Set(queues.map((queue) => queue.exchange))) {
    for (const { queue, routingKey } of await transport.bindings(exchange)) {
      rows.push([queue, exchange, routingKey]);
    }
  }
  return rows;
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
