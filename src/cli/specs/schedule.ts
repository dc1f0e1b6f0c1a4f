/** The words of `petiole schedule`. */
import type { CommandSpec, OptionSpec } from "../option-types.ts";
import { instant, interval, jsonList, jsonObject, seconds, text } from "../values.ts";

const ACTIONS = ["list", "show", "add", "edit", "enable", "disable", "run", "remove"] as const;
const CATCH_UP = ["skip", "once", "all"] as const;
const OVERLAP = ["allow", "skip"] as const;

const WHEN: readonly OptionSpec[] = [
  { flags: "--every <seconds>", about: "again and again", group: "When", parse: interval },
  {
    flags: "--crontab <fields>",
    about: "Celery's: minute hour day month weekday",
    group: "When",
    parse: text,
  },
  { flags: "--cron <expression>", about: "a plain cron expression", group: "When", parse: text },
  { flags: "--at <time>", about: "once: ISO 8601, UTC without an offset", group: "When", parse: instant },
  {
    flags: "--timezone <zone>",
    about: "of a crontab or a cron expression: Europe/Rome",
    group: "When",
    parse: text,
  },
  { flags: "--start-time <time>", about: "not before: ISO 8601", group: "When", parse: instant },
  { flags: "--end-time <time>", about: "not after: ISO 8601", group: "When", parse: instant },
  { flags: "--one-off", about: "once, and no more", group: "When" },
  {
    flags: "--jitter <seconds>",
    about: "each run up to so much later, at random",
    group: "When",
    parse: seconds,
  },
  {
    flags: "--catch-up <which>",
    about: `of missed runs: ${CATCH_UP.join(", ")} (default: once)`,
    group: "When",
    parse: text,
    words: CATCH_UP,
  },
  {
    flags: "--overlap <what>",
    about: `while the run before has not ended: ${OVERLAP.join(", ")} (default: allow)`,
    group: "When",
    parse: text,
    words: OVERLAP,
  },
];

export const SCHEDULE: CommandSpec = {
  name: "schedule",
  about: "look at the entries of the schedule, and change them while schedulers run",
  arguments: [
    { name: "<action>", about: ACTIONS.join(", "), words: ACTIONS },
    { name: "[name...]", about: "names of entries; add and edit take one" },
  ],
  options: [
    { flags: "--task <name>", about: "what it sends", group: "What", parse: text },
    {
      flags: "-a, --args <json>",
      about: "positional arguments, a JSON list",
      group: "What",
      parse: jsonList,
    },
    {
      flags: "-k, --kwargs <json>",
      about: "keyword arguments, a JSON object",
      group: "What",
      parse: jsonObject,
    },
    { flags: "--queue <name>", about: "queue instead of the route's", group: "What", parse: text },
    {
      flags: "--options <json>",
      about: "of the send, a JSON object: expires, priority, headers, …",
      group: "What",
      parse: jsonObject,
    },
    { flags: "--disabled", about: "not to run until it is enabled", group: "What" },
    ...WHEN,
    {
      flags: "-S, --scheduler <name>",
      about: "where the schedule is (default: the app's)",
      group: "Schedule",
      parse: text,
    },
    {
      flags: "-s, --schedule <file>",
      about: "file of what has run (default: the app's)",
      group: "Schedule",
      parse: text,
    },
  ],
  json: {
    shape:
      '[{"kind": "entry", "name", "task", "schedule", "when", "args", "kwargs", "options", "enabled", "lastRunAt", "totalRunCount", "nextRunAt", "own"} or {"kind": "unreadable", "name", "reason"}, …]; run: [{"name", "id"}, …]; remove: [{"name", "removed"}, …]',
  },
  examples: [
    ["petiole -A app schedule list", "all entries, and when each runs next"],
    ["petiole -A app schedule add nightly --task shop.clean --crontab '0 4 * * *'", "runs from now on"],
    ["petiole -A app schedule edit nightly --queue slow -k '{\"days\": 30}'", "what is not named stays"],
    ["petiole -A app schedule run nightly", "once, now, besides its runs"],
  ],
};
