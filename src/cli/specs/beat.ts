/** The words of `petiole beat`. */
import type { CommandSpec } from "../option-types.ts";
import { seconds, text } from "../values.ts";
import { IDENTITY, LOGLEVEL } from "./shared.ts";

export const BEAT: CommandSpec = {
  name: "beat",
  about: "send periodic tasks",
  arguments: [{ name: "[settings...]", about: "settings after --, such as beat.sync_every=1" }],
  options: [
    {
      flags: "-s, --schedule <file>",
      about: "file of what has run (default: celerybeat-schedule)",
      group: "Schedule",
      parse: text,
      variable: "CELERY_BEAT_SCHEDULE_FILENAME",
    },
    {
      flags: "-S, --scheduler <name>",
      about: "where it is kept what has run (default: celery.beat:PersistentScheduler)",
      group: "Schedule",
      parse: text,
    },
    {
      flags: "--max-interval <seconds>",
      about: "longest sleep between two looks at the schedule (default: 300)",
      group: "Schedule",
      parse: seconds,
    },
    LOGLEVEL,
    {
      flags: "-f, --logfile <file>",
      about: "file to append to, instead of stderr; SIGHUP opens it anew",
      group: "Logs",
      parse: text,
    },
    { flags: "--detach", about: "start in the background", group: "Process" },
    {
      flags: "--pidfile <file>",
      about: "file for the process id; refused while it names a process that runs",
      group: "Process",
      parse: text,
    },
    ...IDENTITY,
  ],
  json: {
    about: "log lines as JSON",
    shape: 'a line of the log: {"level": 30, "time": <ms>, "pid", "hostname", "msg", …}',
  },
  examples: [
    ["petiole -A app.ts beat -l INFO", "send the periodic tasks of app.ts"],
    ["petiole -A app beat -s /var/lib/shop/schedule --pidfile /run/shop/beat.pid", "as a service"],
  ],
};
