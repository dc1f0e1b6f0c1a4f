/**
 * Every command of remote control, as data: workers bind the arguments of a request by it, command lines read their words
 * by it. Python: the decorators in `celery/worker/control.py`.
 */

/** How a word of a command line becomes an argument. */
export type WordType = "text" | "integer" | "number" | "switch";

/** What a handler of {@link ControlCommandOptions} is told of the worker it runs in. */
export interface ControlWorker {
  /** Node name. */
  readonly hostname: string;
}

/** Options of `app.control.command`. */
export interface ControlCommandOptions {
  /** `inspect` only looks; `control` changes something, and can be switched off in a worker. Default: `control`. */
  readonly type?: "inspect" | "control" | undefined;
  /** Names of arguments, in the order of a command line's words. */
  readonly args?: readonly string[] | undefined;
  /** The argument that takes all further words, as a list. */
  readonly variadic?: string | undefined;
  /** One line for `petiole inspect --list`. */
  readonly help?: string | undefined;
}

/** What a command does: its value is the reply, an error that it throws is replied as Python's `repr` of it. */
export type ControlHandler = (args: Readonly<Record<string, unknown>>, worker: ControlWorker) => unknown;

/** A command that an app defines itself. */
export interface OwnCommand {
  readonly info: ControlCommandInfo;
  readonly run: ControlHandler;
}

/** One command. */
export interface ControlCommandInfo {
  readonly name: string;
  readonly type: "inspect" | "control";
  /** An older name that does the same. */
  readonly alias: string | null;
  /** Parameters without a default, in Python's order. */
  readonly required: readonly string[];
  /** Parameters with one; null: whatever else is given is ignored. */
  readonly optional: readonly string[] | null;
  /** What the words of a command line are. */
  readonly words: readonly (readonly [name: string, type: WordType])[];
  readonly variadic: string | null;
  /** Shown after the name: `<task_name> <soft_secs> [hard_secs]`. */
  readonly signature: string;
  readonly help: string;
  /** Not listed. */
  readonly hidden: boolean;
}

function command(
  name: string,
  type: "inspect" | "control",
  given: Partial<Omit<ControlCommandInfo, "name" | "type">>,
): ControlCommandInfo {
  return {
    name,
    type,
    alias: null,
    required: [],
    optional: null,
    words: [],
    variadic: null,
    signature: "",
    help: "",
    hidden: false,
    ...given,
  };
}

