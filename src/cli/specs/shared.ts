/** Options that several commands have. */
import type { OptionSpec } from "../option-types.ts";
import { list, octal, oneOf, seconds, text } from "../values.ts";

/** Without its text and group: these are the command's. */
type Bare = Pick<OptionSpec, "flags" | "parse">;

export const QUEUES: Bare = { flags: "-Q, --queues <names>", parse: list };

export const EXCLUDE_QUEUES: Bare = { flags: "-X, --exclude-queues <names>", parse: list };

export const REMOTE: readonly OptionSpec[] = [
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
];

/** Celery's levels. */
const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL"] as const;

export const LOGLEVEL: OptionSpec = {
  flags: "-l, --loglevel <level>",
  about: `${LOG_LEVELS.join(", ")} (default: WARNING)`,
  group: "Logs",
  parse: oneOf(LOG_LEVELS),
  words: LOG_LEVELS,
};

/** Of a program that may run in the background. */
export const IDENTITY: readonly OptionSpec[] = [
  { flags: "--uid <user>", about: "go on as this user, name or number", group: "Process", parse: text },
  { flags: "--gid <group>", about: "go on as this group, name or number", group: "Process", parse: text },
  { flags: "--umask <mask>", about: "file mode mask, octal", group: "Process", parse: octal },
  { flags: "--executable <node>", about: "the Node that --detach starts", group: "Process", parse: text },
];
