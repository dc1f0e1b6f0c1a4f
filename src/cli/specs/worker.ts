/** The words of `petiole worker`. */
import type { CommandSpec } from "../option-types.ts";
import { count, endpoint, list, oneOf, range, seconds, size, text } from "../values.ts";
import { EXCLUDE_QUEUES, IDENTITY, LOGLEVEL, QUEUES } from "./shared.ts";

const POOLS = ["async", "prefork", "threads", "solo"] as const;

/** Celery's names for two of them. */
const POOL_WORDS = [...POOLS, "processes", "gevent", "eventlet"] as const;

export const WORKER: CommandSpec = {
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
      flags: "-B, --beat",
      about: "send periodic tasks too; of several workers on one schedule file only one does",
      group: "Schedule",
    },
    {
      flags: "-s, --schedule-filename <file>",
      about: "with -B: file of what has run (default: celerybeat-schedule)",
      group: "Schedule",
      parse: text,
    },
    {
      flags: "--scheduler <name>",
      about: "with -B: where it is kept what has run (default: celery.beat:PersistentScheduler)",
      group: "Schedule",
      parse: text,
    },
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
      flags: "-S, --statedb <where>",
      about:
        "keep revoked tasks here across restarts: a file (%n is the node name), or redis://…, which all workers share",
      group: "State",
      parse: text,
    },
    {
      flags: "--redis-statedb <url>",
      about: "the same on Redis, in place of or beside a file (default: $REDIS_STATEDB_URL)",
      group: "State",
      parse: text,
    },
    {
      flags: "--migrate-statedb <file>",
      about: "take over the state of a file once, and rename it; - reads standard input",
      group: "State",
      parse: text,
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
    LOGLEVEL,
    {
      flags: "-f, --logfile <file>",
      about: "file to append to, instead of stderr; %n is the node's name, %h its host; SIGHUP opens it anew",
      group: "Logs",
      parse: text,
    },
    {
      flags: "--health-port <port>",
      about: "answer /livez and /readyz over HTTP: a port of 127.0.0.1, or host:port (default: none)",
      group: "Process",
      parse: endpoint,
    },
    {
      flags: "--watch",
      about: "for development: start anew when a module of the app, or one that it imports, changes",
      group: "Process",
    },
    { flags: "-D, --detach", about: "start in the background", group: "Process" },
    {
      flags: "--pidfile <file>",
      about: "file for the process id; refused while it names a process that runs; %n and %h as in --logfile",
      group: "Process",
      parse: text,
    },
    ...IDENTITY,
  ],
  json: {
    about: "log lines as JSON",
    shape:
      'a line of the log: {"level": 30, "time": <ms>, "pid", "hostname", "msg", …}; with --print-steps [{"name", "requires": […]}]',
  },
  examples: [
    ["petiole -A app.ts worker -l INFO", "run the tasks of app.ts, 100 at once"],
    ["petiole -A app worker -P prefork -c 4 -Q images,mail", "in four child processes, two queues"],
    ["petiole -A app worker -- worker.prefetch_multiplier=1", "with a setting"],
  ],
};
