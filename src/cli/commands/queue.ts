/** `petiole queue`: pauses queues for every worker of ours, and resumes them. Python has no counterpart. */
import { internalsOf } from "../../app/internals.ts";
import { PetioleError } from "../../errors.ts";
import type { Transport } from "../../transports/transport.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import type { RemoteOptions } from "../remote.ts";
import { wordOf } from "../words.ts";

interface Scope {
  readonly transport: Transport;
  /** Of the app. */
  readonly queues: readonly string[];
  /** That were named. */
  readonly names: readonly string[];
}

interface Row {
  readonly queue: string;
  readonly waiting: number;
  /** ISO 8601; null: it is not paused. */
  readonly pausedSince: string | null;
}

const ACTIONS: Readonly<Record<string, (scope: Scope) => Promise<readonly Row[]>>> = {
  async pause({ transport, names }) {
    await transport.paused.pause(names);
    return rowsOf(transport, names);
  },
  async resume({ transport, names }) {
    await transport.paused.resume(names);
    return rowsOf(transport, names);
  },
  async list({ transport, queues, names }) {
    const paused = await transport.paused.list();
    const all = [...new Set([...queues, ...paused.map((one) => one.queue)])];
    return rowsOf(transport, names.length > 0 ? names : all);
  },
};

export async function queue(invocation: Invocation): Promise<ExitCode> {
  const { io } = invocation;
  const { json = false } = invocation.options as RemoteOptions;
  const [action = "", ...given] = invocation.args;
  const run = wordOf(ACTIONS, action, "queue");
  const names = [...new Set(given)];
  if (action !== "list" && names.length === 0) {
    throw new PetioleError("PET_USAGE", `say which queue to ${action}: petiole queue ${action} <name>`);
  }
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const queues = internals.consumedQueues([], []).map((one) => one.name);
    const transport = await internals.openTransport("producer");
    try {
      await transport.start(new AbortController().signal);
      const rows = await run({ transport, queues, names });
      io.out(json ? jsonLine(rows) : table(rows));
    } finally {
      await transport.stop();
    }
    return 0;
  } finally {
    await app.close();
  }
}

async function rowsOf(transport: Transport, names: readonly string[]): Promise<readonly Row[]> {
  const since = new Map((await transport.paused.list()).map((one) => [one.queue, one.sinceMs]));
  const rows: Row[] = [];
  for (const name of names) {
    const sinceMs = since.get(name);
    const pausedSince = sinceMs === undefined ? null : new Date(sinceMs).toISOString();
    rows.push({ queue: name, waiting: await transport.size(name), pausedSince });
  }
  return rows;
}

function table(rows: readonly Row[]): string {
  const cells = rows.map(({ queue: name, waiting, pausedSince }) => [
    name,
    String(waiting),
    pausedSince ?? "-",
  ]);
  const all = [["QUEUE", "WAITING", "PAUSED SINCE"], ...cells];
  const width = Math.max(...all.map(([name = ""]) => name.length)) + 2;
  const line = ([name = "", waiting = "", since = ""]: readonly string[]): string =>
    `${name.padEnd(width)}${waiting.padEnd(9)}${since}\n`;
  return all.map(line).join("");
}
