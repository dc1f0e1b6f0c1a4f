/**
 * Where an app's revokes are kept. The first that is given counts:
 *
 * | what   | sources                                                                                                |
 * |--------|--------------------------------------------------------------------------------------------------------|
 * | Redis  | `--redis-statedb`, `--statedb` with a scheme, `installRedisStatedb`, `redisStatedbUrl`, `workerStateDb` with a scheme, `REDIS_STATEDB_URL`, `CELERY_REDIS_STATEDB_URL` |
 * | file   | `--statedb`, `workerStateDb`                                                                           |
 * | prefix | `CELERY_REDIS_STATE_KEY_PREFIX`, `installRedisStatedb`, `redisStateKeyPrefix`                          |
 * | ttl    | `CELERY_REDIS_STATE_TTL`, `installRedisStatedb`, `redisStateTtl`                                       |
 *
 * A worker may have both: what either holds is revoked, and both are written.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { expandFileName } from "../protocol/nodenames.ts";
import type { StateDb, StateDbOptions } from "../statedb/state-db.ts";
import type { Celery } from "./app.ts";
import type { Environment } from "./env.ts";
import type { AppInternals, ResolvedSettings } from "./internals.ts";

/** `fail`: nothing runs while it is not known what is revoked. `warn`: it does, and the log says so. */
export type StateDbPolicy = "fail" | "warn";

/** Options of {@link installRedisStatedb}: what is left out is as the settings say. */
export interface StateDbInstall {
  readonly url?: string | undefined;
  readonly keyPrefix?: string | undefined;
  /** Seconds; 0: for ever. */
  readonly ttl?: number | undefined;
  readonly shared?: boolean | undefined;
  readonly policy?: StateDbPolicy | undefined;
}

/** What the command line says. */
export interface StateDbWords {
  readonly statedb?: string | undefined;
  readonly redisStatedb?: string | undefined;
}

export interface StateDbConfig {
  /** null: none. */
  readonly redis: string | null;
  /** A name with `%n` and its like; null: none. */
  readonly file: string | null;
  readonly prefix: string;
  readonly ttlSeconds: number | null;
  readonly shared: boolean;
  readonly policy: StateDbPolicy;
}

const installed = new WeakMap<Celery, StateDbInstall>();

/** Remembered for this app. */
export function rememberInstall(app: Celery, options: StateDbInstall): void {
  installed.set(app, options);
}

interface ConfigSources {
  readonly app: Celery;
  readonly conf: ResolvedSettings;
  readonly words?: StateDbWords;
  readonly env?: Environment;
}

/** @throws ImproperlyConfigured */
export function stateDbConfig({ app, conf, words = {}, env = process.env }: ConfigSources): StateDbConfig {
  const install = installed.get(app) ?? {};
  const given = words.statedb ?? null;
  const setting = conf.workerStateDb || null;
  const redis =
    onRedis("--redis-statedb", words.redisStatedb) ??
    (given !== null && isUrl(given) ? given : null) ??
    onRedis("installRedisStatedb", install.url) ??
    onRedis("redis_statedb_url", conf.redisStatedbUrl) ??
    (setting !== null && isUrl(setting) ? setting : null) ??
    onRedis("REDIS_STATEDB_URL", env["REDIS_STATEDB_URL"]) ??
    onRedis("CELERY_REDIS_STATEDB_URL", env["CELERY_REDIS_STATEDB_URL"]);
  const named = given ?? setting;
  return {
    redis,
    file: named === null || isUrl(named) ? null : named,
    prefix: env["CELERY_REDIS_STATE_KEY_PREFIX"] || (install.keyPrefix ?? conf.redisStateKeyPrefix ?? ""),
    ttlSeconds: ttlOf(env["CELERY_REDIS_STATE_TTL"] || (install.ttl ?? conf.redisStateTtl)),
    shared: install.shared ?? conf.workerStateDbShared !== false,
    policy: install.policy ?? conf.workerStateDbPolicy ?? "warn",
  };
}

function isUrl(text: string): boolean {
  return /^(?!file:)[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

function onRedis(source: string, url: string | null | undefined): string | null {
  if (url === null || url === undefined || url === "") return null;
  if (isUrl(url)) return url;
  throw new ImproperlyConfigured(
    `${source} takes a URL of Redis, such as redis://host:6379/1: for a file give --statedb or workerStateDb`,
    { code: "PET_URL_INVALID" },
  );
}

function ttlOf(given: string | number | null | undefined): number | null {
  if (given === null || given === undefined) return null;
  const seconds = Number(given);
  if (Number.isFinite(seconds) && seconds >= 0) return seconds === 0 ? null : Math.ceil(seconds);
  throw new ImproperlyConfigured(
    `the time to live of the state DB (redis_state_ttl, CELERY_REDIS_STATE_TTL) is seconds, 0 for ever, not ${JSON.stringify(given)}`,
  );
}

/** What both a worker and a client open one with. */
interface OpenContext {
  readonly config: StateDbConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly clientName: string | null;
}

/** Of a worker, not started; null: none is configured. */
export async function openWorkerStateDb(context: OpenContext, node: string): Promise<StateDb | null> {
  const { config } = context;
  const options = optionsOf(context);
  const redis = config.redis === null ? null : await openStateDb({ ...options, node, url: config.redis });
  const file =
    config.file === null
      ? null
      : await openStateDb({ ...options, node, url: expandFileName(config.file, node) });
  if (redis === null || file === null) return redis ?? file;
  const { BothStateDbs } = await import("../statedb/both.ts");
  return new BothStateDbs(redis, file);
}

/** Of a client or an operator, that writes and reads what is shared; null: no Redis is configured. */
export async function openSharedStateDb(context: OpenContext): Promise<StateDb | null> {
  const { redis } = context.config;
  return redis === null ? null : openStateDb({ ...optionsOf(context), node: null, url: redis });
}

/** For the command line and its like: the state DB that is given, else the app's; not started. null: none is configured. */
export async function openOperatorStateDb(
  { app, conf, clock, logger }: Pick<AppInternals, "app" | "conf" | "clock" | "logger">,
  words: StateDbWords,
): Promise<StateDb | null> {
  const config = stateDbConfig({ app, conf, words });
  const context = { config, clock, logger, clientName: conf.redisClientName };
  const named = words.statedb !== undefined && words.redisStatedb === undefined;
  if (config.file === null || (config.redis !== null && !named)) return openSharedStateDb(context);
  return openStateDb({ ...optionsOf(context), node: null, url: config.file });
}

type Options = Omit<StateDbOptions, "url" | "node">;

/** Loaded by who has one. */
async function openStateDb(options: StateDbOptions): Promise<StateDb> {
  const module = await import("../statedb/index.ts");
  return module.openStateDb(options);
}

function optionsOf({ config, clock, logger, clientName }: OpenContext): Options {
  const { prefix, ttlSeconds, shared } = config;
  return { prefix, ttlSeconds, shared, clock, logger, clientName };
}
