/**
 * What a stream of events says of a cluster: its workers and their tasks. Bounded by number and by bytes; the oldest tasks
 * are forgotten first. Python: `celery/events/state.py`.
 *
 * Events come out of order. A state that lies before the one a task is in (by `PRECEDENCE`) does not change it; of
 * `task-received` then only what describes the task is taken. RETRY has no place in that order: it may come before and after
 * any other.
 *
 * | event      | state    | event     | state    |
 * |------------|----------|-----------|----------|
 * | sent       | PENDING  | failed    | FAILURE  |
 * | received   | RECEIVED | retried   | RETRY    |
 * | started    | STARTED  | revoked   | REVOKED  |
 * | succeeded  | SUCCESS  | rejected  | REJECTED |
 * | any other  | its name in capitals |  |       |
 */
import { type AnyEvent, utcOffset } from "../protocol/events.ts";
import { isReady } from "../protocol/states.ts";
import { DESCRIBING, TaskRecord, type TaskView, TEXTS, WorkerRecord, type WorkerView } from "./views.ts";

/** Bounds of a state, and whom it tells. */
export interface EventStateOptions {
  /** Default: 10,000. */
  readonly maxTasks?: number | undefined;
  /** Default: 5,000. */
  readonly maxWorkers?: number | undefined;
  /** What the texts of all tasks may come to, roughly. Default: 64 MiB. */
  readonly maxBytes?: number | undefined;
  /** Told of every event, before it is taken in. */
  readonly onEvent?: ((event: AnyEvent) => void) | undefined;
  /** A worker was heard of for the first time, or says that it is online. */
  readonly onNodeJoin?: ((worker: WorkerView) => void) | undefined;
  /** A worker says that it leaves. */
  readonly onNodeLeave?: ((worker: WorkerView) => void) | undefined;
  /** A worker's wall clock is more than 16 s off ours; once until it is right again. */
  readonly onDrift?: ((worker: WorkerView) => void) | undefined;
}

/** Which tasks, and in which order. */
export interface TaskQuery {
  readonly limit?: number | undefined;
  /** Newest first. Default: true. */
  readonly reverse?: boolean | undefined;
}

/** Latest first, as Celery's; `null` stands for any state that is not named. */
const PRECEDENCE: readonly (string | null)[] = [
  "SUCCESS",
  "FAILURE",
  null,
  "REVOKED",
  "STARTED",
  "RECEIVED",
  "REJECTED",
  "RETRY",
  "PENDING",
];
const RANKS: ReadonlyMap<string | null, number> = new Map(PRECEDENCE.map((state, index) => [state, index]));
const UNNAMED = PRECEDENCE.indexOf(null);

interface Told {
  readonly state: string;
  /** The field that keeps its time. */
  readonly time:
    | "sent"
    | "received"
    | "started"
    | "succeeded"
    | "failed"
    | "retried"
    | "revoked"
    | "rejected";
}

const TOLD: ReadonlyMap<string, Told> = new Map(
  (
    [
      ["sent", "PENDING"],
      ["received", "RECEIVED"],
      ["started", "STARTED"],
      ["succeeded", "SUCCESS"],
      ["failed", "FAILURE"],
      ["retried", "RETRY"],
      ["revoked", "REVOKED"],
      ["rejected", "REJECTED"],
    ] as const
  ).map(([time, state]) => [time, { state, time }]),
);

/** Longest text that is kept; what is longer is cut. */
const MAX_TEXT = 64 * 1024;
/** What a task costs beside its texts, roughly. */
const TASK_BYTES = 600;
/** Celery's `HEARTBEAT_DRIFT_MAX`. Seconds. */
const DRIFT_AT_MOST = 16;

/** Workers and tasks, as events tell: feed it with {@link EventState.event}. Python: `app.events.State`. */
export class EventState {
  readonly #options: EventStateOptions;
  readonly #maxTasks: number;
  readonly #maxWorkers: number;
  readonly #maxBytes: number;
  readonly #now: () => number;
  /** In the order in which they were heard of. */
  readonly #workers = new Map<string, WorkerRecord>();
  readonly #tasks = new Map<string, TaskRecord>();
  readonly #byType = new Map<string, Set<TaskRecord>>();
  readonly #byWorker = new Map<string, Set<TaskRecord>>();
  /** Told of a drift, by node name. */
  readonly #drifting = new Set<string>();
  #bytes = 0;
  /** Events that were taken in. */
  eventCount = 0;
  /** `task-received` events that were taken in. */
  taskCount = 0;

  /** @param now - wall clock, seconds since the epoch */
  constructor(options: EventStateOptions, now: () => number) {
    this.#options = options;
    this.#maxTasks = options.maxTasks ?? 10_000;
    this.#maxWorkers = options.maxWorkers ?? 5_000;
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
    this.#now = now;
  }

