/**
 * Events: what workers and clients tell of themselves and of tasks. Names of fields are the wire's.
 * Python: `celery/events/event.py`.
 *
 * An event travels alone on the routing key of its type (`task-sent` on `task.sent`), or, from a worker's tasks, in a list
 * on `task.multi`.
 */
import { EncodeError } from "../errors.ts";
import { stringifyJson } from "./json.ts";

/** What every event has. */
export interface EventHead {
  readonly type: string;
  /** Node name of the sender; `gen{pid}@{host}` for a client. */
  readonly hostname: string;
  /** Seconds since the epoch, by the sender's clock. */
  readonly timestamp: number;
  /** Logical clock of the sender; null: it gave none. */
  readonly clock: number | null;
  readonly pid: number | null;
  /** Hours west of UTC. */
  readonly utcoffset: number | null;
  /** Seconds since the epoch, by the receiver's clock. */
  readonly local_received?: number;
}

/** Of `worker-online`, `worker-heartbeat`, `worker-offline`. */
export interface WorkerStatusFields {
  /** Seconds between two heartbeats. */
  readonly freq: number | null;
  /** Tasks that run. */
  readonly active: number | null;
  /** Tasks that have ended. */
  readonly processed: number | null;
  /** Of one, five and fifteen minutes. */
  readonly loadavg: readonly number[] | null;
  readonly sw_ident: string | null;
  readonly sw_ver: string | null;
  readonly sw_sys: string | null;
}

/** Of `task-received`: what is known of a task before it runs. `args`, `kwargs` as Python's repr, times in ISO 8601. */
export interface TaskReceivedFields {
  readonly uuid: string;
  readonly name: string | null;
  readonly args: string | null;
  readonly kwargs: string | null;
  readonly root_id: string | null;
  readonly parent_id: string | null;
  readonly retries: number | null;
  readonly eta: string | null;
  readonly expires: string | null;
}

interface TaskErrorFields {
  readonly uuid: string;
  /** Python's repr. */
  readonly exception: string | null;
  readonly traceback: string | null;
}

/** The fields of every type that Celery knows, beyond {@link EventHead}. */
export interface EventFields {
  "worker-online": WorkerStatusFields;
  "worker-heartbeat": WorkerStatusFields;
  "worker-offline": WorkerStatusFields;
  "worker-elect": {
    readonly id: string | null;
    readonly topic: string | null;
    readonly action: unknown;
    readonly cver: number | null;
  };
  "worker-elect-ack": { readonly id: string | null };
  "task-sent": TaskReceivedFields & {
    readonly queue: string | null;
    readonly exchange: string | null;
    readonly routing_key: string | null;
  };
  "task-received": TaskReceivedFields;
  "task-started": { readonly uuid: string };
  "task-succeeded": {
    readonly uuid: string;
    /** Python's repr. */
    readonly result: string | null;
    /** Seconds. */
    readonly runtime: number | null;
  };
  "task-failed": TaskErrorFields;
  "task-retried": TaskErrorFields;
  "task-rejected": { readonly uuid: string; readonly requeue: boolean | null };
  "task-revoked": {
    readonly uuid: string;
    readonly terminated: boolean | null;
    readonly signum: number | string | null;
    readonly expired: boolean | null;
  };
  "task-cancelled": { readonly uuid: string };
}

/** Types that Celery knows. */
export type EventType = keyof EventFields;

/** An event of a known type. */
export type EventOf<T extends EventType> = EventHead & { readonly type: T } & EventFields[T];

/** An event of any type; fields beyond the head have to be looked at before they are used. */
export type AnyEvent = EventHead & { readonly [field: string]: unknown };

/** Routing key of a list of events of tasks. */
export const TASK_MULTI = "task.multi";
/** Events of one list at most. Celery's workers end a list at 24; receivers take any, and a longer one costs less for each. */
export const EVENTS_IN_LIST = 96;

/** `task-sent` goes out on `task.sent`. */
export function routingKeyOf(type: string): string {
  return type.replaceAll("-", ".");
}

/** `task` of `task-sent`. */
export function eventGroup(type: string): string {
  const dash = type.indexOf("-");
  return dash === -1 ? type : type.slice(0, dash);
}

/** Hours west of UTC, as Celery counts them. */
export function utcOffset(nowMs: number): number {
  return Math.floor(new Date(nowMs).getTimezoneOffset() / 60);
}

// ---- writing one's own

const HEAD_FIELDS: ReadonlySet<string> = new Set([
  "type",
  "hostname",
  "timestamp",
  "clock",
  "pid",
  "utcoffset",
  "uuid",
  "local_received",
]);

/** `task-` and a name: what a task may send of itself. */
const OWN_TYPE = /^task-[\w.-]{1,100}$/;

