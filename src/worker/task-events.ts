/**
 * What a worker tells of its tasks. Python: `Request.send_event`, `celery/worker/strategy.py`.
 *
 * Each event is written as text, at once, with Celery's fields in Celery's order: three of them for each task must cost
 * little beside the task itself. While events are off {@link EventSwitch.tasks} is null, and nothing of this runs.
 */
import { short } from "../events/digits.ts";
import type { EventDispatcher } from "../events/dispatcher.ts";
import { toIso } from "../protocol/iso8601.ts";
import type { Outcome } from "../protocol/job.ts";
import { quote, quoteId } from "../protocol/json-write.ts";
import { repr } from "../protocol/python-repr.ts";
import type { ExceptionInfo } from "../protocol/wire.ts";
import { exceptionRepr } from "../task/retry.ts";
import type { Request } from "./request.ts";
import type { Storing } from "./settler.ts";

/** Where the machinery of tasks looks for each event. */
export interface EventSwitch {
  /** null: events of tasks are off. */
  readonly tasks: TaskEvents | null;
}

/** Tells of an end once its result was stored, or was given up: monitors look it up as soon as they hear of it. */
export function tellStored(events: EventSwitch, storing: Storing, tell: (tasks: TaskEvents) => void): void {
  if (events.tasks === null) return;
  if (storing === null) tell(events.tasks);
  else {
    void storing.then(() => {
      if (events.tasks !== null) tell(events.tasks);
    });
  }
}

/** Characters of a text of the message that are told: Celery's senders cut at 1,024 already. */
const MAX_REPR = 4_096;

/** Of a task that is neither somebody's child, nor a retry, nor bound to a time. */
const PLAIN_REST = ',"parent_id":null,"retries":0,"eta":null,"expires":null';

export class TaskEvents {
  readonly #dispatcher: EventDispatcher;
  #lastTask = "";
  #lastName = "";

  constructor(dispatcher: EventDispatcher) {
    this.#dispatcher = dispatcher;
  }

  received(request: Request): void {
    if (!request.strategy.sendEvents) return;
    const { decoded, task } = request;
    const { argsrepr, kwargsrepr, rootId, parentId, retries, etaMs, expiresMs } = decoded;
    const root = rootId === request.id ? quoteId(rootId) : quote(rootId);
    const isPlain = parentId === null && retries === 0 && etaMs === null && expiresMs === null;
    const rest = isPlain
      ? PLAIN_REST
      : `,"parent_id":${parentId === null ? "null" : quote(parentId)},"retries":${retries},"eta":${isoOrNull(etaMs)},"expires":${isoOrNull(expiresMs)}`;
    this.#collect(
      request,
      `${this.#named(task)}${cut(argsrepr)},"kwargs":${cut(kwargsrepr)},"root_id":${root}${rest}`,
      "task-received",
    );
  }

  started(request: Request): void {
    this.#collect(request, "", "task-started");
  }

  succeeded(request: Request, outcome: Outcome & { readonly kind: "success" }): void {
    if (!request.strategy.sendEvents) return;
    const result = quote(repr(outcome.value));
    this.#collect(request, `,"result":${result},"runtime":${seconds(outcome.runtimeMs)}`, "task-succeeded");
  }

  failed(request: Request, error: ExceptionInfo): void {
    this.#collect(request, errorFields(error, error.traceback), "task-failed");
  }

  /** Of a message of which no request was made. */
  failedBefore(id: string, error: ExceptionInfo): void {
    this.#dispatcher.collect(
      "task-failed",
      `,"uuid":${quoteId(id)},"exception":${quote(exceptionRepr(error))}`,
    );
  }

  retried(request: Request, outcome: Outcome & { readonly kind: "retry" }): void {
    const { cause, reason } = outcome;
    const exception = quote(cause === null ? "None" : exceptionRepr(cause));
    const traceback = quote(`${cause?.traceback ?? ""}celery.exceptions.Retry: ${reason}\n`);
    this.#collect(request, `,"exception":${exception},"traceback":${traceback}`, "task-retried");
  }

  rejected(request: Request, requeue: boolean): void {
    this.#collect(request, `,"requeue":${requeue}`, "task-rejected");
  }

  /** @param signum - of the signal that ended it; null: none did */
  revoked(request: Request, how: { readonly signum: number | null; readonly expired: boolean }): void {
    const { signum, expired } = how;
    this.#collect(
      request,
      `,"terminated":${signum !== null},"signum":${signum ?? "null"},"expired":${expired}`,
      "task-revoked",
    );
  }

  /** The worker gave it up, and it will be delivered again. */
  cancelled(request: Request): void {
    this.#collect(request, "", "task-cancelled");
  }

  /** Tasks of one type mostly come one after the other. */
  #named(task: string): string {
    if (this.#lastTask !== task) {
      this.#lastTask = task;
      this.#lastName = `,"name":${quote(task)},"args":`;
    }
    return this.#lastName;
  }

  #collect(request: Request, fields: string, type: string): void {
    if (!request.strategy.sendEvents) return;
    if (request.uuidText === "") request.uuidText = `,"uuid":${quoteId(request.id)}`;
    this.#dispatcher.collect(type, request.uuidText + fields);
  }
}

/** A failure without a traceback still has a text: Celery's monitors expect one. */
function errorFields(error: ExceptionInfo, traceback: string | null): string {
  const exception = exceptionRepr(error);
  return `,"exception":${quote(exception)},"traceback":${quote(traceback ?? `${exception}\n`)}`;
}

function cut(text: string | null): string {
  if (text === null) return "null";
  return quote(text.length <= MAX_REPR ? text : `${text.slice(0, MAX_REPR)}...`);
}

/** The years that Python knows: 1 to 9999, in ms since the epoch. */
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;

function isoOrNull(ms: number | null): string {
  return ms === null || ms < FIRST_MS || ms > LAST_MS ? "null" : `"${toIso(ms)}"`;
}

/** Whole microseconds with an exponent: a float to Python, and quicker to write than a fraction. */
function seconds(ms: number): string {
  return `${short(Math.round(ms * 1000))}e-6`;
}