const TABLE: readonly ControlCommandInfo[] = [
  command("report", "inspect", { optional: [], help: "Versions and settings, for bug reports." }),
  command("conf", "inspect", {
    alias: "dump_conf",
    words: [["with_defaults", "switch"]],
    signature: "[include_defaults=False]",
    help: "List configuration.",
  }),
  command("query_task", "inspect", {
    required: ["ids"],
    variadic: "ids",
    signature: "[id1 [id2 [... [idN]]]]",
    help: "Query for task information by id.",
  }),
  command("clock", "inspect", { help: "Get current logical clock value." }),
  command("hello", "inspect", { required: ["from_node"], hidden: true, help: "Request mingle sync-data." }),
  command("ping", "inspect", { help: "Ping worker(s)." }),
  command("stats", "inspect", { help: "Request worker statistics/information." }),
  command("scheduled", "inspect", {
    alias: "dump_schedule",
    help: "List of currently scheduled ETA/countdown tasks.",
  }),
  command("reserved", "inspect", {
    alias: "dump_reserved",
    help: "List of currently reserved tasks, not including scheduled/active.",
  }),
  command("active", "inspect", {
    alias: "dump_active",
    help: "List of tasks currently being executed.",
  }),
  command("revoked", "inspect", { alias: "dump_revoked", help: "List of revoked task-ids." }),
  command("registered", "inspect", {
    alias: "dump_tasks",
    variadic: "taskinfoitems",
    signature: "[attr1 [attr2 [... [attrN]]]]",
    help: "List of registered tasks.",
  }),
  command("active_queues", "inspect", {
    optional: [],
    help: "List the task queues a worker is currently consuming from.",
  }),
  command("memsample", "inspect", { help: "Sample current RSS memory usage." }),
  command("memdump", "inspect", {
    words: [["samples", "integer"]],
    signature: "[n_samples=10]",
    help: "Dump statistics of previous memsample requests.",
  }),
  command("revoke", "control", {
    required: ["task_id"],
    variadic: "task_id",
    signature: "[id1 [id2 [... [idN]]]]",
    help: "Revoke task by task id (or list of ids).",
  }),
  command("revoke_by_stamped_headers", "control", {
    required: ["headers"],
    variadic: "headers",
    signature: "[key1=value1 [key2=value2 [... [keyN=valueN]]]]",
    help: "Revoke task by header (or list of headers).",
  }),
  command("terminate", "control", {
    required: ["signal", "task_id"],
    words: [["signal", "text"]],
    variadic: "task_id",
    signature: "<signal> [id1 [id2 [... [idN]]]]",
    help: "Terminate task by task id (or list of ids).",
  }),
  command("rate_limit", "control", {
    required: ["task_name", "rate_limit"],
    words: [
      ["task_name", "text"],
      ["rate_limit", "text"],
    ],
    signature: "<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
    help: "Tell worker(s) to modify the rate limit for a task by type.",
  }),
  command("time_limit", "control", {
    words: [
      ["task_name", "text"],
      ["soft", "number"],
      ["hard", "number"],
    ],
    signature: "<task_name> <soft_secs> [hard_secs]",
    help: "Tell worker(s) to modify the time limit for task by type.",
  }),
  command("enable_events", "control", {
    optional: [],
    help: "Tell worker(s) to send task-related events.",
  }),
  command("disable_events", "control", {
    optional: [],
    help: "Tell worker(s) to stop sending task-related events.",
  }),
  command("heartbeat", "control", {
    optional: [],
    help: "Tell worker(s) to send event heartbeat immediately.",
  }),
  command("election", "control", {
    required: ["id", "topic"],
    optional: ["action"],
    hidden: true,
    help: "Hold election.",
  }),
  command("pool_grow", "control", {
    words: [["n", "integer"]],
    signature: "[N=1]",
    help: "Grow pool by n processes/threads.",
  }),
  command("pool_shrink", "control", {
    words: [["n", "integer"]],
    signature: "[N=1]",
    help: "Shrink pool by n processes/threads.",
  }),
  command("pool_restart", "control", { help: "Restart execution pool." }),
  command("autoscale", "control", {
    optional: ["max", "min"],
    words: [
      ["max", "integer"],
      ["min", "integer"],
    ],
    signature: "[max [min]]",
    help: "Modify autoscale settings.",
  }),
  command("shutdown", "control", { help: "Shutdown worker(s)." }),
  command("add_consumer", "control", {
    required: ["queue"],
    words: [
      ["queue", "text"],
      ["exchange", "text"],
      ["exchange_type", "text"],
      ["routing_key", "text"],
    ],
    signature: "<queue> [exchange [type [routing_key]]]",
    help: "Tell worker(s) to consume from task queue by name.",
  }),
  command("cancel_consumer", "control", {
    required: ["queue"],
    words: [["queue", "text"]],
    signature: "<queue>",
    help: "Tell worker(s) to stop consuming from task queue by name.",
  }),
];

/** Celery's commands by name. */
export const CONTROL_COMMANDS: ReadonlyMap<string, ControlCommandInfo> = new Map(
  TABLE.map((info) => [info.name, info]),
);

/** The data of a command that an app defines itself. */
export function ownCommandInfo(name: string, options: ControlCommandOptions): ControlCommandInfo {
  const { type = "control", args = [], variadic = null, help = "" } = options;
  const signature = [...args.map((arg) => `<${arg}>`), ...(variadic === null ? [] : [`[${variadic}...]`])];
  return command(name, type, {
    words: args.map((arg) => [arg, "text"] as const),
    variadic,
    signature: signature.join(" "),
    help,
  });
}
