/** What is written of a command and of its options. */

/** One option. Its name in code is commander's: the long flag in camelCase. */
export interface OptionSpec {
  /** Commander's form: `-c, --concurrency <n>`; without `<…>` it is a switch. */
  readonly flags: string;
  readonly about: string;
  /** Heading in the help. */
  readonly group: string;
  /** Reads one use of it; `previous` is what an earlier use gave. Throws InvalidValue. */
  readonly parse?: (value: string, previous: unknown) => unknown;
  /** Variables besides `CELERY_<NAME>` (global) or `CELERY_<COMMAND>_<NAME>`. They come first. */
  readonly env?: readonly string[];
  /** Instead of `CELERY_<COMMAND>_<NAME>`, where that is a setting of another meaning. */
  readonly variable?: string;
  /** Words to choose from, for completion. */
  readonly words?: readonly string[];
}

/** A positional argument. */
export interface ArgumentSpec {
  /** Commander's form: `<name>`, `[name]`, `[name...]`. */
  readonly name: string;
  readonly about: string;
  readonly words?: readonly string[];
}

export type CommandName =
  | "worker"
  | "beat"
  | "multi"
  | "call"
  | "result"
  | "inspect"
  | "control"
  | "status"
  | "list"
  | "report"
  | "purge"
  | "queue"
  | "migrate"
  | "dead"
  | "statedb"
  | "db"
  | "limits"
  | "schedule"
  | "events"
  | "shell"
  | "graph"
  | "logtool"
  | "explain"
  | "dev"
  | "init"
  | "complete";

export interface CommandSpec {
  readonly name: CommandName;
  readonly about: string;
  readonly arguments: readonly ArgumentSpec[];
  /** Without `--json`: that is added to every command. */
  readonly options: readonly OptionSpec[];
  /** `about`: of the option, when it is not one line on stdout; `shape`: what is printed, for the documents. */
  readonly json: { readonly about?: string; readonly shape: string };
  /** `[what is typed, what it does]` */
  readonly examples: readonly (readonly [string, string])[];
}

/** A command has `--json`, whichever it is. */
export function withJson(spec: CommandSpec): CommandSpec {
  const about = spec.json.about ?? "print one line of JSON";
  return { ...spec, options: [...spec.options, { flags: "-j, --json", about, group: "Output" }] };
}

/** `-c, --concurrency <n>` taken apart. */
export function flagsOf(spec: OptionSpec): {
  readonly names: readonly string[];
  readonly long: string;
  /** Name in code: the last long flag in camelCase, without `no`. */
  readonly key: string;
  readonly takesValue: boolean;
} {
  const names = [...spec.flags.matchAll(/(?:^|[\s,])(--?[\w-]+)/g)].map((match) => match[1] ?? "");
  const long = names.at(-1) ?? "";
  const key = long.replace(/^--(no-)?/, "").replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return { names, long, key, takesValue: /[<[]/.test(spec.flags) };
}
