/**
 * What is kept of one worker on Redis, for programs that read and write it by hand. Python: `celery_redis_statedb.RedisStateDB`.
 * The keys are those that workers use; a worker that runs hears of every change. It claims no name, so that it is nobody's rival.
 */
import { systemClock } from "../../base/clock.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import { ImproperlyConfigured, PetioleError } from "../../errors.ts";
import type { RedisArg } from "../../redis/connection.ts";
import { parseServerUrl } from "../../redis/sentinel.ts";
import { RedisSession } from "../../redis/session.ts";
import { isRevocable } from "../members.ts";
import { readBlob, writeBlob } from "./blob-store.ts";
import { type NodeKeys, StateKeys } from "./keys.ts";
import { loadSets } from "./load.ts";
import { purge } from "./operate.ts";
import { allReplies } from "./replies.ts";
import { CLEAR, RECORD } from "./scripts.lua.ts";

const PREFIX = "celery:worker:state:";
const PAGE = 1_000;
/** Members of a set that are read at most: all of them. */
const ALL = 2 ** 52;

/** What a {@link RedisStateDB} is opened with. */
export interface RedisStateDBOptions {
  readonly redisUrl: string;
  /** Node name of the worker: `celery@host`. */
  readonly workerName: string;
  /** Default: `celery:worker:state:`. */
  readonly keyPrefix?: string | undefined;
  /** Seconds that ids are kept; 0, the default: for ever. */
  readonly ttl?: number | undefined;
  /** Reads and writes what all workers share, too. Default: yes. */
  readonly shared?: boolean | undefined;
  readonly logger?: Logger | undefined;
}

/** Connects with the first call. Calls reject while Redis is away. */
export class RedisStateDB {
  /** Without a password. */
  readonly location: string;
  readonly workerName: string;
  /** Begins the keys of this worker. */
  readonly keyPrefix: string;
  readonly #session: RedisSession;
  readonly #keys: StateKeys;
  readonly #own: NodeKeys;
  readonly #ttl: number;
  readonly #shared: boolean;
  readonly #logger: Logger;

