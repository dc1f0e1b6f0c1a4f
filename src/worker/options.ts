/** What a worker is started with: given options, else the app's settings, else Celery's defaults. */
import { availableParallelism, hostname as osHostname } from "node:os";
import type { AppInternals } from "../app/internals.ts";
import { workerDirectQueue } from "../app/queues.ts";
import { type StateDbConfig, stateDbConfig } from "../app/state-db.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { expandNodeName } from "../protocol/nodenames.ts";
import type { Seconds } from "../task/sendable-types.ts";
import type { QueueDeclaration } from "../transports/transport.ts";
import type { AppModule } from "./child-init.ts";

/** Slots at most and at least: `--autoscale=max,min`. */
export interface AutoscaleRange {
  readonly max: number;
  readonly min: number;
}

/** Options of {@link Worker}: those of `celery worker`. */
export interface WorkerOptions {
  /** Tasks at once. Default: `workerConcurrency`, else 100 in the async pool and the number of CPUs in the others. */
  readonly concurrency?: number | undefined;
  /**
   * `async`: in this process's event loop. `prefork`: child processes, `threads`: threads, both of which import the app
   * themselves. `solo`: one at a time. Celery's `processes` is prefork, its `gevent` and `eventlet` are async.
   */
  readonly pool?: PoolName | "processes" | "gevent" | "eventlet" | undefined;
  /** Slots between `min` and `max`, as the work needs, in place of `concurrency`. Prefetch counts from `max`. */
  readonly autoscale?: AutoscaleRange | undefined;
  /** Which module exports the app: what `-A` says. Needed where children import it: `new URL("./app.js", import.meta.url)`. */
  readonly appModule?: string | URL | AppModule | undefined;
  /** A child is replaced after so many tasks. Default: `workerMaxTasksPerChild`. */
  readonly maxTasksPerChild?: number | undefined;
  /** A child process that has more memory after a task is replaced; of a thread it is the limit. KiB. Default: `workerMaxMemoryPerChild`. */
  readonly maxMemoryPerChild?: number | undefined;
  /** Consume only these queues. Default: `taskQueues`, else the default queue. */
  readonly queues?: readonly string[] | undefined;
  readonly excludeQueues?: readonly string[] | undefined;
  /** Node name: `name@%h`, with `%h` host, `%n` its first part, `%d` its domain. Default: `celery@%h`. */
  readonly hostname?: string | undefined;
  /**
   * Messages reserved for each slot of the pool; 0: no limit. Default: `workerPrefetchMultiplier`, else 4; in the async pool
   * 1, and 4 messages at least.
   */
  readonly prefetchMultiplier?: number | undefined;
  /** Empty the queues before starting. There is no undo. */
  readonly purge?: boolean | undefined;
  /** Hard limit of tasks that have none of their own. */
  readonly timeLimit?: Seconds | undefined;
  readonly softTimeLimit?: Seconds | undefined;
  /** Do not ask the other workers for revoked tasks at the start. */
  readonly withoutMingle?: boolean | undefined;
  /** Remote control may look (`inspect`), and change nothing. */
  readonly controlReadOnly?: boolean | undefined;
  /** Publish events of tasks (`-E`). Default: `workerSendTaskEvents`, off. */
  readonly taskEvents?: boolean | undefined;
  /** Do not listen to other workers. */
  readonly withoutGossip?: boolean | undefined;
  /** Send no heartbeats. */
  readonly withoutHeartbeat?: boolean | undefined;
  /** Between two heartbeats. Default: 2. */
  readonly heartbeatInterval?: Seconds | undefined;
  /** Answer `/livez` and `/readyz` over HTTP. Default: no port is open; `host`: 127.0.0.1. */
  readonly health?: { readonly port: number; readonly host?: string | undefined } | undefined;
  /**
   * Where revokes are kept across restarts and shared with other workers: a file (`%n`, `%h` as in `hostname`), or
   * `redis://…`. Default: `workerStateDb`.
   */
  readonly statedb?: string | undefined;
  /** The same on Redis, in place of a URL in `statedb`. Default: `redisStatedbUrl`, else `REDIS_STATEDB_URL`. */
  readonly redisStatedb?: string | undefined;
  /** A file that `statedb` had before: what it holds is taken over once, and the file renamed. */
  readonly migrateStatedb?: string | undefined;
  /** Default: the app's. */
  readonly logger?: Logger | undefined;
}

/** Where tasks run. */
export type PoolName = "async" | "prefork" | "threads" | "solo";

