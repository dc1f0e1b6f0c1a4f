/** Every command with its options, as data: the parser, the help, the environment and the completion scripts read it. */
import {
  count,
  expiry,
  instant,
  jsonList,
  jsonObject,
  list,
  oneOf,
  range,
  seconds,
  size,
  text,
} from "./values.ts";

/** One option. Its name in code is commander's: the long flag in camelCase. */
export interface OptionSpec {
  /** Commander's form: `-c, --concurrency <n>`; without `<…>` it is a switch. */
  readonly flags: string;
  readonly about: string;
  /** Heading in the help. */
  readonly group: string;
  /** Reads one use of it; `previous` is what an earlier use gave. Throws InvalidValue. */
  readonly parse?: (value: string, previous: unknown) => unknown;
  /** Variables besides `CELERY_<NAME>` (global) or `CELERY_<COMMAND>_<NAME>`. They come first. */
  readonly env?: readonly string[];
  /** Words to choose from, for completion. */
  readonly words?: readonly string[];
}

/** A positional argument. */
export interface ArgumentSpec {
  /** Commander's form: `<name>`, `[name]`, `[name...]`. */
  readonly name: string;
  readonly about: string;
  readonly words?: readonly string[];
}

export type CommandName =
  | "worker"
  | "call"
  | "result"
  | "inspect"
  | "control"
  | "status"
  | "list"
  | "report"
  | "purge"
  | "dead"
  | "events"
  | "complete";

export interface CommandSpec {
  readonly name: CommandName;
  readonly about: string;
  readonly arguments: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /** `[what is typed, what it does]` */
  readonly examples: readonly (readonly [string, string])[];
}

/** Before or after the command. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "-A, --app <module>",
    about: "module of the app, TypeScript or JavaScript; module:export picks one of several",
    group: "Global",
    parse: text,
    env: ["APP"],
  },
  {
    flags: "-b, --broker <url>",
    about: "broker instead of the app's",
    group: "Global",
    parse: text,
    env: ["BROKER_URL"],
  },
  {
    flags: "--result-backend <url>",
    about: "result backend instead of the app's",
    group: "Global",
    parse: text,
    env: ["RESULT_BACKEND"],
  },
  {
    flags: "--config <module>",
    about: "module of settings, read over the app's own",
    group: "Global",
    parse: text,
    env: ["CONFIG_MODULE"],
  },
  { flags: "--workdir <folder>", about: "change to this folder first", group: "Global", parse: text },
  { flags: "-C, --no-color", about: "plain text", group: "Global", env: ["NO_COLOR"] },
  { flags: "-q, --quiet", about: "only results and errors", group: "Global" },
];

/** Celery's levels. */
const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL"] as const;
const POOLS = ["async", "prefork", "threads", "solo"] as const;
/** Celery's names for two of them. */
const POOL_WORDS = [...POOLS, "processes", "gevent", "eventlet"] as const;
const SHELLS = ["bash", "zsh", "fish"] as const;

const QUEUES = { flags: "-Q, --queues <names>", parse: list } as const;
const EXCLUDE_QUEUES = { flags: "-X, --exclude-queues <names>", parse: list } as const;

