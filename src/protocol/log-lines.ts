/** Lines that a task wrote to its log, as they are kept beside its result: one JSON object to a line. Petiole's own. */
import { parseJson, stringifyJson } from "./json.ts";
import { repr } from "./python-repr.ts";

/** Of a kept line, as pino names them. */
export type TaskLogLevel = "debug" | "info" | "warn" | "error";

/** One line of a task's log. */
export interface TaskLogLine {
  readonly time: Date;
  readonly level: TaskLogLevel;
  readonly message: string;
  /** What the task gave beside the message; an error is its stack. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** UTF-16 units of one line; what is longer loses its fields, and the end of its message. */
export const LONGEST_LOG_LINE = 8_192;
const LONGEST_MESSAGE = 4_096;
const LEVELS: ReadonlySet<unknown> = new Set(["debug", "info", "warn", "error"]);

/** Never throws: what cannot be written as JSON is its repr. */
export function encodeLogLine(line: Omit<TaskLogLine, "time"> & { readonly timeMs: number }): string {
  const { timeMs, level, fields } = line;
  const given: unknown = line.message;
  const message = typeof given === "string" ? given : repr(given);
  const text = textOf([timeMs, level, message, Object.fromEntries(Object.entries(fields).map(plain))]);
  return text.length <= LONGEST_LOG_LINE ? text : textOf([timeMs, level, cut(message), {}]);
}

function textOf(line: readonly [timeMs: number, level: string, message: string, fields: object]): string {
  return stringifyJson(line, "a line of a task's log");
}

function cut(message: string): string {
  return message.length <= LONGEST_MESSAGE ? message : `${message.slice(0, LONGEST_MESSAGE)}...`;
}

function plain([name, value]: [string, unknown]): [string, unknown] {
  if (value instanceof Error) return [name, value.stack ?? `${value.name}: ${value.message}`];
  try {
    stringifyJson(value);
    return [name, value ?? null];
  } catch {
    return [name, repr(value)];
  }
}

/** Lines that are none are left out: the text may come from anywhere. */
export function decodeLogLines(text: string): TaskLogLine[] {
  return text.split("\n").flatMap((line) => {
    let read: unknown;
    try {
      read = parseJson(line);
    } catch {
      return [];
    }
    if (!Array.isArray(read)) return [];
    const [timeMs, level, message, fields] = read as unknown[];
    if (typeof timeMs !== "number" || !LEVELS.has(level) || typeof message !== "string") return [];
    const given = typeof fields === "object" && fields !== null ? (fields as TaskLogLine["fields"]) : {};
    return [{ time: new Date(timeMs), level: level as TaskLogLevel, message, fields: given }];
  });
}
