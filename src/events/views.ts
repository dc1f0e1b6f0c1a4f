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
}

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

  constructor(uuid: string) {
    this.uuid = uuid;
  }
}
