/** `petiole/statedb`: where revoked tasks are kept, from a program. Python: `celery_redis_statedb`. */
import type { Task } from "../../task/task-types.ts";
import type { Celery } from "../app.ts";
import { internalsOf } from "../internals.ts";
import { openOperatorStateDb, rememberInstall, type StateDbInstall } from "../state-db.ts";

export { RedisStateDB, type RedisStateDBOptions } from "../../statedb/redis/by-hand.ts";
export {
  type PersistentClock,
  RedisPersistent,
  type RedisPersistentOptions,
  type RevokedIds,
  type RevokedState,
} from "../../statedb/redis/persistent.ts";
export type { StateDbInstall, StateDbPolicy } from "../state-db.ts";
export { RedisStatePersistence } from "./persistence.ts";

/**
 * Workers and clients of this app keep revoked tasks on Redis. Without a URL anywhere (options, settings, `REDIS_STATEDB_URL`)
 * they keep none, as before. Twice is once, the later options count. Python: `install_redis_statedb`.
 */
export function installRedisStatedb(app: Celery, options: StateDbInstall = {}): void {
  rememberInstall(app, options);
}

/** What {@link purgeOldRevokedTasks} takes out. */
export interface PurgeRevokedOptions {
  /** Seconds: what was revoked longer ago. */
  readonly olderThan: number;
  /** Of this worker only, not of what all share. Default: all. */
  readonly workerName?: string | undefined;
  /** Default: the app's state DB, else its broker. */
  readonly redisUrl?: string | undefined;
}

/**
 * A task that does so, {@link purgeOldRevokedTasks} with these options, for a schedule or by hand; its result is the number. Nothing
 * schedules it by itself: a revoke holds until somebody says otherwise.
 */
export function purgeRevokedTask(
  app: Celery,
  options: PurgeRevokedOptions & {
    /** Default: `petiole.purge_revoked`. */
    readonly name?: string | undefined;
  },
): Task<[], number> {
  const { name = "petiole.purge_revoked", ...purge } = options;
  ageOf(purge);
  return app.task(name, () => purgeOldRevokedTasks(app, purge));
}

/**
 * Takes out what was revoked long ago, and is no longer to hold. The number of ids and stamps, each counted once for each worker
 * that had it. Python: documented by celery-redis-statedb, and never written.
 */
export async function purgeOldRevokedTasks(app: Celery, options: PurgeRevokedOptions): Promise<number> {
  const { workerName = null, redisUrl } = options;
  const olderThan = ageOf(options);
  const internals = internalsOf(app);
  await internals.finalize();
  const words = redisUrl === undefined ? {} : { redisStatedb: redisUrl };
  const found = await openOperatorStateDb(internals, words);
  const [broker = ""] = [internals.conf.brokerUrl ?? ""].flat();
  const db = found ?? (await openOperatorStateDb(internals, { redisStatedb: broker }));
  if (db === null) return 0;
  try {
    return await db.purge({ olderThanSeconds: olderThan, node: workerName });
  } finally {
    await db.stop();
  }
}

function ageOf({ olderThan }: PurgeRevokedOptions): number {
  if (Number.isFinite(olderThan) && olderThan >= 0) return olderThan;
  throw new TypeError(`olderThan is seconds, 0 or more, not ${String(olderThan)}`);
}