const WORKER: CommandSpec = {
  name: "worker",
  about: "run tasks",
  arguments: [{ name: "[settings...]", about: "settings after --, such as worker.prefetch_multiplier=2" }],
  options: [
    {
      flags: "-n, --hostname <name>",
      about: "node name; %h is the host with its domain, %n without, %d the domain (default: celery@%h)",
      group: "Worker",
      parse: text,
    },
    { ...QUEUES, about: "consume only these queues, separated by commas", group: "Worker" },
    { ...EXCLUDE_QUEUES, about: "consume all queues but these", group: "Worker" },
    {
      flags: "-I, --include <modules>",
      about: "more task modules, separated by commas",
      group: "Worker",
      parse: list,
    },
    {
      flags: "--discard, --purge",
      about: "empty the queues before starting; there is no undo",
      group: "Worker",
    },
    {
      flags: "-c, --concurrency <n>",
      about: "tasks at once (default: 100 in the async pool, else the number of CPUs)",
      group: "Pool",
      parse: count,
    },
    {
      flags: "-P, --pool <name>",
      about:
        "how tasks run: async, in one event loop; prefork, in child processes; threads; solo, one at a time (default: async); processes is prefork, gevent and eventlet are async",
      group: "Pool",
      parse: oneOf(POOL_WORDS),
      words: POOLS,
    },
    {
      flags: "--prefetch-multiplier <n>",
      about:
        "messages reserved for each slot of the pool; 0 reserves without limit (default: 4; async: 1, at least 4 messages)",
      group: "Pool",
      parse: size,
    },
    {
      flags: "--autoscale <max,min>",
      about: "as many slots as there is work, between these; min is 0 when it is left out",
      group: "Pool",
      parse: range,
    },
    {
      flags: "--max-tasks-per-child <n>",
      about: "replace a child after so many tasks",
      group: "Pool",
      parse: count,
    },
    {
      flags: "--max-memory-per-child <KiB>",
      about: "replace a child process that has more memory after a task; of a thread it is the limit",
      group: "Pool",
      parse: count,
    },
    {
      flags: "--time-limit <seconds>",
      about: "hard limit of a task: it fails, and in prefork and threads its child is killed",
      group: "Pool",
      parse: seconds,
    },
    { flags: "--soft-time-limit <seconds>", about: "soft limit of a task", group: "Pool", parse: seconds },
    {
      flags: "--without-gossip",
      about: "do not listen to other workers: who is there, who is lost, elections",
      group: "Steps",
    },
    {
      flags: "--without-mingle",
      about: "do not ask other workers for revoked tasks at the start",
      group: "Steps",
    },
    {
      flags: "--control-read-only",
      about: "remote control may look (inspect), and change nothing (control)",
      group: "Steps",
    },
    {
      flags: "--without-heartbeat",
      about: "send no heartbeats: monitors and other workers see this one as gone",
      group: "Steps",
    },
    {
      flags: "--heartbeat-interval <seconds>",
      about: "time between two heartbeats (default: 2)",
      group: "Steps",
      parse: seconds,
    },
    {
      flags: "-E, --task-events",
      about: "publish events of tasks, for monitors such as petiole events and Flower",
      group: "Steps",
    },
    { flags: "--events", about: "the same as --task-events", group: "Steps" },
    {
      flags: "--print-steps",
      about: "print the order in which the worker starts its parts, and end",
      group: "Steps",
    },
    {
      flags: "-l, --loglevel <level>",
      about: `${LOG_LEVELS.join(", ")} (default: WARNING)`,
      group: "Logs",
      parse: oneOf(LOG_LEVELS),
      words: LOG_LEVELS,
    },
    {
      flags: "-f, --logfile <file>",
      about: "file to append to, instead of stderr; %n is the node name",
      group: "Logs",
      parse: text,
    },
    { flags: "--json", about: "log lines as JSON", group: "Logs" },
  ],
  examples: [
    ["petiole -A app.ts worker -l INFO", "run the tasks of app.ts, 100 at once"],
    ["petiole -A app worker -P prefork -c 4 -Q images,mail", "in four child processes, two queues"],
    ["petiole -A app worker -- worker.prefetch_multiplier=1", "with a setting"],
  ],
};

const CALL: CommandSpec = {
  name: "call",
  about: "send a task and print its id",
  arguments: [{ name: "<name>", about: "name of the task, known here or not" }],
  options: [
    {
      flags: "-a, --args <json>",
      about: "positional arguments, a JSON list",
      group: "Task",
      parse: jsonList,
    },
    {
      flags: "-k, --kwargs <json>",
      about: "keyword arguments, a JSON object",
      group: "Task",
      parse: jsonObject,
    },
    {
      flags: "--eta <time>",
      about: "start no sooner: ISO 8601, UTC without an offset",
      group: "Time",
      parse: instant,
    },
    {
      flags: "--countdown <seconds>",
      about: "start no sooner than so long from now",
      group: "Time",
      parse: seconds,
    },
    {
      flags: "--expires <seconds>",
      about: "start no later: seconds from now, or ISO 8601",
      group: "Time",
      parse: expiry,
    },
    {
      flags: "--serializer <name>",
      about: "json, msgpack, yaml (default: the app's)",
      group: "Routing",
      parse: text,
    },
    { flags: "--queue <name>", about: "queue instead of the route's", group: "Routing", parse: text },
    { flags: "--exchange <name>", about: "exchange instead of the route's", group: "Routing", parse: text },
    {
      flags: "--routing-key <key>",
      about: "routing key instead of the route's",
      group: "Routing",
      parse: text,
    },
  ],
  examples: [
    ["petiole -A app call shop.add -a '[2, 3]'", "add(2, 3)"],
    [`petiole -b redis://localhost call nlp.count -k '{"text": "a b"}'`, "a Python task, without an app"],
    ["petiole -A app call shop.report --countdown 60 --queue slow", "in a minute, on another queue"],
  ],
};

