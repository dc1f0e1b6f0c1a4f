/** Commands about the worker itself. */
import { bugReport, settingsTable } from "../../app/report.ts";
import { version } from "../../base/version.ts";
import type { WorkerContext } from "../context.ts";
import { MAX_ID_LENGTH } from "../revoked.ts";
import { type Arguments, flagOf, textOf } from "./arguments.ts";
import { CommandError, textRepr } from "./errors.ts";
import { type CommandGroup, type ControlState, NO_REPLY, ok } from "./state.ts";
import { stats } from "./stats.ts";

/** Samples of `memsample` that `memdump` shows. */
const SAMPLES = 10;
const samples: string[] = [];

function mb(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(2)}MB`;
}

export const WORKER_COMMANDS: CommandGroup = {
  ping: () => ok("pong"),

  clock: ({ context }) => ({ clock: context.app.lamport.value }),

  report: ({ context }) => ok(bugReport(context.app.conf, version())),

  conf({ context }, args) {
    const withDefaults = flagOf(args, "with_defaults");
    const table = settingsTable(context.app.conf, { withDefaults });
    if (!withDefaults || context.app.conf.workerPrefetchMultiplier !== null) return table;
    // Depends on the pool where nobody has set it: what came of it.
    return { ...table, worker_prefetch_multiplier: context.settings.prefetchMultiplier };
  },

  stats,

  hello,

  /** As Celery's: resident memory, in words; the samples are kept for `memdump`. */
  memsample() {
    const sample = mb(process.memoryUsage.rss());
    samples.push(sample);
    if (samples.length > SAMPLES) samples.shift();
    return sample;
  },

  memdump() {
    const { heapUsed, external } = process.memoryUsage();
    const lines = samples.map((sample, index) => `- rss (sample ${index}): ${sample}`);
    return [...lines, `- heap: ${mb(heapUsed)}, external: ${mb(external)}`, ""].join("\n");
  },

  shutdown({ context }, args) {
    const text = args["msg"] === undefined ? "Got shutdown from remote" : textOf(args, "msg");
    context.logger.warn({ text }, "shutdown was asked for by remote control");
    setImmediate(() => context.requestStop());
    return NO_REPLY;
  },
};

/** Another worker starts, and synchronises: what it knows to be revoked is taken over, what is known here is told. */
function hello({ context }: ControlState, args: Arguments): unknown {
  const { settings, revoked, app, logger } = context;
  const from = textOf(args, "from_node");
  if (from === settings.hostname) return null;
  logger.info({ node: from }, "synchronised with another worker");
  if (!settings.controlReadOnly) takeOver(context, args["revoked"]);
  const known = revoked.ids.entries().map(([id, stamp]) => [id, [stamp, id]] as const);
  return { revoked: Object.fromEntries(known), clock: app.lamport.forward() };
}

/** What another worker says is revoked: `{id: [stamp, id]}`, `{id: stamp}`, or a list of ids. @throws CommandError */
export function takeOver({ revoked, state }: Pick<WorkerContext, "revoked" | "state">, given: unknown): void {
  if (given === undefined || given === null) return;
  // Ids that a state DB keeps have an age of their own; those that are new here are kept from now on.
  const news: string[] = [];
  const add = (id: string, stamp: number | null): void => {
    if (state === null) revoked.ids.add(id, stamp);
    else if (!revoked.ids.has(id)) news.push(id);
  };
  if (Array.isArray(given)) {
    for (const id of given) if (isId(id)) add(id, null);
  } else if (typeof given === "object") takeOverStamped(given, add);
  else throw new CommandError("TypeError", "revoked must be an object, or a list");
  if (state === null || news.length === 0) return;
  revoked.addAll({ ids: news, stamps: [] });
  void state.record({ ids: news, stamps: [] });
}

function takeOverStamped(given: object, add: (id: string, stamp: number) => void): void {
  for (const [id, value] of Object.entries(given)) {
    const stamp: unknown = Array.isArray(value) ? value[0] : value;
    if (typeof stamp !== "number" || !Number.isFinite(stamp)) {
      throw new CommandError("ValueError", `Expecting float timestamp, got ${textRepr(typeof stamp)}`);
    }
    if (isId(id)) add(id, stamp);
  }
}

function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_ID_LENGTH;
}
