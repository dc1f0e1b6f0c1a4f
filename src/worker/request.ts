/**
 * One task message in this worker. Python: `celery/worker/request.py`.
 *
 * | state     | received | started      | its run ends        | lease lost | worker stops            |
 * |-----------|----------|--------------|---------------------|------------|-------------------------|
 * | reserved  |          | -> started   |                     | -> dropped | put back by the consumer|
 * | started   |          |              | -> ended            | goes on, its settlement answers "gone" | cold: -> abandoned |
 * | ended     |          |              |                     |            |                         |
 * | dropped   |          | not started  |                     |            |                         |
 * | abandoned |          |              | outcome is dropped  |            |                         |
 *
 * A request is also the pool's job and its port: one object for each task. What a task rarely looks at is made when it does.
 */

import { Linked } from "../base/linked-set.ts";
import { isOptionName } from "../canvas/wire-options.ts";
import type { RunningJob } from "../pool/pool.ts";
import { TASK_HEADERS } from "../protocol/envelope.ts";
import type { Job, JobPort } from "../protocol/job.ts";
import type { DecodedTask } from "../protocol/wire.ts";
import type { TaskRequest } from "../task/context-types.ts";
import type { Delivery, UniqueKey } from "../transports/transport.ts";
import { readUniqueKey, UNIQUE_HEADER } from "../transports/unique-locks.ts";
import type { KeptLog } from "./kept-log.ts";
import { ignoresResult, type Strategy, toMs } from "./strategy.ts";

export type RequestState = "reserved" | "started" | "ended" | "dropped" | "abandoned";

/** What a request asks of its worker while its function runs. */
export interface RequestHost {
  /** Node name. */
  readonly hostname: string;
  /** The function is about to run. */
  onStart(request: Request, pid: number): void;
  updateState(request: Request, state: string, meta: unknown): Promise<void>;
  isRevoked(request: Request): boolean;
  sendEvent(request: Request, type: string, fields: string): void;
  keepLog(request: Request, line: string): void;
}

export class Request extends Linked implements Job, JobPort {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly softTimeLimitMs: number | null;
  readonly timeLimitMs: number | null;
  readonly decoded: DecodedTask;
  readonly delivery: Delivery;
  readonly strategy: Strategy;
  /** Nothing is stored of a success. */
  readonly ignoreResult: boolean;
  /** See the table above. Written by the tracer and the consumer. */
  state: RequestState = "reserved";
  /** A settlement was sent, or there is nothing to settle. Written by the settler. */
  settled = false;
  /** Null until the pool has it, and when it ended at once. Written by the tracer. */
  running: RunningJob | null = null;
  /** STARTED, on its way to the backend: the result must not overtake it. Written by the tracer. */
  storing: Promise<void> | null = null;
  /** Of a task with `storeLogs` that has logged something. Written by the tracer. */
  logs: KeptLog | null = null;
  /** Wall clock, ms; 0: not started. Written by the tracer. */
  startedMs = 0;
  /** Of the process that runs it; 0: none yet. Written by the tracer. */
  pid = 0;
  /** `,"uuid":"…"`, once an event told of it. Written by `TaskEvents`. */
  uuidText = "";
  /** The key of a unique task; null: none. */
  readonly unique: UniqueKey | null;
  /** It goes on in another message, which frees the key, or is freed with its ack. Written by the endings and the settler. */
  keepsUnique = false;
  /** The broker was lost while it ran: it is to end, and goes back. Written by the consumer. */
  cancelled = false;
  /** The signal that remote control has stopped it with. Written by `control/`. */
  terminated: NodeJS.Signals | null = null;
  readonly #host: RequestHost;
  #request: Readonly<Record<string, unknown>> | null = null;

