/** What the commands of remote control have in common: their words, and how replies look. Python: `celery/bin/control.py`. */
import { CONTROL_COMMANDS, type ControlCommandInfo, type WordType } from "../app/control-commands.ts";
import type { AppInternals } from "../app/internals.ts";
import { didYouMean } from "../base/nearest.ts";
import { PetioleError } from "../errors.ts";
import { stringifyJson } from "../protocol/json.ts";
import { repr } from "../protocol/python-repr.ts";
import type { Io } from "./io.ts";

/** What the option table reads for these commands. */
export interface RemoteOptions {
  readonly timeout?: number;
  readonly destination?: readonly string[];
  readonly json?: boolean;
  readonly list?: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** Commands of a type that are listed, those of the app among them. */
export function listedCommands(
  app: AppInternals,
  type: "inspect" | "control",
): readonly ControlCommandInfo[] {
  const all = [...CONTROL_COMMANDS.values(), ...[...app.controlCommands.values()].map(({ info }) => info)];
  const wanted = all.filter((info) => info.type === type && !info.hidden);
  return wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The command of a name, with what the words after it mean. @throws PetioleError `PET_USAGE` */
export function commandOf(
  listed: readonly ControlCommandInfo[],
  type: string,
  words: readonly string[],
): { readonly method: string; readonly args: Fields } {
  const [name = "", ...rest] = words;
  const names = listed.map((info) => info.name);
  const info = listed.find((one) => one.name === name);
  if (info === undefined) {
    const wrong =
      name === ""
        ? "no command is given."
        : `Command ${JSON.stringify(name)} not recognized${didYouMean(name, names) || "."}`;
    throw new PetioleError("PET_USAGE", `${wrong} Available ${type} commands: ${names.join(", ")}`);
  }
  return { method: name, args: argumentsOf(info, rest) };
}

function argumentsOf(info: ControlCommandInfo, words: readonly string[]): Fields {
  const named = words.slice(0, info.words.length);
  const rest = words.slice(info.words.length);
  const missing = info.words.find(([name], index) => info.required.includes(name) && index >= named.length);
  if ((rest.length > 0 && info.variadic === null) || missing !== undefined) {
    throw new PetioleError(
      "PET_USAGE",
      `Command ${JSON.stringify(info.name)} takes arguments: ${info.signature || "none"}`,
    );
  }
  const pairs = named.map((word, index) => {
    const [name, type] = info.words[index] ?? ["", "text"];
    return [name, read(word, { name, type })] as const;
  });
  return { ...Object.fromEntries(pairs), ...(info.variadic === null ? {} : { [info.variadic]: rest }) };
}

function read(word: string, { name, type }: { readonly name: string; readonly type: WordType }): unknown {
  if (type === "text") return word;
  if (type === "switch") return /^(1|true|yes|on)$/i.test(word);
  const value = Number(word);
  const isRight =
    word.trim() !== "" && (type === "integer" ? Number.isInteger(value) : Number.isFinite(value));
  if (isRight) return value;
  throw new PetioleError("PET_USAGE", `${name} must be a number, not ${JSON.stringify(word)}`);
}

/** One command of `--list --json`. */
export function described({ name, signature, help }: ControlCommandInfo): Fields {
  return { name, arguments: signature, about: help };
}

/** `--list`. */
export function listing(listed: readonly ControlCommandInfo[], type: "inspect" | "control"): string {
  const rows = listed.map((info) => [`${info.name} ${info.signature}`.trim(), info.help] as const);
  const width = Math.min(Math.max(...rows.map(([shown]) => shown.length)), 60);
  const title = `${type[0]?.toUpperCase()}${type.slice(1)} Commands:`;
  return `${title}\n${rows.map(([shown, help]) => `  ${shown.padEnd(width)}  ${help}`).join("\n")}\n`;
}

/** One reply as it comes. `body`: what it says, else only that it came. */
export function printReply(
  io: Io,
  reply: { readonly node: string; readonly value: unknown },
  how: { readonly body: boolean; readonly quiet: boolean },
): void {
  const { failed, text } = pretty(reply.value);
  if (!how.quiet) io.out(`->  ${reply.node}: ${failed ? "ERROR" : "OK"}\n`);
  if (how.body) io.out(`${indented(text, 4).trimEnd()}\n`);
}

function pretty(value: unknown): { readonly failed: boolean; readonly text: string } {
  if (Array.isArray(value)) return { failed: false, text: listText(value) };
  if (typeof value === "object" && value !== null) {
    const { ok, error } = value as Fields;
    if (ok !== undefined) return { failed: false, text: indented(pretty(ok).text, 4) };
    if (error !== undefined) return { failed: true, text: indented(pretty(error).text, 4) };
    return { failed: false, text: jsonText(value, 0) };
  }
  return { failed: false, text: typeof value === "string" ? value : whole(value) };
}

function listText(items: readonly unknown[]): string {
  if (items.length === 0) return "- empty -";
  return items.map((item) => `* ${typeof item === "string" ? item : whole(item)}`).join("\n");
}

/** Nothing is cut: a person asked for it. */
function whole(value: unknown): string {
  return repr(value, { maxLength: 1_000_000, maxLevels: 100 });
}

/** JSON with sorted keys, four spaces a level. */
function jsonText(value: unknown, level: number): string {
  const pad = "    ".repeat(level + 1);
  const end = "    ".repeat(level);
  if (Array.isArray(value) && value.length > 0) {
    return `[\n${value.map((one) => pad + jsonText(one, level + 1)).join(",\n")}\n${end}]`;
  }
  const isPlain =
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  if (!isPlain || Object.keys(value).length === 0) return stringifyJson(value, "the reply");
  const members = Object.entries(value as Fields)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => `${pad}${JSON.stringify(name)}: ${jsonText(one, level + 1)}`);
  return `{\n${members.join(",\n")}\n${end}}`;
}

function indented(text: string, by: number): string {
  return text
    .split("\n")
    .map((line) => " ".repeat(by) + line)
    .join("\n");
}

/** `1 node online.` */
export function nodesOnline(count: number): string {
  return `\n${count} ${count === 1 ? "node" : "nodes"} online.\n`;
}

/** Celery's exit code 69. */
export function noReply(): PetioleError {
  return new PetioleError("PET_NO_REPLY", "No nodes replied within time constraint");
}