  /** @throws ImproperlyConfigured */
  constructor(options: RedisStateDBOptions) {
    const { redisUrl, workerName, keyPrefix = PREFIX, ttl = 0, shared = true } = options;
    if (typeof workerName !== "string" || workerName === "") {
      throw new ImproperlyConfigured("RedisStateDB needs workerName, the node name of a worker: celery@host");
    }
    if (!Number.isFinite(ttl) || ttl < 0) {
      throw new ImproperlyConfigured(`ttl of a RedisStateDB is seconds, 0 for ever, not ${String(ttl)}`);
    }
    const address = parseServerUrl(redisUrl);
    this.#logger = options.logger ?? silentLogger;
    this.#keys = new StateKeys(keyPrefix, address.db);
    this.#own = this.#keys.node(workerName);
    this.#ttl = Math.ceil(ttl);
    this.#shared = shared;
    this.location = address.redacted;
    this.workerName = workerName;
    this.keyPrefix = `${keyPrefix}${workerName}:`;
    this.#session = new RedisSession({
      address,
      clock: systemClock,
      logger: this.#logger,
      clientName: null,
      protocol: 2,
      scripts: [RECORD],
    });
  }

  // ---- revoked ids

  /** Python: `add_revoked`. `timestamp`: when it was revoked; default now. */
  addRevoked(taskId: string, timestamp: Date | null = null): Promise<void> {
    return this.addRevokedBulk([taskId], timestamp);
  }

  /** Python: `add_revoked_bulk`. */
  async addRevokedBulk(taskIds: Iterable<string>, timestamp: Date | null = null): Promise<void> {
    const ids = [...taskIds];
    for (const id of ids) if (!isRevocable(id)) throw noId(id);
    const { ids: own, stamps } = this.#own;
    const { sharedIds, sharedStamps, seq, channel } = this.#keys;
    const keys = [own, stamps, sharedIds, sharedStamps, seq];
    const when = timestamp === null ? "" : String(timestamp.getTime() / 1000);
    await this.#session.live(null);
    for (let from = 0; from < ids.length; from += PAGE) {
      const page = ids.slice(from, from + PAGE);
      const head: RedisArg[] = [1, this.#shared ? 1 : 0, channel, this.#ttl, page.length, when];
      await this.#session.script(RECORD, { keys, args: [...head, ...page] });
    }
  }

  /** Whether the worker would refuse this task. Python: `is_revoked`, which is false while Redis is away. */
  async isRevoked(taskId: string): Promise<boolean> {
    await this.#session.live(null);
    const keys = this.#shared ? [this.#own.ids, this.#keys.sharedIds] : [this.#own.ids];
    const replies = await allReplies(
      this.#session,
      keys.map((key) => ["zmscore", key, taskId]),
    );
    return replies.some((reply) => Array.isArray(reply) && reply[0] !== null);
  }

  /** Ids with the time they were revoked at, the oldest first. Python: `get_revoked`. */
  async getRevoked(): Promise<ReadonlyMap<string, Date>> {
    await this.#session.live(null);
    const { ids, nowSeconds } = await loadSets(this.#session, this.#keys, {
      own: this.#own,
      shared: this.#shared,
      ttlSeconds: this.#ttl === 0 ? null : this.#ttl,
      max: ALL,
    });
    return new Map([...ids].map(([id, age]) => [id, new Date(Math.round((nowSeconds - age) * 1000))]));
  }

  /** Takes out what was revoked longer ago; how many those were. Python: `purge_old_revoked`. */
  async purgeOldRevoked(olderThanSeconds: number): Promise<number> {
    if (!Number.isFinite(olderThanSeconds) || olderThanSeconds < 0) {
      throw new PetioleError("PET_USAGE", `olderThanSeconds is 0 or more, not ${String(olderThanSeconds)}`);
    }
    await this.#session.live(null);
    const options = {
      olderThanSeconds,
      node: this.workerName,
      withShared: this.#shared,
      logger: this.#logger,
    };
    return purge(this.#session, this.#keys, options);
  }

  /** Takes out all ids. Python: `clear_revoked`. */
  async clearRevoked(): Promise<void> {
    await this.#session.live(null);
    const { ids, blob, sum } = this.#own;
    const { seq, sharedIds, channel } = this.#keys;
    const keys = [seq, ids, blob, sum, ...(this.#shared ? [sharedIds] : [])];
    await this.#session.script(CLEAR, { keys, args: [channel] });
  }

  // ---- what Python's workers read and write

  /** Writes ids and clock as a worker does when it ends. Python: `update`. */
  async update(zrevoked: Iterable<string>, clock: number): Promise<void> {
    const ids = new Set(zrevoked);
    await this.addRevokedBulk(ids);
    const { bytes, sum } = await writeBlob([...ids].map((id) => [id, 0] as const));
    const { blob, sum: sumKey, clock: clockKey } = this.#own;
    await allReplies(this.#session, [
      ["set", blob, bytes],
      ["set", sumKey, sum],
      ["set", clockKey, countOf(clock)],
    ]);
  }

  /** Ids that the worker's blob has; null: there is none. Python: `get_zrevoked`. */
  async getZrevoked(): Promise<ReadonlySet<string> | null> {
    await this.#session.live(null);
    const { sha, ids } = await readBlob(this.#session, this.#own, { nowSeconds: 0, logger: this.#logger });
    return sha === "" ? null : new Set(ids.keys());
  }

  /** The worker's Lamport clock; 0: none was kept. Python: `get_clock`. */
  async getClock(): Promise<number> {
    await this.#session.live(null);
    return Number(await this.#session.command("get", [this.#own.clock])) || 0;
  }

  /** Python: `set_clock`. */
  async setClock(value: number): Promise<void> {
    await this.#session.live(null);
    await this.#session.command("set", [this.#own.clock, countOf(value)]);
  }

  /** The new value. Python: `increment_clock`. */
  async incrementClock(): Promise<number> {
    await this.#session.live(null);
    return Number(await this.#session.command("incr", [this.#own.clock]));
  }

  // ---- connection

  /** Whether Redis answers. Never rejects. */
  async ping(): Promise<boolean> {
    try {
      await this.#session.live(null);
      await this.#session.command("ping", []);
      return true;
    } catch (err) {
      this.#logger.debug({ err, statedb: this.location }, "the state DB does not answer");
      return false;
    }
  }

  /** Idempotent. */
  close(): void {
    this.#session.stop();
  }
}

function noId(given: unknown): PetioleError {
  const shown = typeof given === "string" ? JSON.stringify(given.slice(0, 60)) : String(given);
  return new PetioleError("PET_USAGE", `the id of a task is a text of 1 to 4096 characters, not ${shown}`);
}

function countOf(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new PetioleError("PET_USAGE", `a clock is a whole number, 0 or more, not ${String(value)}`);
}
