/** Celery's sentences for the worker's messages. */
import { visible, visibleBlock } from "./log-format.ts";
import { LINES } from "./task-log.ts";

type Fields = Readonly<Record<string, unknown>>;

const SENTENCES: Readonly<Record<string, (fields: Fields) => string>> = {
  [LINES.received]: (f) => `Task ${task(f)} received`,
  [LINES.parked]: (f) => `Task ${task(f)} waits for its ETA:[${show(f["eta"])}]`,
  [LINES.succeeded]: (f) => `Task ${task(f)} succeeded in ${show(f["runtime"])}s: ${show(f["result"])}`,
  [LINES.retried]: (f) => `Task ${task(f)} retry: ${show(f["reason"])}`,
  [LINES.failed]: (f) => `Task ${task(f)} raised unexpected: ${show(f["exception"])}${block(f["traceback"])}`,
  [LINES.failedAsExpected]: (f) => `Task ${task(f)} raised expected: ${show(f["exception"])}`,
  [LINES.rejected]: (f) => `Task ${task(f)} rejected${f["reason"] === null ? "" : `: ${show(f["reason"])}`}`,
  [LINES.ignored]: (f) => `Task ${task(f)} ignored`,
  [LINES.revoked]: (f) => `Discarding revoked task: ${task(f)}`,
  [LINES.unregistered]: (f) =>
    `Received unregistered task of type ${show(f["task"])}, id ${show(f["id"])}, on queue ${show(f["queue"])}: it failed with NotRegistered. Is the module that defines it loaded?`,
  [LINES.dead]: (f) =>
    `Received a message on queue ${show(f["queue"])} that is no task: ${show(f["reason"])}. It was put on the dead list`,
  [LINES.returned]: (f) => `Task ${task(f)} was not finished: its message goes back to the queue`,
  [LINES.lost]: (f) =>
    `Task ${task(f)} was not finished and is lost: its message was acknowledged early (acksLate is off)`,
  // Of beat, which is no part of the worker: `LINES` of its dispatcher.
  "Scheduler: Sending due task": (f) =>
    `Scheduler: Sending due task ${show(f["entry"])} (${show(f["task"])})`,
  "beat: task sent": (f) => `${show(f["task"])} sent. id->${show(f["id"])}`,
  "beat: a due task cannot be sent": (f) => `Message Error: ${reason(f["err"])}`,
  "beat: Connection error, trying again": (f) =>
    `beat: Connection error: ${reason(f["err"])}. Trying again in ${show(f["seconds"])} seconds...`,
};

/** The text of a message: Celery's sentence, else the message with its fields behind it. */
export function sentence(message: string, fields: Fields, isTask: boolean): string {
  // What a task says is never the worker's.
  const known = !isTask && Object.hasOwn(SENTENCES, message) ? SENTENCES[message] : undefined;
  if (known !== undefined) return known(fields);
  let text = visible(message);
  let trace = "";
  for (const [name, value] of Object.entries(fields)) {
    if (isTask && (name === "task_id" || name === "task_name")) continue;
    if (value instanceof Error) {
      text += ` ${name}=${show(value.message)}`;
      trace += block(value.stack);
    } else {
      text += ` ${name}=${show(value)}`;
    }
  }
  return text + trace;
}

function reason(error: unknown): string {
  return error instanceof Error ? visible(error.message) : show(error);
}

function task(fields: Fields): string {
  return `${show(fields["task"])}[${show(fields["id"])}]`;
}

function block(value: unknown): string {
  return typeof value === "string" && value !== "" ? `\n${visibleBlock(value.trimEnd())}` : "";
}

const MAX_SHOWN = 1000;

function show(value: unknown): string {
  const text = typeof value === "string" ? value : (safeJson(value) ?? String(value));
  return visible(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text);
}

function safeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return "<unserializable>";
  }
}
