/** The words of the commands that look at queues, and change them. */
import type { CommandSpec } from "../option-types.ts";
import { count, list, seconds, text } from "../values.ts";
import { EXCLUDE_QUEUES, QUEUES } from "./shared.ts";

const LISTS = ["bindings", "queues"] as const;

export const LIST: CommandSpec = {
  name: "list",
  about: "print what the broker knows of the app's queues",
  arguments: [{ name: "<what>", about: LISTS.join(", "), words: LISTS }],
  options: [],
  json: {
    shape:
      'bindings: [{"queue", "exchange", "routing_key"}, …]; queues: [{"queue", "messages", "exchange"}, …]',
  },
  examples: [["petiole -A app list queues", "with the messages that wait in each"]],
};

export const PURGE: CommandSpec = {
  name: "purge",
  about: "delete all waiting messages of the app's queues",
  arguments: [],
  options: [
    { flags: "-f, --force", about: "do not ask", group: "Purge" },
    { ...QUEUES, about: "only these queues, separated by commas", group: "Purge" },
    { ...EXCLUDE_QUEUES, about: "all queues but these", group: "Purge" },
  ],
  json: { shape: '{"purged", "queues": […]}; asks nothing, and needs --force' },
  examples: [["petiole -A app purge -Q mail -f", "empty the queue mail at once"]],
};

export const MIGRATE: CommandSpec = {
  name: "migrate",
  about: "take waiting and parked tasks from a SQLite file to another broker",
  arguments: [
    { name: "<source>", about: "sqlite:///path/to/file.db" },
    { name: "<destination>", about: "URL of the other broker" },
  ],
  options: [
    { flags: "-n, --limit <n>", about: "so many tasks at most", group: "Which", parse: count },
    {
      flags: "-T, --tasks <names>",
      about: "only tasks of these names, separated by commas",
      group: "Which",
      parse: list,
    },
    {
      ...QUEUES,
      about: "only these queues, separated by commas; old:new gives one another name there",
      group: "Which",
    },
    {
      flags: "-a, --ack-messages",
      about: "delete at the source what the destination has; without it tasks are copied",
      group: "How",
    },
    {
      flags: "-t, --timeout <seconds>",
      about: "end when nothing has come for so long (default: 1)",
      group: "How",
      parse: seconds,
    },
    { flags: "-F, --forever", about: "go on until Ctrl-C", group: "How" },
  ],
  json: { shape: '{"migrated", "parked", "held", "moved": false when they were copied}' },
  examples: [
    [
      "petiole migrate -a sqlite:///var/lib/shop/tasks.db redis://localhost:6379/0",
      "move all; stop the workers of the file first",
    ],
  ],
};

const QUEUE_ACTIONS = ["pause", "resume", "list"] as const;

export const QUEUE: CommandSpec = {
  name: "queue",
  about: "pause queues for all TypeScript workers, and resume them",
  arguments: [
    { name: "<action>", about: QUEUE_ACTIONS.join(", "), words: QUEUE_ACTIONS },
    { name: "[name...]", about: "names of queues; list: the app's, and all that are paused" },
  ],
  options: [],
  json: {
    shape: '[{"queue", "waiting", "pausedSince"}, …]; after pause and resume of those that were named',
  },
  examples: [
    ["petiole -A app queue pause mail", "nothing more is taken from it; what runs goes on"],
    ["petiole -A app queue list", "what waits in each, and since when it is paused"],
  ],
};

export const LIMITS: CommandSpec = {
  name: "limits",
  about: "print the limits over all workers that tasks run or wait under",
  arguments: [],
  options: [{ flags: "--task <name>", about: "of this task only", group: "Which", parse: text }],
  json: {
    shape:
      '[{"kind", "task", "key", "limit", "perSecond", "holders": [id, …], "waiting", "waiters": [{"id", "since", "until"}, …], "freeAt"}, …]',
  },
  examples: [["petiole -A app limits --task shop.export", "who has a slot, who waits since when"]],
};

const DEAD_ACTIONS = ["list", "show", "requeue", "purge"] as const;

export const DEAD: CommandSpec = {
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
    { flags: "-f, --force", about: "purge: do not ask", group: "Output" },
  ],
  json: {
    about: "print JSON; list and show: a line for each message",
    shape:
      'list, show: a line for each message: {"id", "list", "queue", "task", "taskId", "reason", "at", "lostDeliveries", …}; requeue: {"requeued", "kept"}; purge: {"deleted"}, and needs --force',
  },
  examples: [
    ["petiole -A app dead list --newer-than 3600", "what was given up in the last hour"],
    ["petiole -A app dead show 4f1c", "all that is known of one message"],
    ["petiole -A app dead requeue --all --task 'mail.*'", "after the cause was mended"],
  ],
};
