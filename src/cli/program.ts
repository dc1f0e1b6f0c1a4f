/**
 * From the words of a command line to the command that carries them out. Commander parses; what it refuses is said in our
 * words. Only the module of the command that runs is loaded, and for a worker, which is to start fast, only its options.
 */
import { Argument, CommanderError, Option, Command as Parser } from "commander";
import { version } from "../base/version.ts";
import { PetioleError } from "../errors.ts";
import { fromEnvironment } from "./environment.ts";
import type { Command, ExitCode, GlobalOptions, Io } from "./io.ts";
import {
  type ArgumentSpec,
  type CommandName,
  type CommandSpec,
  flagsOf,
  type OptionSpec,
  withJson,
} from "./option-types.ts";
import { GLOBAL_OPTIONS } from "./specs/global.ts";
import { InvalidValue } from "./values.ts";
import { wrapped } from "./wrap.ts";

/** The command's own module, loaded when it is its turn. */
const RUN: Readonly<Record<CommandName, () => Promise<Command>>> = {
  worker: async () => (await import("./commands/worker.ts")).worker,
  beat: async () => (await import("./commands/beat.ts")).beat,
  multi: async () => (await import("./commands/multi.ts")).multi,
  call: async () => (await import("./commands/call.ts")).call,
  result: async () => (await import("./commands/result.ts")).result,
  inspect: async () => (await import("./commands/inspect.ts")).inspect,
  control: async () => (await import("./commands/inspect.ts")).control,
  status: async () => (await import("./commands/status.ts")).status,
  list: async () => (await import("./commands/list.ts")).list,
  report: async () => (await import("./commands/report.ts")).report,
  migrate: async () => (await import("./commands/migrate.ts")).migrate,
  purge: async () => (await import("./commands/purge.ts")).purge,
  queue: async () => (await import("./commands/queue.ts")).queue,
  limits: async () => (await import("./commands/limits.ts")).limits,
  schedule: async () => (await import("./commands/schedule.ts")).schedule,
  statedb: async () => (await import("./commands/statedb.ts")).statedb,
  db: async () => (await import("./commands/db.ts")).db,
  dead: async () => (await import("./commands/dead.ts")).dead,
  events: async () => (await import("./commands/events.ts")).events,
  shell: async () => (await import("./commands/shell.ts")).shell,
  graph: async () => (await import("./commands/graph.ts")).graph,
  logtool: async () => (await import("./commands/logtool.ts")).logtool,
  dev: async () => (await import("./commands/dev.ts")).dev,
  init: async () => (await import("./commands/init.ts")).init,
  explain: async () => (await import("./commands/explain.ts")).explainCodes,
  complete: async () => (await import("./commands/complete.ts")).complete,
};

/** Options that a worker shares with no command are not read where the words name no other. */
async function specsFor(words: readonly string[]): Promise<readonly CommandSpec[]> {
  const named = words.filter((word) => Object.hasOwn(RUN, word) || HELP.has(word));
  if (named.length > 0 && named.every((word) => word === "worker")) {
    return [withJson((await import("./specs/worker.ts")).WORKER)];
  }
  return (await import("./options.ts")).COMMANDS;
}

const HELP: ReadonlySet<string> = new Set(["help", "-h", "--help"]);

const HELP_WIDTH = 80;

/** Commander's ways to end without an error. */
const NO_ERROR: ReadonlySet<string> = new Set([
  "commander.helpDisplayed",
  "commander.help",
  "commander.version",
]);

/** @param words - without node and the program. Never rejects. */
export async function run(words: readonly string[], io: Io): Promise<ExitCode> {
  // Boxed: written in a callback, which the compiler does not follow.
  const ended: { code: ExitCode } = { code: 0 };
  const specs = await specsFor(words);
  const parser = createParser(specs, {
    io,
    done: (code) => {
      ended.code = code;
    },
  });
  try {
    if (words.length === 0) {
      io.err(parser.helpInformation());
      return 64;
    }
    const raw = multiWords(words);
    if (raw === null) await parser.parseAsync([...words], { from: "user" });
    else await parser.parseAsync(["multi", "--", ...raw], { from: "user" });
    return ended.code;
  } catch (error) {
    if (error instanceof CommanderError && NO_ERROR.has(error.code)) return 0;
    const { tellFailure } = await import("./failure.ts");
    return tellFailure(error, words, io);
  }
}

/** Its options have forms that no parser knows (`-c:1-3 10`), and the global ones are its nodes'. null: another command. */
function multiWords(words: readonly string[]): readonly string[] | null {
  const at = words.indexOf("multi");
  if (at < 0 || words.slice(0, at).some((word) => Object.hasOwn(RUN, word))) return null;
  const own = words.slice(at + 1);
  return own.length === 0 || own.includes("--help") ? null : [...own, ...words.slice(0, at)];
}

