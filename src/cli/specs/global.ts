/** Options before or after any command. */
import type { OptionSpec } from "../option-types.ts";
import { text } from "../values.ts";

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
