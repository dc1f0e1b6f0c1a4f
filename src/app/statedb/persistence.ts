/** A worker's state DB as a step of the app. Python: `celery_redis_statedb.RedisStatePersistence`. */
import { RedisStateDB } from "../../statedb/redis/by-hand.ts";
import type { Celery } from "../app.ts";
import { rememberInstall, type StateDbInstall } from "../state-db.ts";
import type { WorkerStep, WorkerStepContext } from "../steps.ts";

/**
 * `app.steps.worker.add(new RedisStatePersistence(app, { url }))`: as `installRedisStatedb(app, { url })`, and a step between the
 * state DB and the tasks, with access to what is kept of this worker and a line in `inspect stats`. Skipped where no Redis is
 * configured.
 */
export class RedisStatePersistence implements WorkerStep {
  readonly name = "RedisStatePersistence";
  readonly requires = ["statedb"] as const;
  #db: RedisStateDB | null = null;

  constructor(app: Celery, options: StateDbInstall = {}) {
    rememberInstall(app, options);
  }

  /** While a worker runs: what is kept of it. */
  get db(): RedisStateDB | null {
    return this.#db;
  }

  enabled({ stateDb }: WorkerStepContext): boolean {
    return stateDb !== null && stateDb.redis !== null && !stateDb.redis.startsWith("sqlite:");
  }

  start({ stateDb, hostname, logger }: WorkerStepContext): void {
    if (stateDb === null || stateDb.redis === null) return;
    const { redis, prefix, ttlSeconds, shared } = stateDb;
    this.#db = new RedisStateDB({
      redisUrl: redis,
      workerName: hostname,
      keyPrefix: prefix,
      ttl: ttlSeconds ?? 0,
      shared,
      logger,
    });
    logger.debug({ statedb: this.#db.location, keys: this.#db.keyPrefix }, "state persistence is there");
  }

  stop(): void {
    this.#db?.close();
    this.#db = null;
  }

  info(): Readonly<Record<string, unknown>> {
    const db = this.#db;
    return db === null ? {} : { statedb: { location: db.location, keys: db.keyPrefix } };
  }
}
