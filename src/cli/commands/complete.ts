/** `petiole complete`: completion scripts, made from the option tables. */
import { CONTROL_COMMANDS } from "../../app/control-commands.ts";
import { ERROR_CODES } from "../../errors.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { type CommandSpec, flagsOf, type OptionSpec } from "../option-types.ts";
import { COMMANDS } from "../options.ts";
import { GLOBAL_OPTIONS } from "../specs/global.ts";
import { wordOf } from "../words.ts";

export async function complete({ args, io, options }: Invocation): Promise<ExitCode> {
  const shell = args[0] ?? "";
  const script = wordOf(SCRIPTS, shell, "complete");
  io.out(options["json"] === true ? jsonLine({ shell, script: script() }) : script());
  return 0;
}

const SCRIPTS: Readonly<Record<string, () => string>> = { bash, zsh, fish };

/** Words that a command's arguments may be. */
function wordsOf(spec: CommandSpec): readonly string[] {
  if (spec.name === "inspect" || spec.name === "control") {
    const { name } = spec;
    const all = [...CONTROL_COMMANDS.values()].filter((one) => one.type === name && !one.hidden);
    return all.map((one) => one.name).sort();
  }
  if (spec.name === "explain") return Object.keys(ERROR_CODES);
  return spec.arguments.flatMap((argument) => argument.words ?? []);
}

const flagWords = (specs: readonly OptionSpec[]): string =>
  [...specs.flatMap((spec) => flagsOf(spec).names), "--help"].join(" ");

/** `-l|--loglevel) words` of every option that has words to choose from. */
function valueCases(): string {
  const all = [...GLOBAL_OPTIONS, ...COMMANDS.flatMap((command) => command.options)];
  return all
    .filter((spec) => spec.words)
    .map((spec) => `    ${flagsOf(spec).names.join("|")}) words="${spec.words?.join(" ")}";;\n`)
    .join("");
}

function bash(): string {
  const commands = COMMANDS.map((spec) => spec.name).join(" ");
  const perCommand = COMMANDS.map((spec) => {
    return `      ${spec.name}) words="${[...wordsOf(spec), flagWords([...spec.options, ...GLOBAL_OPTIONS])].join(" ")}"; break;;\n`;
  }).join("");
  return `_petiole() {
  local words="${commands} ${flagWords(GLOBAL_OPTIONS)} --version" current="\${COMP_WORDS[COMP_CWORD]}" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
${perCommand}    esac
  done
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
${valueCases()}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _petiole petiole
`;
}

/** zsh runs bash's. */
function zsh(): string {
  return `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bash()}`;
}

const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

function fishOption(spec: OptionSpec, condition: string): string {
  const { names, takesValue } = flagsOf(spec);
  const flags = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const words = spec.words ? ` -f -a ${quoted(spec.words.join(" "))}` : "";
  return `complete -c petiole${condition} ${flags.join(" ")}${takesValue ? " -r" : ""}${words} -d ${quoted(spec.about)}\n`;
}

function fish(): string {
  const lines = GLOBAL_OPTIONS.map((spec) => fishOption(spec, ""));
  for (const command of COMMANDS) {
    lines.push(
      `complete -c petiole -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.about)}\n`,
    );
    const inside = ` -n '__fish_seen_subcommand_from ${command.name}'`;
    lines.push(...command.options.map((spec) => fishOption(spec, inside)));
    const words = wordsOf(command);
    if (words.length > 0) lines.push(`complete -c petiole${inside} -f -a ${quoted(words.join(" "))}\n`);
  }
  return lines.join("");
}