  constructor(
    host: RequestHost,
    strategy: Strategy,
    message: { readonly delivery: Delivery; readonly decoded: DecodedTask },
  ) {
    super();
    const { decoded } = message;
    this.id = decoded.id;
    this.task = decoded.task;
    this.args = decoded.args;
    this.kwargs = decoded.kwargs;
    this.softTimeLimitMs =
      decoded.softTimeLimit === null ? strategy.softTimeLimitMs : toMs(decoded.softTimeLimit);
    this.timeLimitMs = decoded.timeLimit === null ? strategy.timeLimitMs : toMs(decoded.timeLimit);
    this.decoded = decoded;
    this.delivery = message.delivery;
    if (message.delivery.unheld === true) this.settled = true;
    this.strategy = strategy;
    this.ignoreResult = ignoresResult(strategy, decoded);
    const unique = decoded.headers[UNIQUE_HEADER];
    this.unique = unique === undefined ? null : readUniqueKey(unique);
    this.#host = host;
  }

  /** {@link TaskRequest}'s data. */
  get request(): Readonly<Record<string, unknown>> {
    this.#request ??= requestData(this, this.#host.hostname);
    return this.#request;
  }

  /** As {@link request}, typed. */
  get taskRequest(): TaskRequest {
    return this.request as unknown as TaskRequest;
  }

  onStart(pid: number): void {
    this.#host.onStart(this, pid);
  }

  updateState(state: string, meta: unknown): Promise<void> {
    return this.#host.updateState(this, state, meta);
  }

  isRevoked(): boolean {
    return this.#host.isRevoked(this);
  }

  sendEvent(type: string, fields: string): void {
    this.#host.sendEvent(this, type, fields);
  }

  keepLog(line: string): void {
    this.#host.keepLog(this, line);
  }
}

/** Headers that are Celery's or ours; the rest is the sender's. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  ...TASK_HEADERS,
  "compression",
  "redelivered",
  "x-delivery-count",
]);

/** The sender's own headers. */
export function customHeaders(task: DecodedTask): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(task.headers).filter(([name]) => !OWN_HEADERS.has(name)));
}

/** Its stamps, for what goes on in its place; null: none. One with the name of an option would be that option: it is left out. */
export function stampsOf({ stampedHeaders, stamps }: DecodedTask): Readonly<Record<string, unknown>> | null {
  const own = stampedHeaders.filter((name) => Object.hasOwn(stamps, name) && !isOptionName(name));
  return own.length === 0 ? null : Object.fromEntries(own.map((name) => [name, stamps[name]]));
}

function requestData(one: Request, hostname: string): Readonly<Record<string, unknown>> {
  const { decoded, delivery } = one;
  const data: TaskRequest = {
    id: decoded.id,
    task: decoded.task,
    args: decoded.args,
    kwargs: decoded.kwargs,
    retries: decoded.retries,
    rootId: decoded.rootId,
    parentId: decoded.parentId,
    groupId: decoded.group,
    groupIndex: decoded.groupIndex,
    chord: decoded.embed.chord,
    eta: decoded.etaMs === null ? null : new Date(decoded.etaMs),
    expires: decoded.expiresMs === null ? null : new Date(decoded.expiresMs),
    timeLimit: one.timeLimitMs === null ? null : one.timeLimitMs / 1000,
    softTimeLimit: one.softTimeLimitMs === null ? null : one.softTimeLimitMs / 1000,
    ignoreResult: one.ignoreResult,
    properties: decoded.properties,
    correlationId: decoded.correlationId,
    replyTo: decoded.replyTo,
    origin: decoded.origin,
    lang: decoded.lang,
    shadow: decoded.shadow,
    deliveryInfo: {
      exchange: decoded.deliveryInfo.exchange,
      routingKey: decoded.deliveryInfo.routingKey,
      priority: decoded.priority,
      redelivered: decoded.deliveryInfo.redelivered || delivery.redelivered,
    },
    headers: customHeaders(decoded),
    stamps: decoded.stamps,
    stampedHeaders: decoded.stampedHeaders,
    replacedTaskNesting: decoded.replacedTaskNesting,
    hostname,
    calledDirectly: false,
    isEager: false,
  };
  return data as unknown as Readonly<Record<string, unknown>>;
}
