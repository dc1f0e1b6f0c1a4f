/** Options that several commands have. */
import type { OptionSpec } from "../option-types.ts";
import { list, seconds } from "../values.ts";

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
