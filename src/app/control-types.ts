import type { TaskRequest } from "../task/context-types.ts";
import type { Seconds } from "../task/sendable-types.ts";
import type { ControlCommandOptions, ControlHandler } from "./control-commands.ts";
import type { PausedQueueInfo } from "./control-queues.ts";
import type { RevokeOptions } from "./result-types.ts";

/** Whom a command is for, and whether replies are waited for. */
export interface ControlOptions {
  /** Node names; by default all. */
  readonly destination?: readonly string[] | undefined;
  /** Of node names; counts only beside `matcher`. */
  readonly pattern?: string | undefined;
  /** How `pattern` is read. */
  readonly matcher?: "glob" | "pcre" | undefined;
  /** Seconds to wait for replies. Default: 1. */
  readonly timeout?: Seconds | undefined;
  /** Stop after this many replies. Default: as many as there are destinations. */
  readonly limit?: number | undefined;
  /** Wait for replies. Default: true for `ping` and `inspect`, else false. */
  readonly reply?: boolean | undefined;
}

/** Replies by node name; empty when none was asked for. */
export type Replies<T> = Readonly<Record<string, T>>;

/** What most commands reply. */
export interface ControlReply {
  readonly ok?: string;
  readonly error?: string;
}

/** A task, by its name or as its object. */
export type TaskSelector = string | { readonly name: string };

/** A task in a worker's hands. */
export interface TaskInfo {
  readonly id: string;
  readonly name: string;
  readonly args: readonly unknown[] | string;
  readonly kwargs: Readonly<Record<string, unknown>> | string;
  readonly type: string;
  /** Node name. */
  readonly hostname: string;
  /** null: it does not run yet. */
  readonly timeStart: Date | null;
  readonly acknowledged: boolean;
  readonly deliveryInfo: TaskRequest["deliveryInfo"];
  readonly workerPid: number | null;
}

/** A queue that a worker takes messages from. */
export interface ActiveQueue {
  readonly name: string;
  readonly routingKey: string;
  readonly exchange: { readonly name: string; readonly type: string };
}

/** A task that waits for a limit over all workers. Times are the broker's. */
export interface LimitWaiterInfo {
  readonly id: string;
  readonly since: Date;
  /** Of a rate: its moment. null: when a slot is free. */
  readonly until: Date | null;
}

/** A limit over all workers that is in use. */
export interface LimitInfo {
  readonly kind: "concurrency" | "rate";
  readonly task: string;
  /** What the limit's `key` gave; "": the limit is the whole task's. */
  readonly key: string;
  /** Tasks that may run at once; of a rate its burst. */
  readonly limit: number;
  /** Starts for each second, of a rate. */
  readonly perSecond: number | null;
  /** Ids of the tasks that have a slot. */
  readonly holders: readonly string[];
  /** How many wait. */
  readonly waiting: number;
  /** The first 100 of them, next first. */
  readonly waiters: readonly LimitWaiterInfo[];
  /** When one more may start; null: when a holder ends. */
  readonly freeAt: Date | null;
}

