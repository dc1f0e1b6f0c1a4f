/** From a scheduler's name, Celery's or ours, to where it keeps what has run. */
import { brokerUrls } from "../app/config-parts.ts";
import type { AppInternals } from "../app/internals.ts";
import { zoneOf } from "../app/zone.ts";
import type { Logger } from "../base/logger.ts";
import { redactUrl } from "../base/redact-url.ts";
import { ImproperlyConfigured, PetioleError } from "../errors.ts";
import { isSentinelUrl, parseServerUrl } from "../redis/sentinel.ts";
import { parseRedisUrl, type RedisAddress } from "../redis/url.ts";
import { FileScheduleStore } from "../schedules/stores/file.ts";
import { MemoryScheduleStore } from "../schedules/stores/memory.ts";
import { RedisScheduleStore } from "../schedules/stores/redis/index.ts";
import { SqliteScheduleStore } from "../schedules/stores/sqlite.ts";
import type { ScheduleStore } from "../schedules/stores/store.ts";

/** Celery's names, with `.` for `:`. */
const KINDS: Readonly<Record<string, "file" | "memory" | "redis" | "sqlite" | "later">> = {
  "celery.beat.PersistentScheduler": "file",
  file: "file",
  "celery.beat.Scheduler": "memory",
  memory: "memory",
  "django_celery_beat.schedulers.DatabaseScheduler": "later",
  django: "later",
  "redbeat.RedBeatScheduler": "redis",
  "redbeat.schedulers.RedBeatScheduler": "redis",
  redbeat: "redis",
  sqlite: "sqlite",
};

export interface StoreWish {
  readonly scheduler: string;
  readonly file: string;
}

/** @throws PetioleError for a scheduler that is not known, or not built */
export function openScheduleStore(
  { scheduler, file }: StoreWish,
  { app, logger }: { readonly app: AppInternals; readonly logger: Logger },
): ScheduleStore {
  const name = scheduler.replace(":", ".");
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind === "file") return new FileScheduleStore({ path: file, clock: app.clock, logger });
  if (kind === "memory") return new MemoryScheduleStore();
  if (kind === "redis") return openRedis(app, logger);
  if (kind === "sqlite") return openSqlite(app, file);
  if (kind === "later") {
    throw new PetioleError(
      "PET_UNSUPPORTED",
      `the scheduler ${scheduler} is not served by this version: use redbeat.RedBeatScheduler (Redis), sqlite or celery.beat:PersistentScheduler (a file)`,
    );
  }
  throw new ImproperlyConfigured(
    `there is no scheduler ${JSON.stringify(scheduler)}: use celery.beat:PersistentScheduler (a file), sqlite (a SQLite file), redbeat.RedBeatScheduler (Redis) or celery.beat:Scheduler (memory)`,
  );
}

function openRedis(app: AppInternals, logger: Logger): ScheduleStore {
  const { conf, clock } = app;
  const { redbeatKeyPrefix: prefix, redbeatLockKey: lockKey, redbeatLockTimeout: timeout } = conf;
  return new RedisScheduleStore({
    address: redisAddress(app),
    prefix: prefix || "redbeat:",
    lockKey: lockKey || null,
    lockTimeoutMs: timeout === null || timeout <= 0 ? null : timeout * 1000,
    zone: zoneOf(conf),
    clock,
    logger,
    clientName: conf.redisClientName,
  });
}

/** In the broker's file, or in that which `beatScheduleFilename` names. */
function openSqlite({ app, conf, clock }: AppInternals, file: string): ScheduleStore {
  const [broker = ""] = brokerUrls(conf, "write");
  const url = [file, broker].find((one) => /^sqlite:/i.test(one));
  if (url === undefined) {
    throw new ImproperlyConfigured(
      `the scheduler sqlite keeps what has run in a SQLite file, and the broker is ${redactUrl(broker)}: name the file with -s sqlite:///path/to/file.db or beatScheduleFilename`,
    );
  }
  return new SqliteScheduleStore({ url, place: app.name, clock });
}

function redisAddress({ conf }: AppInternals): RedisAddress {
  const [broker = ""] = brokerUrls(conf, "write");
  const url = conf.redbeatRedisUrl ?? broker;
  if (conf.redbeatRedisUrl === null && !/^(rediss?|redis\+socket|unix|socket|sentinel):/.test(broker)) {
    throw new ImproperlyConfigured(
      `the scheduler redbeat keeps its schedule in Redis, and the broker is ${redactUrl(broker)}: set redbeatRedisUrl`,
    );
  }
  const ssl = conf.redbeatRedisUseSsl ?? (conf.redbeatRedisUrl === null ? conf.brokerUseSsl : null);
  if (isSentinelUrl(url)) return parseServerUrl(url);
  return parseRedisUrl(url, typeof ssl === "object" && ssl !== null ? { ...ssl } : ssl);
}