const RESULT: CommandSpec = {
  name: "result",
  about: "wait for a task and print its result",
  arguments: [{ name: "<id>", about: "id of the task" }],
  options: [
    {
      flags: "-t, --task <name>",
      about: "name of the task, when it has a backend of its own",
      group: "Result",
      parse: text,
    },
    { flags: "--traceback", about: "print the traceback instead", group: "Result" },
    {
      flags: "--timeout <seconds>",
      about: "wait no longer (default: as long as it takes)",
      group: "Result",
      parse: seconds,
    },
  ],
  examples: [["petiole -A app result 4b0e…", "the result as JSON; a failed task ends with exit code 1"]],
};

const JSON_OUT: OptionSpec = { flags: "-j, --json", about: "print JSON", group: "Output" };
const REMOTE: readonly OptionSpec[] = [
  {
    flags: "-t, --timeout <seconds>",
    about: "wait so long for replies (default: 1)",
    group: "Remote control",
    parse: seconds,
  },
  {
    flags: "-d, --destination <nodes>",
    about: "only these workers, separated by commas (default: all)",
    group: "Remote control",
    parse: list,
  },
  JSON_OUT,
];
const LIST_COMMANDS: OptionSpec = {
  flags: "--list",
  about: "print the commands there are, with their arguments",
  group: "Remote control",
};

const INSPECT: CommandSpec = {
  name: "inspect",
  about: "look into running workers, those of Python too",
  arguments: [
    { name: "[command]", about: "such as active, reserved, registered, stats; --list prints all" },
    { name: "[arguments...]", about: "of the command" },
  ],
  options: [...REMOTE, LIST_COMMANDS],
  examples: [
    ["petiole -A app inspect active", "tasks that run now"],
    ["petiole -b redis://localhost inspect stats -d celery@host -j", "one worker, as JSON"],
  ],
};

const CONTROL: CommandSpec = {
  name: "control",
  about: "steer running workers, those of Python too",
  arguments: [
    { name: "[command]", about: "such as revoke, rate_limit, add_consumer; --list prints all" },
    { name: "[arguments...]", about: "of the command" },
  ],
  options: [...REMOTE, LIST_COMMANDS],
  examples: [
    ["petiole -A app control rate_limit shop.report 10/m", "in every worker"],
    ["petiole -A app control terminate SIGTERM 4b0e…", "stop a task that runs"],
  ],
};

const STATUS: CommandSpec = {
  name: "status",
  about: "print which workers are online",
  arguments: [],
  options: REMOTE,
  examples: [["petiole -A app status", "exit code 69 when there is none"]],
};

const LISTS = ["bindings", "queues"] as const;
const LIST: CommandSpec = {
  name: "list",
  about: "print what the broker knows of the app's queues",
  arguments: [{ name: "<what>", about: LISTS.join(", "), words: LISTS }],
  options: [JSON_OUT],
  examples: [["petiole -A app list queues", "with the messages that wait in each"]],
};

const REPORT: CommandSpec = {
  name: "report",
  about: "print versions and settings for a bug report, without secrets",
  arguments: [],
  options: [JSON_OUT],
  examples: [["petiole -A app report", "the settings that differ from their defaults"]],
};

