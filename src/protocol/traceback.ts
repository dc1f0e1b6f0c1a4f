/**
 * An error's stack in Python's shape: oldest call first, the error last, causes before what they caused. So it reads the
 * same in Flower, in logs and in a Python caller as the tracebacks beside it.
 */
import { repr } from "./python-repr.ts";

/** Characters of a traceback; the oldest calls are cut. */
const MAX_CHARS = 32 * 1024;
const MAX_CAUSES = 8;
/** From here on a column is shown: the line is a bundle's. */
const LONG_LINE = 200;

/** Characters of one call that are looked at: an error's message can hold lines of any length. */
const MAX_LINE = 1000;

const CALL = /^\s+at (?:async )?/;
const FRAME = /^(?:(.*?) \()?(?:file:\/\/)?([^()]*):(\d+):(\d+)\)?$/;

/** What the last line shows. */
export interface Headline {
  readonly type: string;
  readonly module: string;
  readonly args: readonly unknown[];
}

/** The traceback of an error, or null when it has no stack. */
export function formatTraceback(error: unknown, headline: Headline): string | null {
  if (!(error instanceof Error) || typeof error.stack !== "string") return null;
  const remote = (error as { remoteTraceback?: unknown }).remoteTraceback;
  const text = `${causes(error, [error])}${typeof remote === "string" ? `${remote.trimEnd()}\n\nThe exception above was raised in a worker, and again here:\n\n` : ""}${frames(error.stack)}${lastLine(headline)}\n`;
  return text.length <= MAX_CHARS ? text : `...\n${text.slice(-MAX_CHARS)}`;
}

function causes(error: Error, seen: readonly unknown[]): string {
  const { cause } = error;
  if (cause === undefined || cause === null || seen.includes(cause) || seen.length > MAX_CAUSES) return "";
  const link = "\n\nThe above exception was the direct cause of the following exception:\n\n";
  if (!(cause instanceof Error)) return `${repr(cause)}${link}`;
  const name = typeof cause.name === "string" ? cause.name : "Error";
  const stack = typeof cause.stack === "string" ? frames(cause.stack) : "";
  return `${causes(cause, [...seen, cause])}${stack}${name}: ${cause.message}${link}`;
}

function frames(stack: string): string {
  const lines = stack.split("\n").filter((line) => CALL.test(line) && !line.includes("node:internal/"));
  let text = "Traceback (most recent call last):\n";
  for (const line of lines.toReversed()) {
    const call = line.replace(CALL, "").slice(0, MAX_LINE);
    const found = FRAME.exec(call);
    if (found === null) {
      text += `  ${call}\n`;
      continue;
    }
    const [, name = "<anonymous>", file, row, column] = found;
    const where = Number(column) > LONG_LINE ? ` (column ${column})` : "";
    text += `  File "${file}", line ${row}, in ${name}${where}\n`;
  }
  return text;
}

function lastLine({ type, module, args }: Headline): string {
  const name = module === "builtins" ? type : `${module}.${type}`;
  if (args.length === 0) return name;
  const [only] = args;
  if (args.length === 1) return `${name}: ${typeof only === "string" ? only : repr(only)}`;
  return `${name}: (${args.map((arg) => repr(arg)).join(", ")})`;
}
