/** `petiole migrate`: from a SQLite file to another broker. Python: `celery/bin/migrate.py`, `celery.contrib.migrate`. */
import { setTimeout as pause } from "node:timers/promises";
import { internalsOf } from "../../app/internals.ts";
import { PetioleError } from "../../errors.ts";
import { openTransport } from "../../transports/index.ts";
import type { SqliteTransport } from "../../transports/sqlite/index.ts";
import type { Transport, TransportOptions } from "../../transports/transport.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface MigrateOptions {
  readonly limit?: number;
  readonly tasks?: readonly string[];
  readonly queues?: readonly string[];
  readonly ackMessages?: boolean;
  readonly timeout?: number;
  readonly forever?: boolean;
  readonly json?: boolean;
}

interface Totals {
  readonly tasks: number;
  readonly parked: number;
  readonly held: number;
}

const LOOK_MS = 100;

export async function migrate(invocation: Invocation): Promise<ExitCode> {
  const [source = "", destination = ""] = invocation.args;
  if (!/^sqlite:/i.test(source)) {
    throw new PetioleError(
      "PET_UNSUPPORTED",
      "petiole migrate takes tasks out of sqlite:///path/to/file.db only; between other brokers use Python's celery migrate",
    );
  }
  const { SqliteTransport: Source } = await import("../../transports/sqlite/index.ts");
  const app = await openApp(invocation, { needsModule: false });
  const internals = internalsOf(app);
  await internals.finalize();
  const { conf, logger, clock, limits } = internals;
  const { brokerUseSsl: ssl } = conf;
  const common: Omit<TransportOptions, "url" | "role"> = {
    tls: typeof ssl === "object" && ssl !== null ? { ...ssl } : ssl,
    options: {},
    logger,
    clock,
    limits,
    defaultQueue: conf.taskDefaultQueue ?? "celery",
    clientName: conf.redisClientName,
  };
  const from = new Source({ ...common, url: source, role: "worker" });
  const to = await openTransport({ ...common, url: destination, role: "producer" });
  try {
    const { signal } = new AbortController();
    await to.start(signal);
    await from.start(signal);
    const totals = await carry(from, to, invocation);
    say(totals, invocation);
    return 0;
  } finally {
    await Promise.allSettled([from.stop(), to.stop()]);
    await app.close();
  }
}

/** Until nothing comes any more. */
async function carry(from: SqliteTransport, to: Transport, { options }: Invocation): Promise<Totals> {
  const { limit, tasks, queues, ackMessages, timeout = 1, forever } = options as MigrateOptions;
  const migration = from.migration({
    move: ackMessages === true,
    queues: queues === undefined ? null : new Map(queues.map(renamed)),
    tasks: tasks === undefined ? null : new Set(tasks),
    limit: limit ?? Number.POSITIVE_INFINITY,
    publish: (messages) => to.publish(messages, null),
  });
  const interrupted = new AbortController();
  const end = (): void => interrupted.abort();
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
  let total = { tasks: 0, parked: 0 };
  try {
    let last = performance.now();
    while (!migration.done && !interrupted.signal.aborted) {
      const found = await migration.run();
      total = { tasks: total.tasks + found.tasks, parked: total.parked + found.parked };
      if (found.tasks > 0) last = performance.now();
      else if (forever !== true && performance.now() - last >= timeout * 1000) break;
      if (!migration.done) await pause(LOOK_MS);
    }
  } finally {
    process.off("SIGINT", end);
    process.off("SIGTERM", end);
  }
  return { ...total, held: migration.held() };
}

/** `old:new`, or the name of both. */
function renamed(name: string): readonly [string, string] {
  const at = name.indexOf(":");
  return at < 0 ? [name, name] : [name.slice(0, at), name.slice(at + 1)];
}

function say({ tasks, parked, held }: Totals, { io, options }: Invocation): void {
  const { ackMessages: moved = false, json = false } = options as MigrateOptions;
  if (json) {
    io.out(jsonLine({ migrated: tasks, parked, held, moved }));
    return;
  }
  const what = `${tasks} ${tasks === 1 ? "task" : "tasks"}`;
  io.out(`${moved ? "Moved" : "Copied"} ${what}, ${parked} of them parked.\n`);
  if (held > 0) io.err(`${held} more are held by workers: stop them, and run this again.\n`);
}