interface ParserContext {
  readonly io: Io;
  readonly done: (code: ExitCode) => void;
}

function createParser(specs: readonly CommandSpec[], context: ParserContext): Parser {
  const { io } = context;
  const parser = new Parser("petiole")
    .description("Celery for Node: run tasks, send them, and look at them.")
    .usage("[options] <command> [options] [arguments]")
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: () => {} })
    .configureHelp({ helpWidth: HELP_WIDTH, subcommandTerm: (command) => command.name() })
    .exitOverride()
    .showSuggestionAfterError(false)
    .helpOption("-h, --help", "this text; after a command, that command's")
    .helpCommand("help [command]", "the help of a command")
    .version(`petiole ${version()}`, "--version", "print the version");
  for (const spec of GLOBAL_OPTIONS) parser.addOption(optionFrom(spec));
  for (const spec of specs) addCommand(parser, spec, context);
  return parser.addHelpText("after", () =>
    examplesOf(specs.slice(0, 3).flatMap((spec) => spec.examples.slice(0, 1))),
  );
}

function addCommand(parser: Parser, spec: CommandSpec, context: ParserContext): void {
  const command = parser.command(spec.name).description(spec.about).helpOption("-h, --help", "this text");
  for (const argument of spec.arguments) command.addArgument(argumentFrom(argument));
  for (const option of spec.options) command.addOption(optionFrom(option));
  command.configureHelp({ showGlobalOptions: true, helpWidth: HELP_WIDTH });
  command.addHelpText("after", () => `${jsonHelp(spec)}${examplesOf(spec.examples)}`);
  command.action(async () => {
    const { io } = context;
    const given = settled(command, { specs: spec.options, command: spec.name, env: io.env });
    const start = await RUN[spec.name]();
    const globals = globalsOf(parser, io);
    context.done(await start({ globals, options: given.values, args: command.args, io }));
  });
}

function optionFrom(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.about).helpGroup(`${spec.group}:`);
  const { parse } = spec;
  if (!parse) return option;
  return option.argParser((value: string, previous: unknown) => {
    try {
      return parse(value, previous);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      throw new PetioleError("PET_USAGE", `option ${spec.flags}: ${error.message}`, { cause: error });
    }
  });
}

function argumentFrom(spec: ArgumentSpec): Argument {
  return new Argument(spec.name, spec.about);
}

function jsonHelp({ json }: CommandSpec): string {
  return `\nWith --json:\n${wrapped(json.shape, { width: HELP_WIDTH, indent: 2 })}\n`;
}

function examplesOf(examples: CommandSpec["examples"]): string {
  if (examples.length === 0) return "";
  const width = Math.max(...examples.map(([typed]) => typed.length));
  const fits = examples.every(([, what]) => width + what.length + 4 <= HELP_WIDTH);
  const lines = examples.map(([typed, what]) =>
    fits ? `  ${typed.padEnd(width)}  ${what}` : `  ${typed}\n      ${what}`,
  );
  return `\nExamples:\n${lines.join("\n")}\n`;
}

/** Options of the command line, then of the environment. */
function settled(
  parser: Parser,
  scope: { readonly specs: readonly OptionSpec[]; readonly command: string | null; readonly env: Io["env"] },
): { readonly values: Readonly<Record<string, unknown>>; readonly from: ReadonlyMap<string, string> } {
  const values: Record<string, unknown> = {};
  const from = new Map<string, string>();
  for (const spec of scope.specs) {
    const { key, long } = flagsOf(spec);
    if (parser.getOptionValueSource(key) === "cli") {
      const value: unknown = parser.getOptionValue(key);
      // Commander turns `--no-color` into `color: false`.
      values[key] = long.startsWith("--no-") ? !value : value;
      continue;
    }
    const found = fromEnvironment(spec, scope.command, scope.env);
    if (!found) continue;
    values[key] = found.value;
    from.set(key, found.variable);
  }
  return { values, from };
}

function globalsOf(parser: Parser, io: Io): GlobalOptions {
  const { values, from } = settled(parser, { specs: GLOBAL_OPTIONS, command: null, env: io.env });
  const word = (key: string): string | null => (typeof values[key] === "string" ? values[key] : null);
  return {
    app: word("app"),
    broker: word("broker"),
    resultBackend: word("resultBackend"),
    config: word("config"),
    workdir: word("workdir"),
    color: values["color"] !== true,
    quiet: values["quiet"] === true,
    appFrom: from.get("app") ?? null,
  };
}