const PURGE: CommandSpec = {
  name: "purge",
  about: "delete all waiting messages of the app's queues",
  arguments: [],
  options: [
    { flags: "-f, --force", about: "do not ask", group: "Purge" },
    { ...QUEUES, about: "only these queues, separated by commas", group: "Purge" },
    { ...EXCLUDE_QUEUES, about: "all queues but these", group: "Purge" },
  ],
  examples: [["petiole -A app purge -Q mail -f", "empty the queue mail at once"]],
};

const DEAD_ACTIONS = ["list", "show", "requeue", "purge"] as const;

const DEAD: CommandSpec = {
  name: "dead",
  about: "look at the messages that were given up, put them back or delete them",
  arguments: [
    {
      name: "<action>",
      about: "list, show, requeue (put back into their queues), purge",
      words: DEAD_ACTIONS,
    },
    { name: "[id...]", about: "ids, or their beginnings, as list shows them" },
  ],
  options: [
    { ...QUEUES, about: "dead lists of these queues only, separated by commas", group: "Which" },
    { ...EXCLUDE_QUEUES, about: "of all queues but these", group: "Which" },
    {
      flags: "--task <pattern>",
      about: "tasks of this name; * stands for anything",
      group: "Which",
      parse: text,
    },
    { flags: "--reason <text>", about: "those whose reason has this text", group: "Which", parse: text },
    {
      flags: "--older-than <seconds>",
      about: "given up at least so long ago",
      group: "Which",
      parse: seconds,
    },
    {
      flags: "--newer-than <seconds>",
      about: "given up at most so long ago",
      group: "Which",
      parse: seconds,
    },
    { flags: "--all", about: "requeue, purge: all that the other options let through", group: "Which" },
    { flags: "-n, --limit <n>", about: "list: so many at most (default: 50)", group: "Output", parse: count },
    { flags: "--json", about: "list, show: one JSON object a line", group: "Output" },
    { flags: "-f, --force", about: "purge: do not ask", group: "Output" },
  ],
  examples: [
    ["petiole -A app dead list --newer-than 3600", "what was given up in the last hour"],
    ["petiole -A app dead show 4f1c", "all that is known of one message"],
    ["petiole -A app dead requeue --all --task 'mail.*'", "after the cause was mended"],
  ],
};

const EVENTS: CommandSpec = {
  name: "events",
  about: "print what workers and tasks do, as it happens",
  arguments: [],
  options: [
    { flags: "-d, --dump", about: "one line for each event, as Celery's", group: "Events" },
    { flags: "--json", about: "one JSON object for each event, with its names on the wire", group: "Events" },
  ],
  examples: [
    ["petiole -A app events --dump", "all events; tasks of workers that were started with -E"],
    [`petiole -A app events --json | jq 'select(.type == "task-failed")'`, "failures alone"],
  ],
};

const COMPLETE: CommandSpec = {
  name: "complete",
  about: "print a completion script for a shell",
  arguments: [{ name: "<shell>", about: SHELLS.join(", "), words: SHELLS }],
  options: [],
  examples: [
    [`source <(petiole complete bash)`, "in ~/.bashrc; zsh likewise in ~/.zshrc"],
    ["petiole complete fish > ~/.config/fish/completions/petiole.fish", "once"],
  ],
};

export const COMMANDS: readonly CommandSpec[] = [
  WORKER,
  CALL,
  RESULT,
  INSPECT,
  CONTROL,
  STATUS,
  LIST,
  REPORT,
  PURGE,
  DEAD,
  EVENTS,
  COMPLETE,
];

/** `-c, --concurrency <n>` taken apart. */
export function flagsOf(spec: OptionSpec): {
  readonly names: readonly string[];
  readonly long: string;
  /** Name in code: the last long flag in camelCase, without `no`. */
  readonly key: string;
  readonly takesValue: boolean;
} {
  const names = [...spec.flags.matchAll(/(?:^|[\s,])(--?[\w-]+)/g)].map((match) => match[1] ?? "");
  const long = names.at(-1) ?? "";
  const key = long.replace(/^--(no-)?/, "").replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return { names, long, key, takesValue: /[<[]/.test(spec.flags) };
}
