/** The words of the commands that send a task and read its result. */
import type { CommandSpec } from "../option-types.ts";
import { expiry, instant, jsonList, jsonObject, seconds, text } from "../values.ts";

export const CALL: CommandSpec = {
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
  json: { shape: '{"id", "task"}' },
  examples: [
    ["petiole -A app call shop.add -a '[2, 3]'", "add(2, 3)"],
    [`petiole -b redis://localhost call nlp.count -k '{"text": "a b"}'`, "a Python task, without an app"],
    ["petiole -A app call shop.report --countdown 60 --queue slow", "in a minute, on another queue"],
  ],
};

export const RESULT: CommandSpec = {
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
    { flags: "--logs", about: "print what a task with storeLogs has logged so far instead", group: "Result" },
    {
      flags: "--timeout <seconds>",
      about: "wait no longer (default: as long as it takes)",
      group: "Result",
      parse: seconds,
    },
  ],
  json: {
    shape:
      '{"id", "state", "result"}, or {"id", "state", "error": {"type", "message"}, "traceback"} with exit code 1; with --traceback {"id", "traceback"}; with --logs {"id", "logs": [{"time", "level", "message", "fields"}]}',
  },
  examples: [["petiole -A app result 4b0e…", "the result as JSON; a failed task ends with exit code 1"]],
};
