/** Tells why a command failed. Loaded when one does. */
import { CommanderError } from "commander";
import { explain } from "./explain.ts";
import type { ExitCode, Io } from "./io.ts";
import { asksForJson, jsonLine } from "./json-line.ts";
import { commandIn, refusal } from "./refusal.ts";
import { wrapped } from "./wrap.ts";

/** On stderr, as a paragraph or as JSON. */
export function tellFailure(error: unknown, words: readonly string[], io: Io): ExitCode {
  const command = commandIn(words);
  const where = command === null ? "petiole" : `petiole ${command.name}`;
  const { text, json, exitCode } = explain(
    error instanceof CommanderError ? refusal(error, command) : error,
    where,
  );
  if (asksForJson(words, command?.name ?? null, io.env)) io.err(jsonLine({ error: json }));
  else io.err(`${io.columns === null ? text : wrapped(text, { width: io.columns, indent: 0 })}\n`);
  return exitCode;
}
