/** What a state knows of a worker and of a task. Read-only for users; written by `state.ts`. */

/** A worker, as its events tell. */
export interface WorkerView {
  /** Node name. */
  readonly hostname: string;
  readonly pid: number | null;
  /** Seconds between two heartbeats. */
  readonly freq: number;
  readonly active: number | null;
  readonly processed: number | null;
  readonly loadavg: readonly number[] | null;
  readonly swIdent: string | null;
  readonly swVer: string | null;
  readonly swSys: string | null;
  readonly clock: number;
  /** When the last signs of life came, seconds since the epoch by this process's clock; four at most, oldest first. */
  readonly heartbeats: readonly number[];
  /** Seconds that its wall clock is behind ours, or ahead (negative), in its last event. */
  readonly drift: number;
  /** Whether a sign of life came within twice `freq`. */
  readonly alive: boolean;
}

/** A task, as events tell of it. Times in seconds since the epoch. */
export interface TaskView {
  readonly uuid: string;
  /** A state of `states`, or one of the task's own in capitals. */
  readonly state: string;
  readonly name: string | null;
  /** Python's repr. */
  readonly args: string | null;
  readonly kwargs: string | null;
  readonly result: string | null;
  readonly exception: string | null;
  readonly traceback: string | null;
  readonly rootId: string | null;
  readonly parentId: string | null;
  readonly retries: number | null;
  /** ISO 8601. */
  readonly eta: string | null;
  readonly expires: string | null;
  readonly exchange: string | null;
  readonly routingKey: string | null;
  readonly queue: string | null;
  /** Seconds. */
  readonly runtime: number | null;
  /** Node name of the worker that spoke of it last. */
  readonly worker: string | null;
  /** Node name of the client that sent it. */
  readonly client: string | null;
  /** Of the event that made its state. */
  readonly timestamp: number | null;
  readonly clock: number;
  readonly sent: number | null;
  readonly received: number | null;
  readonly started: number | null;
  readonly succeeded: number | null;
  readonly failed: number | null;
  readonly retried: number | null;
  readonly revoked: number | null;
  readonly rejected: number | null;
  /** Process id of who spoke of it last. */
  readonly pid: number | null;
  /**
   * Everything that its events said of it, by the names on the wire, those of `task.sendEvent` too; later events over earlier
   * ones. What is not said, or is null, is not there. Python: `task.info()`, `task.__dict__`.
   */
  readonly fields: Readonly<Record<string, unknown>>;
}

type TextField =
  | "name"
  | "args"
  | "kwargs"
  | "rootId"
  | "parentId"
  | "eta"
  | "expires"
  | "result"
  | "exception"
  | "traceback"
  | "exchange"
  | "routingKey"
  | "queue";
/** Fields that a task's record keeps, by their wire name and by ours. */
type Fields<T> = readonly (readonly [wire: string, ours: T])[];

export const DESCRIBING: Fields<TextField> = [
  ["name", "name"],
  ["args", "args"],
  ["kwargs", "kwargs"],
  ["root_id", "rootId"],
  ["parent_id", "parentId"],
  ["eta", "eta"],
  ["expires", "expires"],
];
export const TEXTS: Fields<TextField> = [
  ...DESCRIBING,
  ["result", "result"],
  ["exception", "exception"],
  ["traceback", "traceback"],
  ["exchange", "exchange"],
  ["routing_key", "routingKey"],
  ["queue", "queue"],
];
const NUMBERS: Fields<"retries" | "runtime" | "pid"> = [
  ["retries", "retries"],
  ["runtime", "runtime"],
  ["pid", "pid"],
];
/** Of the event, not of its task; or kept under another name. */
const OF_EVENTS = ["type", "uuid", "hostname", "timestamp", "clock", "utcoffset", "local_received"];
const KNOWN: ReadonlySet<string> = new Set([
  ...OF_EVENTS,
  ...TEXTS.map(([wire]) => wire),
  ...NUMBERS.map(([wire]) => wire),
]);
/** Further fields of one task, and what one may come to as JSON; what is beyond is left out. */
const FURTHER_AT_MOST = 100;
const FURTHER_BYTES = 64 * 1024;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Celery's window: the time between two heartbeats, twice. */
const WINDOW = 2;
/** Of a worker that has not said how often it sends heartbeats: Celery's. Seconds. */
const DEFAULT_FREQ = 60;
const HEARTBEATS_AT_MOST = 4;

