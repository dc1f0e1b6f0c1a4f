/** The words of `petiole multi`; beside them it takes all of `petiole worker`. */
import type { CommandSpec } from "../option-types.ts";
import { text } from "../values.ts";

const ACTIONS = [
  "start",
  "stop",
  "stopwait",
  "stop_verify",
  "restart",
  "kill",
  "show",
  "names",
  "get",
  "expand",
] as const;

export const MULTI: CommandSpec = {
  name: "multi",
  about: "start, stop and show several workers of this machine",
  arguments: [
    { name: "<action>", about: ACTIONS.join(", "), words: ACTIONS },
    { name: "[names...]", about: "of nodes, or how many; get and expand take a name or a text first" },
  ],
  options: [
    {
      flags: "--hostname <host>",
      about: "host of names that have none (default: this one)",
      group: "Nodes",
      parse: text,
    },
    { flags: "--prefix <text>", about: "before each name", group: "Nodes", parse: text },
    { flags: "--suffix <text>", about: "in place of the host", group: "Nodes", parse: text },
    {
      flags: "--range-prefix <text>",
      about: "before each number, when it is said how many (default: celery)",
      group: "Nodes",
      parse: text,
    },
    {
      flags: "--pidfile <file>",
      about: "of each node (default: /var/run/petiole/%n.pid)",
      group: "Nodes",
      parse: text,
    },
    {
      flags: "--logfile <file>",
      about: "of each node (default: /var/log/petiole/%n%I.log)",
      group: "Nodes",
      parse: text,
    },
    { flags: "--verbose", about: "print the command of each node that is started", group: "Nodes" },
    { flags: "--executable <node>", about: "the Node that runs them", group: "Nodes", parse: text },
  ],
  json: {
    about: "names, show: one line of JSON",
    shape:
      '["<node>", …] for names; [{"name", "command": ["<word>", …]}, …] for show and get; errors as everywhere',
  },
  examples: [
    ["petiole multi start 3 -A app.js -c 2 -c:1 10", "celery1, celery2, celery3; ten slots in the first"],
    ["petiole multi start image mail -A app.js -Q:image img -Q:mail mail", "two nodes by name"],
    [
      "petiole multi restart 3 -A app.js --pidfile=run/%n.pid --logfile=log/%n.log",
      "waits for running tasks",
    ],
    ["petiole multi stopwait 3 -QUIT --pidfile=run/%n.pid", "another signal than SIGTERM"],
  ],
};