/** {@link WorkerOptions} with everything decided. */
export interface WorkerSettings {
  readonly hostname: string;
  readonly pool: PoolName;
  readonly concurrency: number;
  /** null: the pool keeps its size. `concurrency` is `max` then. */
  readonly autoscale: AutoscaleRange | null;
  /** null: none was named. */
  readonly appModule: AppModule | null;
  readonly maxTasksPerChild: number | null;
  /** KiB. */
  readonly maxMemoryPerChild: number | null;
  /** Unsettled messages at most. */
  readonly prefetch: number;
  readonly prefetchMultiplier: number;
  /** Of `prefetch`, however few slots there are. */
  readonly prefetchLeast: number;
  /** A message is taken only when its task can start at once. */
  readonly disablePrefetch: boolean;
  /** Those that messages wait in. */
  readonly queues: readonly QueueDeclaration[];
  /** Those of which every worker gets each message. */
  readonly broadcasts: readonly QueueDeclaration[];
  readonly purge: boolean;
  /** Seconds, of tasks that have none of their own. */
  readonly timeLimit: number | null;
  readonly softTimeLimit: number | null;
  readonly mingle: boolean;
  readonly remoteControl: boolean;
  readonly controlReadOnly: boolean;
  readonly accept: readonly string[];
  readonly resultExtended: boolean;
  readonly deduplicate: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  readonly taskEvents: boolean;
  /** Between two heartbeats; null: none are sent. */
  readonly heartbeatSeconds: number | null;
  readonly gossip: boolean;
  /** null: off. */
  readonly health: { readonly port: number; readonly host: string } | null;
  /** null: none is configured. */
  readonly stateDb: StateDbConfig | null;
  readonly migrateStatedb: string | null;
}

/** As many as AMQP's counter holds: no limit. Python: `kombu.common.PREFETCH_COUNT_MAX`. */
const NO_PREFETCH_LIMIT = 65_535;

/** Celery's. */
const HEARTBEAT_SECONDS = 2;
const LONGEST_HEARTBEAT = 86_400;
/** Slots of an async pool that was not told how many. */
const ASYNC_CONCURRENCY = 100;
/** Where nobody said how many messages are held for each slot. */
const PREFETCH_MULTIPLIER = 4;
/** Where nobody did for an async pool: as many as it has slots, and these at least. */
const ASYNC_PREFETCH_LEAST = 4;

/** By every name that Celery has for it. */
const POOLS: Readonly<Record<string, PoolName>> = {
  async: "async",
  prefork: "prefork",
  threads: "threads",
  solo: "solo",
  processes: "prefork",
  gevent: "async",
  eventlet: "async",
};

/** Celery's other form: `celery.concurrency.thread:TaskPool`. */
function poolOf(name: string): PoolName {
  const bare = /^celery\.concurrency\.(\w+)(?::TaskPool)?$/.exec(name)?.[1] ?? name;
  const known = bare === "thread" ? "threads" : bare;
  const found = Object.hasOwn(POOLS, known) ? POOLS[known] : undefined;
  if (found !== undefined) return found;
  throw new ImproperlyConfigured(
    `there is no pool ${JSON.stringify(name)}: choose async, prefork, threads or solo`,
  );
}

function appModuleOf(given: WorkerOptions["appModule"]): AppModule | null {
  if (given === undefined) return null;
  if (given instanceof URL) return { module: given.href };
  return typeof given === "string" ? { module: given } : given;
}

