/** What commander refuses, in our words: what is wrong, the nearest that is right, where to look. */
import type { CommanderError } from "commander";
import { didYouMean } from "../base/nearest.ts";
import { PetioleError } from "../errors.ts";
import { type CommandSpec, flagsOf } from "./option-types.ts";
import { COMMANDS } from "./options.ts";
import { GLOBAL_OPTIONS } from "./specs/global.ts";

/** The command among the words, for messages; a value of a global option may be mistaken for it, which does no harm. */
export function commandIn(words: readonly string[]): CommandSpec | null {
  // The first one: `petiole db migrate` is of db.
  const names = new Map<string, CommandSpec>(COMMANDS.map((spec) => [spec.name, spec]));
  return names.get(words.find((word) => names.has(word)) ?? "") ?? null;
}

export function refusal(error: CommanderError, command: CommandSpec | null): PetioleError {
  const said = error.message.replace(/^error: /, "");
  const quoted = /'([^']*)'/.exec(said)?.[1] ?? "";
  const help = `petiole ${command === null ? "" : `${command.name} `}--help`;
  const usage = (message: string): PetioleError =>
    new PetioleError("PET_USAGE", `${message} ${help} shows what there is`, { cause: error });
  switch (error.code) {
    case "commander.unknownCommand": {
      const names = COMMANDS.map((spec) => spec.name);
      return usage(`there is no command ${JSON.stringify(quoted)}${sentenceEnd(didYouMean(quoted, names))}`);
    }
    case "commander.unknownOption":
      return usage(`there is no option ${quoted}${sentenceEnd(nearestOption(quoted, command))}`);
    case "commander.missingArgument":
      return usage(`the argument <${quoted}> is missing${argumentAbout(quoted, command)}.`);
    case "commander.optionMissingArgument":
      return usage(`option ${quoted} needs a value.`);
    case "commander.excessArguments":
      return usage("there are more arguments than the command takes: quote what belongs together.");
    default:
      return usage(`${said}.`);
  }
}

function argumentAbout(name: string, command: CommandSpec | null): string {
  const about = command?.arguments.find((one) => one.name === `<${name}>`)?.about;
  return about === undefined ? "" : ` (${about})`;
}

function sentenceEnd(text: string): string {
  return text === "" ? "." : text;
}

/** The nearest long flag of this command; for one of another command, that command. */
function nearestOption(flag: string, command: CommandSpec | null): string {
  const bare = flag.replace(/=.*/s, "");
  const here = [...GLOBAL_OPTIONS, ...(command?.options ?? [])];
  if (bare.startsWith("--")) {
    const near = didYouMean(bare, ["--help", "--version", ...here.flatMap((spec) => flagsOf(spec).names)]);
    if (near !== "") return near;
  }
  const elsewhere = COMMANDS.filter((spec) =>
    spec.options.some((option) => flagsOf(option).names.includes(bare)),
  );
  return elsewhere.length === 0
    ? ""
    : `; petiole ${elsewhere.map((spec) => spec.name).join(" and ")} ${elsewhere.length > 1 ? "have" : "has"} it.`;
}