/** `app.control`: steers workers while they run, those of Python too. */
export interface Control {
  /** These tasks are not to run; with `terminate` those that run are stopped. */
  revoke(
    taskId: string | readonly string[],
    options?: ControlOptions & Omit<RevokeOptions, "wait">,
  ): Promise<Replies<ControlReply>>;
  /** As `revoke` with `terminate`. */
  terminate(
    taskId: string | readonly string[],
    options?: ControlOptions & { readonly signal?: NodeJS.Signals | undefined },
  ): Promise<Replies<ControlReply>>;
  /** As `revoke`, of all tasks that carry one of these stamps. */
  revokeByStampedHeaders(
    headers: Readonly<Record<string, string | readonly string[]>>,
    options?: ControlOptions & Omit<RevokeOptions, "wait">,
  ): Promise<Replies<ControlReply>>;
  /** `"10/s"`, `"100/m"`, `"1000/h"`, a number for each second; 0: no limit. For each worker. */
  rateLimit(
    task: TaskSelector,
    rateLimit: string | number,
    options?: ControlOptions,
  ): Promise<Replies<ControlReply>>;
  /** What is left out is no limit of the task's own. */
  timeLimit(
    task: TaskSelector,
    limits: { readonly soft?: Seconds | undefined; readonly hard?: Seconds | undefined },
    options?: ControlOptions,
  ): Promise<Replies<ControlReply>>;
  /** Also take messages from this queue. */
  addConsumer(
    queue: string,
    options?: ControlOptions & {
      readonly exchange?: string | undefined;
      readonly exchangeType?: string | undefined;
      readonly routingKey?: string | undefined;
    },
  ): Promise<Replies<ControlReply>>;
  /** Take no more messages from this queue. */
  cancelConsumer(queue: string, options?: ControlOptions): Promise<Replies<ControlReply>>;
  /** Publish events of tasks. */
  enableEvents(options?: ControlOptions): Promise<Replies<ControlReply>>;
  /** Publish none any more. */
  disableEvents(options?: ControlOptions): Promise<Replies<ControlReply>>;
  /** Run `n` more tasks at once; default 1. */
  poolGrow(n?: number, options?: ControlOptions): Promise<Replies<ControlReply>>;
  /** Run `n` fewer at once; default 1. */
  poolShrink(n?: number, options?: ControlOptions): Promise<Replies<ControlReply>>;
  /** Needs the setting `workerPoolRestarts`. */
  poolRestart(
    options?: ControlOptions & {
      readonly modules?: readonly string[] | undefined;
      readonly reload?: boolean | undefined;
    },
  ): Promise<Replies<ControlReply>>;
  /** Bounds of a pool that scales by itself. */
  autoscale(max: number, min: number, options?: ControlOptions): Promise<Replies<ControlReply>>;
  /** Send a heartbeat event now. */
  heartbeat(options?: ControlOptions): Promise<void>;
  /** Warm shutdown. */
  shutdown(options?: ControlOptions): Promise<void>;
  /** Which workers are there. */
  ping(options?: ControlOptions): Promise<Replies<{ readonly ok: "pong" }>>;
  /** Empties the queues this app knows; how many messages were thrown away. */
  purge(): Promise<number>;
  /**
   * From now on no TypeScript worker takes a message from this queue, over restarts of all, until `resumeQueue`. What a worker
   * has taken before runs. Python's workers do not look.
   */
  pauseQueue(queue: string | readonly string[]): Promise<void>;
  /** Workers that wait go on at once. */
  resumeQueue(queue: string | readonly string[]): Promise<void>;
  /** The longest paused first. */
  pausedQueues(): Promise<readonly PausedQueueInfo[]>;
  /** The limits over all workers that tasks have a slot of, or wait for: `maxConcurrency`, `globalRateLimit`. */
  limits(): Promise<readonly LimitInfo[]>;
  /** Any command, by its name on the wire. */
  broadcast(
    command: string,
    args?: Readonly<Record<string, unknown>>,
    options?: ControlOptions,
  ): Promise<Replies<unknown>>;
  /** Looks into workers. */
  inspect(options?: ControlOptions): Inspect;
  /** Defines a command for the workers of this app: `app.control.command("drain", (args, worker) => …)`. */
  command(name: string, run: ControlHandler): void;
  /** As above, with options: `{ type: "inspect", args: ["name"] }`. */
  command(name: string, options: ControlCommandOptions, run: ControlHandler): void;
}

/** `app.control.inspect()`. A node that answers with an error is left out, and the error is logged. */
export interface Inspect {
  /** Tasks that run. */
  active(): Promise<Replies<readonly TaskInfo[]>>;
  /** Tasks that a worker has taken, and that wait for a slot or for their rate limit. */
  reserved(): Promise<Replies<readonly TaskInfo[]>>;
  /** Tasks that a worker holds until their ETA. */
  scheduled(): Promise<
    Replies<readonly { readonly eta: Date; readonly priority: number; readonly request: TaskInfo }[]>
  >;
  /** Ids. */
  revoked(): Promise<Replies<readonly string[]>>;
  /** Names of tasks, with these attributes of each: `"shop.add [rate_limit=10/m]"`. */
  registered(...attributes: string[]): Promise<Replies<readonly string[]>>;
  /** Queues that workers take messages from. */
  activeQueues(): Promise<Replies<readonly ActiveQueue[]>>;
  /** Of these ids, those that a worker has. */
  queryTask(
    ...ids: string[]
  ): Promise<
    Replies<Readonly<Record<string, readonly [state: "active" | "reserved" | "ready", task: TaskInfo]>>>
  >;
  /** Counts, pool, broker and resources. */
  stats(): Promise<Replies<Readonly<Record<string, unknown>>>>;
  /** By Celery's names; secrets are masked. */
  conf(options?: {
    readonly withDefaults?: boolean | undefined;
  }): Promise<Replies<Readonly<Record<string, unknown>>>>;
  /** Versions and settings, as text. */
  report(): Promise<Replies<ControlReply>>;
  /** Which workers are there. */
  ping(): Promise<Replies<{ readonly ok: "pong" }>>;
  /** Logical clocks. */
  clock(): Promise<Replies<{ readonly clock: number }>>;
}
