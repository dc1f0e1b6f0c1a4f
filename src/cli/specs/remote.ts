/** The words of the commands that talk to running workers. */
import type { CommandSpec, OptionSpec } from "../option-types.ts";
import { interval, perSecond, text } from "../values.ts";
import { REMOTE } from "./shared.ts";

const LIST_COMMANDS: OptionSpec = {
  flags: "--list",
  about: "print the commands there are, with their arguments",
  group: "Remote control",
};

export const INSPECT: CommandSpec = {
  name: "inspect",
  about: "look into running workers, those of Python too",
  arguments: [
    { name: "[command]", about: "such as active, reserved, registered, stats; --list prints all" },
    { name: "[arguments...]", about: "of the command" },
  ],
  options: [...REMOTE, LIST_COMMANDS],
  json: { shape: '{"<node>": <reply>, …}; with --list [{"name", "arguments", "about"}, …]' },
  examples: [
    ["petiole -A app inspect active", "tasks that run now"],
    ["petiole -b redis://localhost inspect stats -d celery@host -j", "one worker, as JSON"],
  ],
};

export const CONTROL: CommandSpec = {
  name: "control",
  about: "steer running workers, those of Python too",
  arguments: [
    { name: "[command]", about: "such as revoke, rate_limit, add_consumer; --list prints all" },
    { name: "[arguments...]", about: "of the command" },
  ],
  options: [...REMOTE, LIST_COMMANDS],
  json: { shape: '[{"<node>": <reply>}, …]; with --list [{"name", "arguments", "about"}, …]' },
  examples: [
    ["petiole -A app control rate_limit shop.report 10/m", "in every worker"],
    ["petiole -A app control terminate SIGTERM 4b0e…", "stop a task that runs"],
  ],
};

export const STATUS: CommandSpec = {
  name: "status",
  about: "print which workers are online",
  arguments: [],
  options: REMOTE,
  json: { shape: '{"<node>": {"ok": "pong"}, …}' },
  examples: [["petiole -A app status", "exit code 69 when there is none"]],
};

export const EVENTS: CommandSpec = {
  name: "events",
  about: "show what workers and tasks do, as it happens",
  arguments: [],
  options: [
    { flags: "-d, --dump", about: "one line for each event, as Celery's", group: "Events" },
    {
      flags: "-c, --camera <module>",
      about:
        "call a function with the state of the cluster, again and again; module:export names it, else it is the module's camera or default",
      group: "Snapshots",
      parse: text,
    },
    {
      flags: "-F, --freq <seconds>",
      about: "time between two calls (default: 1)",
      group: "Snapshots",
      parse: interval,
    },
    { flags: "--frequency <seconds>", about: "the same as --freq", group: "Snapshots", parse: interval },
    {
      flags: "-r, --maxrate <rate>",
      about: "but not more often than this, such as 10/m",
      group: "Snapshots",
      parse: perSecond,
    },
  ],
  json: {
    about: "one JSON object for each event, with its names on the wire",
    shape: 'a line for each event: {"type", "hostname", "timestamp", "clock", …}',
  },
  examples: [
    ["petiole -A app events", "on the whole screen; ? shows its keys"],
    ["petiole -A app events --dump", "all events; tasks of workers that were started with -E"],
    [`petiole -A app events --json | jq 'select(.type == "task-failed")'`, "failures alone"],
  ],
};
