/**
 * What a pool and its child say to each other: lines of JSON with kombu's types, so that dates, bytes, big integers, UUIDs
 * and decimals arrive as what they were. A list whose first member is the kind.
 *
 * parent -> child: `init` (once), `job`, `abort`, `stored`, `ping`, `stop`
 * child -> parent: `ready` or `failed`; for a job `start`, any number of `state`, `event` and `keep`, `end`; `pong`, `log` at any time
 */
import { exceptionInfo } from "../protocol/exceptions.ts";
import type { Job, Outcome } from "../protocol/job.ts";
import { parseJson, stringifyJson } from "../protocol/json.ts";
import { repr } from "../protocol/python-repr.ts";
import type { ExceptionInfo } from "../protocol/wire.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export type ToChild =
  | readonly ["init", unknown]
  | readonly ["job", Job]
  | readonly ["abort", ExceptionInfo]
  | readonly ["stored", number]
  | readonly ["ping"]
  | readonly ["stop"];

export type ToParent =
  | readonly ["ready"]
  /** The app could not be loaded: the error's text. */
  | readonly ["failed", string]
  | readonly ["start"]
  | readonly ["state", number, string, unknown]
  /** Of `task.sendEvent`: its type, its fields as JSON. */
  | readonly ["event", type: string, fields: string]
  /** A line of the log of a task with `storeLogs`. */
  | readonly ["keep", line: string]
  /** With the memory of the process, KiB, where it is limited. */
  | readonly ["end", Outcome, number | null]
  | readonly ["pong"]
  | readonly ["log", LogLevel, own: Fields | null, fields: Fields, message: string];

export type Fields = Readonly<Record<string, unknown>>;

/** A message's arguments may be nested as deep as may be sent; the wrapping comes on top. */
const DEEPEST = { maxDepth: 210 };

/** @throws EncodeError */
export function write(message: ToChild | ToParent): string {
  return stringifyJson(message, "a message of the pool");
}

/** In a child. null: not a message of ours. User code may use the channel for its own. */
export function readInChild(text: unknown): ToChild | null {
  return read(text) as ToChild | null;
}

/** In the parent. null: as above. */
export function readInParent(text: unknown): ToParent | null {
  return read(text) as ToParent | null;
}

function read(text: unknown): unknown {
  if (typeof text !== "string" || !text.startsWith('["')) return null;
  try {
    return parseJson(text, DEEPEST);
  } catch {
    return null;
  }
}

/** The arguments travel once, not again inside the request. @throws EncodeError naming the argument */
export function writeJob(job: Job): string {
  const { id, task, softTimeLimitMs, timeLimitMs } = job;
  const head = stringifyJson([id, task, softTimeLimitMs, timeLimitMs]);
  const request = stringifyJson({ ...job.request, args: null, kwargs: null }, "the request");
  const args = stringifyJson(job.args, "the arguments");
  const kwargs = stringifyJson(job.kwargs, "the keyword arguments");
  return `["job",${head},${args},${kwargs},${request}]`;
}

type JobParts = readonly [
  "job",
  readonly [id: string, task: string, softTimeLimitMs: number | null, timeLimitMs: number | null],
  readonly unknown[],
  Readonly<Record<string, unknown>>,
  Record<string, unknown>,
];

/** What {@link writeJob} wrote, read as a list. */
export function jobOf(message: unknown): Job {
  const [, [id, task, softTimeLimitMs, timeLimitMs], args, kwargs, request] = message as JobParts;
  request["args"] = args;
  request["kwargs"] = kwargs;
  return { id, task, args, kwargs, request, softTimeLimitMs, timeLimitMs };
}

/** Text of `end`. What cannot travel is the job's failure. */
export function writeEnd(outcome: Outcome, memoryKib: number | null, module: string): string {
  const memory = memoryKib === null ? "null" : String(Math.ceil(memoryKib));
  if (outcome.kind === "success") {
    const { children, runtimeMs } = outcome;
    try {
      const value = stringifyJson(outcome.value, "the result");
      const rest = stringifyJson([runtimeMs, children]);
      return `["end",["success",${value},${rest}],${memory}]`;
    } catch (error) {
      return failedEnd(error, { memory, module, runtimeMs, children });
    }
  }
  try {
    return `["end",${stringifyJson(outcome, "the outcome")},${memory}]`;
  } catch (error) {
    const children = "children" in outcome ? outcome.children : [];
    return failedEnd(error, { memory, module, runtimeMs: 0, children });
  }
}

function failedEnd(
  error: unknown,
  parts: { memory: string; module: string; runtimeMs: number; children: readonly unknown[] },
): string {
  const { memory, module, runtimeMs, children } = parts;
  const info = exceptionInfo(error, module);
  const outcome: Outcome = { kind: "failure", error: info, expected: false, runtimeMs, children };
  return `["end",${stringifyJson(outcome)},${memory}]`;
}

/** What {@link writeEnd} wrote. */
export function outcomeOf(written: unknown): Outcome {
  if (!Array.isArray(written)) return written as Outcome;
  const [, value, [runtimeMs, children]] = written as ["success", unknown, [number, readonly unknown[]]];
  return { kind: "success", value, runtimeMs, children };
}

const ERROR = "$error";

/** Fields of a log line that can travel: errors as their parts, what cannot as its repr. */
export function sendableFields(fields: object): Fields {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) out[name] = { [ERROR]: [value.name, value.message, value.stack ?? ""] };
    else out[name] = sendable(value);
  }
  return out;
}

function sendable(value: unknown): unknown {
  try {
    stringifyJson(value);
    return value;
  } catch {
    return repr(value);
  }
}

/** What {@link sendableFields} gave, with errors again. */
export function receivedFields(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, errorOr(value)]));
}

function errorOr(value: unknown): unknown {
  const parts = (value as { readonly [ERROR]?: unknown } | null)?.[ERROR];
  if (!Array.isArray(parts)) return value;
  const [name, message, stack] = parts.map(String);
  const error = new Error(message);
  error.name = name ?? "Error";
  if (stack) error.stack = stack;
  return error;
}