/**
 * The fields of an event of the user's own as the inside of a JSON object, with a comma in front; `""` when there are none.
 *
 * @throws TypeError: a type that is none, or a field that every event has. EncodeError: a value that cannot travel
 */
export function encodeOwnEvent(type: string, fields: Readonly<Record<string, unknown>>): string {
  if (typeof type !== "string" || !OWN_TYPE.test(type)) {
    throw new TypeError(`an event's type is "task-" and a name, such as "task-progress", not ${shown(type)}`);
  }
  for (const name of Object.keys(fields)) {
    if (HEAD_FIELDS.has(name)) {
      throw new TypeError(`event ${type}: the field ${name} is filled in by petiole, choose another name`);
    }
  }
  const text = stringifyJson(fields, `event ${type}`);
  if (!text.startsWith("{")) throw new EncodeError(`event ${type}: its fields must be an object`);
  return text === "{}" ? "" : `,${text.slice(1, -1)}`;
}

function shown(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 64));
}

// ---- reading what others sent

type FieldKind = "text" | "number" | "flag" | "signal" | "numbers" | "any";

const UUID = { uuid: "text" } as const;
const STATUS = {
  freq: "number",
  active: "number",
  processed: "number",
  loadavg: "numbers",
  sw_ident: "text",
  sw_ver: "text",
  sw_sys: "text",
} as const;
const RECEIVED = {
  uuid: "text",
  name: "text",
  args: "text",
  kwargs: "text",
  root_id: "text",
  parent_id: "text",
  retries: "number",
  eta: "text",
  expires: "text",
} as const;
const ERROR = { uuid: "text", exception: "text", traceback: "text" } as const;

/** What a field of a known type must hold. Anything else there is read as null. */
const FIELD_KINDS: { readonly [T in EventType]: { readonly [F in keyof EventFields[T]]: FieldKind } } = {
  "worker-online": STATUS,
  "worker-heartbeat": STATUS,
  "worker-offline": STATUS,
  "worker-elect": { id: "text", topic: "text", action: "any", cver: "number" },
  "worker-elect-ack": { id: "text" },
  "task-sent": { ...RECEIVED, queue: "text", exchange: "text", routing_key: "text" },
  "task-received": RECEIVED,
  "task-started": UUID,
  "task-succeeded": { ...UUID, result: "text", runtime: "number" },
  "task-failed": ERROR,
  "task-retried": ERROR,
  "task-rejected": { ...UUID, requeue: "flag" },
  "task-revoked": { ...UUID, terminated: "flag", signum: "signal", expired: "flag" },
  "task-cancelled": UUID,
};

/** Longest type, node name and task id that are read. */
const MAX_NAME = 512;

/**
 * The events of a message's body: one, or a list. What is none is left out and counted: it comes from strangers.
 */
export function readEvents(body: unknown): {
  readonly events: readonly AnyEvent[];
  readonly invalid: number;
} {
  const members: readonly unknown[] = Array.isArray(body) ? body : [body];
  const events: AnyEvent[] = [];
  for (const member of members) {
    const event = readEvent(member);
    if (event !== null) events.push(event);
  }
  return { events, invalid: members.length - events.length };
}

function readEvent(value: unknown): AnyEvent | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const given = value as Readonly<Record<string, unknown>>;
  const { type, hostname, timestamp } = given;
  if (!isName(type) || !isName(hostname)) return null;
  if (typeof timestamp !== "number" || !Number.isFinite(timestamp)) return null;
  const isOfTask = type.startsWith("task-");
  if (isOfTask && !isName(given["uuid"])) return null;
  const { clock, pid, utcoffset } = given;
  const event: Record<string, unknown> = {};
  const kinds = Object.hasOwn(FIELD_KINDS, type) ? FIELD_KINDS[type as EventType] : null;
  for (const name of Object.keys(given)) {
    if (name !== "__proto__") event[name] = given[name];
  }
  for (const [name, kind] of Object.entries(kinds ?? {})) event[name] = fieldOf(given[name], kind);
  event["clock"] = isCount(clock) ? clock : null;
  event["pid"] = isCount(pid) ? pid : null;
  event["utcoffset"] = typeof utcoffset === "number" && Math.abs(utcoffset) <= 24 ? utcoffset : null;
  return event as AnyEvent;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_NAME;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function fieldOf(value: unknown, kind: FieldKind): unknown {
  return fits(value, kind) ? value : null;
}

function fits(value: unknown, kind: FieldKind): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "flag":
      return typeof value === "boolean";
    case "signal":
      return typeof value === "number" || typeof value === "string";
    case "numbers":
      return Array.isArray(value) && value.length <= 16 && value.every((one) => typeof one === "number");
    case "any":
      return value !== undefined;
  }
}