export class WorkerRecord implements WorkerView {
  readonly hostname: string;
  pid: number | null = null;
  freq: number = DEFAULT_FREQ;
  active: number | null = null;
  processed: number | null = null;
  loadavg: readonly number[] | null = null;
  swIdent: string | null = null;
  swVer: string | null = null;
  swSys: string | null = null;
  clock = 0;
  heartbeats: number[] = [];
  drift = 0;
  readonly #now: () => number;

  /** @param now - seconds since the epoch */
  constructor(hostname: string, now: () => number) {
    this.hostname = hostname;
    this.#now = now;
  }

  get alive(): boolean {
    const last = this.heartbeats.at(-1);
    return last !== undefined && this.#now() < last + this.freq * WINDOW;
  }

  /** A sign of life. Signs may come out of order. */
  beat(at: number): void {
    const index = this.heartbeats.findLastIndex((one) => one <= at) + 1;
    this.heartbeats.splice(index, 0, at);
    if (this.heartbeats.length > HEARTBEATS_AT_MOST) this.heartbeats.shift();
  }
}

export class TaskRecord implements Mutable<TaskView> {
  readonly uuid: string;
  state = "PENDING";
  name: string | null = null;
  args: string | null = null;
  kwargs: string | null = null;
  result: string | null = null;
  exception: string | null = null;
  traceback: string | null = null;
  rootId: string | null = null;
  parentId: string | null = null;
  retries: number | null = null;
  eta: string | null = null;
  expires: string | null = null;
  exchange: string | null = null;
  routingKey: string | null = null;
  queue: string | null = null;
  runtime: number | null = null;
  worker: string | null = null;
  client: string | null = null;
  timestamp: number | null = null;
  clock = 0;
  sent: number | null = null;
  received: number | null = null;
  started: number | null = null;
  succeeded: number | null = null;
  failed: number | null = null;
  retried: number | null = null;
  revoked: number | null = null;
  rejected: number | null = null;
  pid: number | null = null;
  /** Fields that have no place above. Almost no task has one. */
  #further: Map<string, unknown> | null = null;
  #furtherBytes = 0;

  constructor(uuid: string) {
    this.uuid = uuid;
  }

  /** What the further fields take, roughly. */
  get furtherBytes(): number {
    return this.#furtherBytes;
  }

  /** Takes the fields of an event that have no place of their own. */
  keepFurther(event: Readonly<Record<string, unknown>>): void {
    for (const name in event) {
      if (KNOWN.has(name)) continue;
      const value = event[name];
      const bytes = name.length + sizeOf(value);
      if (bytes > FURTHER_BYTES) continue;
      this.#further ??= new Map();
      const before = this.#further.get(name);
      if (before === undefined && this.#further.size >= FURTHER_AT_MOST) continue;
      if (before !== undefined) this.#furtherBytes -= name.length + sizeOf(before);
      this.#further.set(name, value);
      this.#furtherBytes += bytes;
    }
  }

  get fields(): Readonly<Record<string, unknown>> {
    // Names come from strangers: `__proto__` is one like any other.
    const fields = Object.create(null) as Record<string, unknown>;
    for (const [wire, ours] of [...TEXTS, ...NUMBERS]) {
      const value = this[ours];
      if (value !== null) fields[wire] = value;
    }
    for (const [name, value] of this.#further ?? []) if (value !== null) fields[name] = value;
    return fields;
  }
}

function sizeOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  return typeof value === "object" && value !== null ? (JSON.stringify(value)?.length ?? 0) : 8;
}