/** The app is final already. @throws ImproperlyConfigured */
export function resolveOptions(app: AppInternals, options: WorkerOptions): WorkerSettings {
  const { conf } = app;
  const pool = poolOf(options.pool ?? conf.workerPool ?? "async");
  const appModule = appModuleOf(options.appModule);
  if ((pool === "prefork" || pool === "threads") && appModule === null) {
    throw new ImproperlyConfigured(
      `the pool ${pool} needs to know which module exports the app, for each of its children imports it: give new Worker(app, { pool: "${pool}", appModule: new URL("./app.js", import.meta.url) }), or start it with petiole -A`,
    );
  }
  if (options.autoscale !== undefined && pool === "solo") {
    throw new ImproperlyConfigured("the pool solo has one slot: autoscale needs async, prefork or threads");
  }
  const autoscale = options.autoscale === undefined ? null : checkedRange(options.autoscale);
  const given = autoscale?.max ?? options.concurrency ?? conf.workerConcurrency;
  const usual = pool === "async" ? ASYNC_CONCURRENCY : availableParallelism();
  const concurrency = pool === "solo" ? 1 : whole(given ?? usual, "concurrency", 1);
  const multiplier = options.prefetchMultiplier ?? conf.workerPrefetchMultiplier;
  const disablePrefetch = conf.workerDisablePrefetch === true;
  const bySlots = pool === "async" && multiplier === null;
  const usualMultiplier = bySlots ? 1 : PREFETCH_MULTIPLIER;
  const prefetchMultiplier = disablePrefetch
    ? 1
    : whole(multiplier ?? usualMultiplier, "prefetchMultiplier", 0);
  const prefetchLeast = bySlots && !disablePrefetch ? ASYNC_PREFETCH_LEAST : 1;
  const maxTasksPerChild = options.maxTasksPerChild ?? conf.workerMaxTasksPerChild;
  const maxMemoryPerChild = options.maxMemoryPerChild ?? conf.workerMaxMemoryPerChild;
  const hostname = expandNodeName(options.hostname, osHostname());
  const consumed = app.consumedQueues(options.queues ?? [], options.excludeQueues ?? []);
  const own = conf.workerDirect === true ? [workerDirectQueue(hostname)] : [];
  return {
    hostname,
    pool,
    concurrency,
    autoscale,
    appModule,
    maxTasksPerChild: maxTasksPerChild === null ? null : whole(maxTasksPerChild, "maxTasksPerChild", 1),
    maxMemoryPerChild: maxMemoryPerChild === null ? null : whole(maxMemoryPerChild, "maxMemoryPerChild", 1),
    // With autoscale the slots are those that there may be: the pool grows because of what was taken.
    prefetch: prefetchOf(concurrency, { prefetchMultiplier, prefetchLeast }),
    prefetchMultiplier,
    prefetchLeast,
    disablePrefetch,
    queues: [...consumed.filter(({ type }) => type !== "fanout"), ...own],
    broadcasts: consumed.filter(({ type }) => type === "fanout"),
    purge: options.purge ?? false,
    timeLimit: options.timeLimit ?? null,
    softTimeLimit: options.softTimeLimit ?? null,
    mingle: options.withoutMingle !== true,
    remoteControl: conf.workerEnableRemoteControl !== false,
    controlReadOnly: options.controlReadOnly === true,
    accept: conf.acceptContent ?? ["json"],
    resultExtended: conf.resultExtended === true,
    deduplicate: conf.workerDeduplicateSuccessfulTasks === true,
    storeErrorsEvenIfIgnored: conf.taskStoreErrorsEvenIfIgnored === true,
    taskEvents: options.taskEvents ?? conf.workerSendTaskEvents === true,
    heartbeatSeconds: options.withoutHeartbeat === true ? null : heartbeat(options.heartbeatInterval),
    gossip: options.withoutGossip !== true,
    health: options.health ? { port: options.health.port, host: options.health.host ?? "127.0.0.1" } : null,
    stateDb: stateDbOf(app, options),
    migrateStatedb: options.migrateStatedb ?? null,
  };
}

/** @throws ImproperlyConfigured */
function stateDbOf({ app, conf }: AppInternals, options: WorkerOptions): StateDbConfig | null {
  const config = stateDbConfig({ app, conf, words: options });
  if (config.redis !== null || config.file !== null) return config;
  if (options.migrateStatedb === undefined) return null;
  throw new ImproperlyConfigured(
    "migrateStatedb needs a state DB to write to: give statedb or redisStatedb, too",
  );
}

/** @throws ImproperlyConfigured */
export function checkedRange({ max, min }: AutoscaleRange): AutoscaleRange {
  const areWhole = Number.isSafeInteger(max) && Number.isSafeInteger(min);
  if (areWhole && min >= 0 && max >= 1 && max >= min) return { max, min };
  throw new ImproperlyConfigured(
    `autoscale goes from min to max, whole numbers with 0 <= min <= max and max >= 1, not from ${min} to ${max}`,
  );
}

/** `slots * multiplier`; a multiplier of 0 takes what comes. */
export function prefetchOf(
  slots: number,
  { prefetchMultiplier, prefetchLeast }: Pick<WorkerSettings, "prefetchMultiplier" | "prefetchLeast">,
): number {
  if (prefetchMultiplier === 0) return NO_PREFETCH_LIMIT;
  return Math.min(Math.max(slots * prefetchMultiplier, prefetchLeast), NO_PREFETCH_LIMIT);
}

/** 0 is Celery's default, as there. */
function heartbeat(seconds: number | undefined): number {
  const interval = seconds === undefined || seconds === 0 ? HEARTBEAT_SECONDS : seconds;
  if (Number.isFinite(interval) && interval > 0 && interval <= LONGEST_HEARTBEAT) return interval;
  throw new ImproperlyConfigured(
    `heartbeatInterval must be seconds above 0 and up to ${LONGEST_HEARTBEAT}, not ${String(seconds)}`,
  );
}

function whole(value: number, name: string, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ImproperlyConfigured(`${name} must be a whole number, ${least} or more, not ${String(value)}`);
}
