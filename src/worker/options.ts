/** What a worker is started with: given options, else the app's settings, else Celery's defaults. */
import { availableParallelism, hostname as osHostname } from "node:os";
import type { AppInternals } from "../app/internals.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { expandNodeName } from "../protocol/nodenames.ts";
import type { Seconds } from "../task/sendable-types.ts";
import type { QueueDeclaration } from "../transports/transport.ts";

/** Options of {@link Worker}: those of `celery worker`. */
export interface WorkerOptions {
  /** Tasks at once. Default: `workerConcurrency`, else the number of CPUs. */
  readonly concurrency?: number | undefined;
  /** `async`: in this process's event loop. `solo`: one at a time. */
  readonly pool?: "async" | "solo" | undefined;
  /** Consume only these queues. Default: `taskQueues`, else the default queue. */
  readonly queues?: readonly string[] | undefined;
  readonly excludeQueues?: readonly string[] | undefined;
  /** Node name: `name@%h`, with `%h` host, `%n` its first part, `%d` its domain. Default: `celery@%h`. */
  readonly hostname?: string | undefined;
  /** Messages reserved for each slot of the pool; 0: no limit. Default: `workerPrefetchMultiplier`, 4. */
  readonly prefetchMultiplier?: number | undefined;
  /** Empty the queues before starting. There is no undo. */
  readonly purge?: boolean | undefined;
  /** Hard limit of tasks that have none of their own. */
  readonly timeLimit?: Seconds | undefined;
  readonly softTimeLimit?: Seconds | undefined;
  /** Publish events of tasks (`-E`). Default: `workerSendTaskEvents`, off. */
  readonly taskEvents?: boolean | undefined;
  /** Do not listen to other workers. */
  readonly withoutGossip?: boolean | undefined;
  /** Accepted for Celery's command lines: this version has no such step. */
  readonly withoutMingle?: boolean | undefined;
  /** Send no heartbeats. */
  readonly withoutHeartbeat?: boolean | undefined;
  /** Between two heartbeats. Default: 2. */
  readonly heartbeatInterval?: Seconds | undefined;
  /** Default: the app's. */
  readonly logger?: Logger | undefined;
}

/** {@link WorkerOptions} with everything decided. */
export interface WorkerSettings {
  readonly hostname: string;
  readonly pool: "async" | "solo";
  readonly concurrency: number;
  /** Unsettled messages at most. */
  readonly prefetch: number;
  readonly prefetchMultiplier: number;
  readonly queues: readonly QueueDeclaration[];
  readonly purge: boolean;
  /** Seconds, of tasks that have none of their own. */
  readonly timeLimit: number | null;
  readonly softTimeLimit: number | null;
  readonly accept: readonly string[];
  readonly resultExtended: boolean;
  readonly deduplicate: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  readonly taskEvents: boolean;
  /** Between two heartbeats; null: none are sent. */
  readonly heartbeatSeconds: number | null;
  readonly gossip: boolean;
}

/** As many as AMQP's counter holds: no limit. Python: `kombu.common.PREFETCH_COUNT_MAX`. */
const NO_PREFETCH_LIMIT = 65_535;

/** Celery's. */
const HEARTBEAT_SECONDS = 2;
const LONGEST_HEARTBEAT = 86_400;

const POOLS: readonly string[] = ["async", "solo"];

/** The app is final already. @throws ImproperlyConfigured */
export function resolveOptions(app: AppInternals, options: WorkerOptions): WorkerSettings {
  const { conf } = app;
  const pool = options.pool ?? (conf.workerPool === "solo" ? "solo" : "async");
  if (!POOLS.includes(pool)) {
    throw new ImproperlyConfigured(
      `pool ${JSON.stringify(pool)} is not served by this version: choose ${POOLS.join(" or ")}`,
    );
  }
  const wanted = options.concurrency ?? conf.workerConcurrency ?? availableParallelism();
  const concurrency = pool === "solo" ? 1 : whole(wanted, "concurrency", 1);
  const prefetchMultiplier = whole(
    options.prefetchMultiplier ?? conf.workerPrefetchMultiplier ?? 4,
    "prefetchMultiplier",
    0,
  );
  return {
    hostname: expandNodeName(options.hostname, osHostname()),
    pool,
    concurrency,
    prefetch: prefetchOf(concurrency, prefetchMultiplier),
    prefetchMultiplier,
    queues: app.consumedQueues(options.queues ?? [], options.excludeQueues ?? []),
    purge: options.purge ?? false,
    timeLimit: options.timeLimit ?? null,
    softTimeLimit: options.softTimeLimit ?? null,
    accept: conf.acceptContent ?? ["json"],
    resultExtended: conf.resultExtended === true,
    deduplicate: conf.workerDeduplicateSuccessfulTasks === true,
    storeErrorsEvenIfIgnored: conf.taskStoreErrorsEvenIfIgnored === true,
    taskEvents: options.taskEvents ?? conf.workerSendTaskEvents === true,
    heartbeatSeconds: options.withoutHeartbeat === true ? null : heartbeat(options.heartbeatInterval),
    gossip: options.withoutGossip !== true,
  };
}

/** `concurrency * multiplier`; a multiplier of 0 takes what comes. */
export function prefetchOf(concurrency: number, multiplier: number): number {
  return multiplier === 0 ? NO_PREFETCH_LIMIT : Math.min(concurrency * multiplier, NO_PREFETCH_LIMIT);
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
