/**
 * Entries of a worker's log, from its lines: Celery's text and ours (which is the same), and our JSON. What does not begin
 * an entry belongs to the one before it, as a traceback does.
 */
import { sentence } from "../../worker/log-sentences.ts";

/** What an entry tells of a task. */
export type EntryKind =
  | "received"
  | "parked"
  | "retried"
  | "returned"
  | "succeeded"
  | "failed"
  | "rejected"
  | "ignored"
  | "revoked"
  | "other";

export interface LogEntry {
  readonly kind: EntryKind;
  readonly task: string | null;
  readonly id: string | null;
  /** Its first line. */
  readonly line: string;
  /** The lines after it. */
  readonly trace: readonly string[];
}

type Head = Omit<LogEntry, "trace"> & { readonly trace: string[] };

/** Of one entry; the rest is left out. */
const TRACE_AT_MOST = 1000;

/** What stands behind `Task name[id] `, with what it means. */
const ENDS: readonly (readonly [pattern: RegExp, kind: EntryKind])[] = [
  [/^received/, "received"],
  [/^waits for its ETA/, "parked"],
  [/^succeeded in/, "succeeded"],
  [/^raised (un)?expected:/, "failed"],
  [/^INTERNAL ERROR:/, "failed"],
  [/^retry:/, "retried"],
  [/^rejected|^Reject\b|^reject\b/, "rejected"],
  [/^ignored/, "ignored"],
  [/^was not finished: its message goes back/, "returned"],
  [/^was not finished and is lost/, "failed"],
];

/** Other sentences that name a task. */
const SENTENCES: readonly (readonly [pattern: RegExp, kind: EntryKind])[] = [
  [/Discarding revoked task: (?<task>.+?)\[(?<id>[^[\]]+)\]/, "revoked"],
  [/Hard time limit \(.*?\) exceeded for (?<task>.+?)\[(?<id>[^[\]]+)\]/, "failed"],
  [/Received unregistered task of type (?<task>\S+), id (?<id>[^\s,]+), on queue/, "failed"],
];

const TASK = /\bTask (?<task>\S.*?)\[(?<id>[^[\]]+)\] (?<rest>.*)$/;
/** How a line of Celery's default format begins. */
const START = /^\[\d{4}-\d\d-\d\d[ T]/;

/** pino's levels. */
const LEVELS: ReadonlyMap<number, string> = new Map([
  [20, "DEBUG"],
  [30, "INFO"],
  [40, "WARNING"],
  [50, "ERROR"],
  [60, "CRITICAL"],
]);

export async function* entriesOf(lines: AsyncIterable<string>): AsyncGenerator<LogEntry> {
  let current: Head | null = null;
  for await (const line of lines) {
    const head = headOf(line);
    if (head !== null) {
      if (current !== null) yield current;
      current = head;
    } else if (current === null) yield { kind: "other", task: null, id: null, line, trace: [] };
    else if (current.trace.length < TRACE_AT_MOST) current.trace.push(line);
  }
  if (current !== null) yield current;
}

function headOf(line: string): Head | null {
  if (line.startsWith("{")) {
    const json = fromJson(line);
    if (json !== null) return json;
  }
  const told = toldOf(line);
  return START.test(line) || told.kind !== "other" ? { ...told, line, trace: [] } : null;
}

function toldOf(line: string): Pick<Head, "kind" | "task" | "id"> {
  const { task, id, rest } = TASK.exec(line)?.groups ?? {};
  if (task !== undefined && id !== undefined && rest !== undefined) {
    const kind = ENDS.find(([pattern]) => pattern.test(rest))?.[1];
    if (kind !== undefined) return { kind, task, id };
  }
  for (const [pattern, kind] of SENTENCES) {
    const groups = pattern.exec(line)?.groups;
    if (groups) return { kind, task: groups["task"] ?? null, id: groups["id"] ?? null };
  }
  return { kind: "other", task: null, id: null };
}

/** A line of `--json`, as the text that the worker would have written. */
function fromJson(text: string): Head | null {
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = JSON.parse(text) as typeof fields;
  } catch {
    return null;
  }
  const { level, time, pid, hostname: _hostname, msg, err, ...rest } = fields;
  if (typeof msg !== "string" || typeof level !== "number") return null;
  const [first = "", ...trace] = [sentence(msg, rest, false), stackOf(err)]
    .filter((part) => part !== "")
    .join("\n")
    .split("\n");
  const at = typeof time === "number" ? new Date(time).toISOString().replace("T", " ").replace("Z", "") : "?";
  const line = `[${at}: ${LEVELS.get(level) ?? level}/${String(pid)}] ${first}`;
  return { ...toldOf(line), line, trace };
}

function stackOf(err: unknown): string {
  if (typeof err !== "object" || err === null) return "";
  const { stack, message } = err as { readonly stack?: unknown; readonly message?: unknown };
  return typeof stack === "string" ? stack : typeof message === "string" ? message : "";
}