  /** By node name. */
  get workers(): ReadonlyMap<string, WorkerView> {
    return this.#workers;
  }

  /** By id, the one heard of first in front. */
  get tasks(): ReadonlyMap<string, TaskView> {
    return this.#tasks;
  }

  /** What the tasks take, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes an event in. */
  event(event: AnyEvent): void {
    this.eventCount += 1;
    this.#options.onEvent?.(event);
    const dash = event.type.indexOf("-");
    if (dash === -1) return;
    const group = event.type.slice(0, dash);
    const subject = event.type.slice(dash + 1);
    if (group === "worker") this.#workerEvent(subject, event);
    else if (group === "task") this.#taskEvent(subject, event);
  }

  /** Workers that gave a sign of life within twice the time between their heartbeats. */
  aliveWorkers(): readonly WorkerView[] {
    return [...this.#workers.values()].filter((worker) => worker.alive);
  }

  /** By logical clock, newest first. */
  tasksByTime(query: TaskQuery = {}): readonly TaskView[] {
    return ordered(this.#tasks.values(), query);
  }

  /** Of one name. */
  tasksByType(name: string, query: TaskQuery = {}): readonly TaskView[] {
    return ordered(this.#byType.get(name) ?? [], query);
  }

  /** Of one worker, by its node name. */
  tasksByWorker(hostname: string, query: TaskQuery = {}): readonly TaskView[] {
    return ordered(this.#byWorker.get(hostname) ?? [], query);
  }

  /** Names of the tasks that are known, sorted. */
  taskTypes(): readonly string[] {
    return [...this.#byType.keys()].sort();
  }

  /** Forgets workers that gave no sign of life in time, and gives them. */
  dropLost(): readonly WorkerView[] {
    const lost = [...this.#workers.values()].filter((worker) => !worker.alive);
    for (const { hostname } of lost) this.#forgetWorker(hostname);
    return lost;
  }

  /** Forgets tasks: those that are done, or all. */
  clearTasks(options: { readonly ready: boolean } = { ready: true }): void {
    for (const task of this.#tasks.values()) {
      if (!options.ready || isReady(task.state)) this.#forgetTask(task);
    }
  }

  // ---- workers

  #workerEvent(subject: string, event: AnyEvent): void {
    const { hostname, local_received: received } = event;
    const isOffline = subject === "offline";
    const known = this.#workers.get(hostname);
    const worker = known ?? new WorkerRecord(hostname, this.#now);
    if (known === undefined && !isOffline) this.#addWorker(worker);
    update(worker, event);
    if (isOffline) worker.heartbeats = [];
    else if (received !== undefined) {
      worker.beat(received);
      this.#checkDrift(worker, event);
    }
    if (!isOffline && (known === undefined || subject === "online")) this.#options.onNodeJoin?.(worker);
    if (!isOffline) return;
    this.#forgetWorker(hostname);
    this.#options.onNodeLeave?.(worker);
  }

  #addWorker(worker: WorkerRecord): void {
    this.#workers.set(worker.hostname, worker);
    if (this.#workers.size <= this.#maxWorkers) return;
    const [oldest] = this.#workers.keys();
    if (oldest !== undefined) this.#forgetWorker(oldest);
  }

  #forgetWorker(hostname: string): void {
    this.#workers.delete(hostname);
    this.#drifting.delete(hostname);
  }

  #checkDrift(worker: WorkerRecord, event: AnyEvent): void {
    worker.drift = driftOf(event, this.#now());
    if (Math.abs(worker.drift) <= DRIFT_AT_MOST) {
      this.#drifting.delete(worker.hostname);
      return;
    }
    if (this.#drifting.has(worker.hostname)) return;
    this.#drifting.add(worker.hostname);
    this.#options.onDrift?.(worker);
  }

  // ---- tasks

  #taskEvent(subject: string, event: AnyEvent): void {
    const { hostname, timestamp } = event;
    const uuid = event["uuid"] as string;
    const known = this.#tasks.get(uuid);
    const task = known ?? new TaskRecord(uuid);
    if (known !== undefined) this.#bytes -= bytesOf(task);
    else this.#tasks.set(uuid, task);
    const before = { name: task.name, worker: task.worker };
    if (subject === "sent") task.client = hostname;
    else {
      task.worker = hostname;
      this.#signOfLife(event);
    }
    if (subject === "received") this.taskCount += 1;
    const told = TOLD.get(subject);
    if (told !== undefined) task[told.time] = timestamp;
    const state = told?.state ?? subject.toUpperCase();
    const isReceived = state === "RECEIVED";
    if (isBefore(state, task.state)) describe(task, event, isReceived ? DESCRIBING : TEXTS);
    else {
      describe(task, event, TEXTS);
      if (event.pid !== null) task.pid = event.pid;
      task.state = state;
      task.timestamp = timestamp;
      task.clock = event.clock ?? task.clock;
    }
    // As Celery's: of a task-received that comes late only what describes the task is taken.
    if (!isReceived || task.state === state) task.keepFurther(event);
    this.#index(task, before);
    this.#bytes += bytesOf(task);
    this.#shrink();
  }

  /** What a worker says of its tasks says that it lives. */
  #signOfLife(event: AnyEvent): void {
    let worker = this.#workers.get(event.hostname);
    if (worker === undefined) {
      worker = new WorkerRecord(event.hostname, this.#now);
      this.#addWorker(worker);
    }
    if (event.pid !== null) worker.pid = event.pid;
    if (event.local_received !== undefined) worker.beat(event.local_received);
  }

  #index(task: TaskRecord, before: { readonly name: string | null; readonly worker: string | null }): void {
    if (task.name !== before.name) {
      removeFrom(this.#byType, before.name, task);
      addTo(this.#byType, task.name, task);
    }
    if (task.worker !== before.worker) {
      removeFrom(this.#byWorker, before.worker, task);
      addTo(this.#byWorker, task.worker, task);
    }
  }

  #shrink(): void {
    while (this.#tasks.size > this.#maxTasks || (this.#bytes > this.#maxBytes && this.#tasks.size > 1)) {
      const [oldest] = this.#tasks.values();
      if (oldest === undefined) return;
      this.#forgetTask(oldest);
    }
  }

  #forgetTask(task: TaskRecord): void {
    if (!this.#tasks.delete(task.uuid)) return;
    this.#bytes -= bytesOf(task);
    removeFrom(this.#byType, task.name, task);
    removeFrom(this.#byWorker, task.worker, task);
  }
}

/** Seconds that the sender's wall clock is behind ours. The receiver's shift by time zone is taken back. */
function driftOf(event: AnyEvent, now: number): number {
  const received = event.local_received ?? now;
  const drift = Math.trunc(received) - Math.trunc(event.timestamp);
  const offset = event.utcoffset;
  if (offset === null) return drift;
  return Math.abs(drift) <= DRIFT_AT_MOST ? drift : drift - (offset - utcOffset(received * 1000)) * 3600;
}

function update(worker: WorkerRecord, event: AnyEvent): void {
  if (event.pid !== null) worker.pid = event.pid;
  if (event.clock !== null) worker.clock = event.clock;
  const {
    freq,
    active,
    processed,
    loadavg,
    sw_ident: ident,
    sw_ver: ver,
    sw_sys: sys,
  } = event as Partial<Readonly<Record<string, unknown>>>;
  if (typeof freq === "number" && freq > 0) worker.freq = freq;
  if (typeof active === "number") worker.active = active;
  if (typeof processed === "number") worker.processed = processed;
  if (Array.isArray(loadavg)) worker.loadavg = loadavg as readonly number[];
  if (typeof ident === "string") worker.swIdent = cut(ident);
  if (typeof ver === "string") worker.swVer = cut(ver);
  if (typeof sys === "string") worker.swSys = cut(sys);
}

function rank(state: string): number {
  return RANKS.get(state) ?? UNNAMED;
}

/** Whether a task that is in `current` was in `state` earlier. */
function isBefore(state: string, current: string): boolean {
  return state !== "RETRY" && current !== "RETRY" && rank(state) > rank(current);
}

function describe(task: TaskRecord, event: AnyEvent, texts: typeof TEXTS): void {
  for (const [wire, ours] of texts) {
    const value = event[wire];
    if (typeof value === "string") task[ours] = cut(value);
    else if (value === null) task[ours] = null;
  }
  const { retries, runtime } = event as Partial<Readonly<Record<string, unknown>>>;
  if (typeof retries === "number") task.retries = retries;
  if (typeof runtime === "number") task.runtime = runtime;
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}...`;
}

function bytesOf(task: TaskRecord): number {
  let bytes = TASK_BYTES + task.furtherBytes;
  for (const [, ours] of TEXTS) bytes += task[ours]?.length ?? 0;
  return bytes;
}

function addTo(index: Map<string, Set<TaskRecord>>, key: string | null, task: TaskRecord): void {
  if (key === null) return;
  const members = index.get(key);
  if (members === undefined) index.set(key, new Set([task]));
  else members.add(task);
}

function removeFrom(index: Map<string, Set<TaskRecord>>, key: string | null, task: TaskRecord): void {
  if (key === null) return;
  const members = index.get(key);
  if (members?.delete(task) && members.size === 0) index.delete(key);
}

function ordered(tasks: Iterable<TaskRecord>, query: TaskQuery): readonly TaskView[] {
  const sign = query.reverse === false ? 1 : -1;
  const all = [...tasks].sort(
    (a, b) => sign * (a.clock - b.clock || (a.timestamp ?? 0) - (b.timestamp ?? 0)),
  );
  return query.limit === undefined ? all : all.slice(0, query.limit);
}
