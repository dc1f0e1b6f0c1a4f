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
  /** Do not ask the other workers for revoked tasks at the start. */
  readonly withoutMingle?: boolean | undefined;
  /** Remote control may look (`inspect`), and change nothing. */
  readonly controlReadOnly?: boolean | undefined;
  /** Accepted for Celery's command lines: this version has no such step. */
  readonly withoutGossip?: boolean | undefined;
  readonly withoutHeartbeat?: boolean | undefined;
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
  readonly mingle: boolean;
  readonly remoteControl: boolean;
  readonly controlReadOnly: boolean;
  readonly accept: readonly string[];
  readonly resultExtended: boolean;
  readonly deduplicate: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
}

/** As many as AMQP's counter holds: no limit. Python: `kombu.common.PREFETCH_COUNT_MAX`. */
const NO_PREFETCH_LIMIT = 65_535;

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
    mingle: options.withoutMingle !== true,
    remoteControl: conf.workerEnableRemoteControl !== false,
    controlReadOnly: options.controlReadOnly === true,
    accept: conf.acceptContent ?? ["json"],
    resultExtended: conf.resultExtended === true,
    deduplicate: conf.workerDeduplicateSuccessfulTasks === true,
    storeErrorsEvenIfIgnored: conf.taskStoreErrorsEvenIfIgnored === true,
  };
}

/** `concurrency * multiplier`; a multiplier of 0 takes what comes. */
export function prefetchOf(concurrency: number, multiplier: number): number {
  return multiplier === 0 ? NO_PREFETCH_LIMIT : Math.min(concurrency * multiplier, NO_PREFETCH_LIMIT);
}

function whole(value: number, name: string, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ImproperlyConfigured(`${name} must be a whole number, ${least} or more, not ${String(value)}`);
}
