/** From a scheduler's name, Celery's or ours, to where it keeps what has run. */
import { basename } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { redactUrl } from "../../base/redact-url.ts";
import { ImproperlyConfigured, PetioleError } from "../../errors.ts";
import { parseServerUrl } from "../../redis/sentinel.ts";
import type { RedisAddress } from "../../redis/url.ts";
import { FileScheduleStore } from "./file.ts";
import { MemoryScheduleStore } from "./memory.ts";
import { RedisScheduleStore } from "./redis/index.ts";
import { SqliteScheduleStore } from "./sqlite.ts";
import type { ScheduleStore } from "./store.ts";

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

/** Celery's name of the file of what has run, which nobody needs to have asked for; `petiole dev` has it in a folder. */
const SCHEDULE_FILE = "celerybeat-schedule";

type Tls = boolean | Readonly<Record<string, unknown>> | null;

export interface OpenScheduleOptions {
  /** The app's name. */
  readonly app: string;
  readonly scheduler: string;
  readonly file: string;
  /** The app's, for what it sends. */
  readonly brokerUrl: string;
  readonly brokerTls: Tls;
  /** Settings of RedBeat. */
  readonly redis: {
    /** null: the broker's. */
    readonly url: string | null;
    readonly tls: Tls;
    readonly prefix: string;
    readonly lockKey: string | null;
    readonly lockTimeoutMs: number | null;
  };
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly clientName: string | null;
}

/** @throws PetioleError for a scheduler that is not known, or not built */
export function openScheduleStore(options: OpenScheduleOptions): ScheduleStore {
  const { scheduler, file, zone, clock, logger, clientName, redis } = options;
  const name = scheduler.replace(":", ".");
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind === "file") return new FileScheduleStore({ path: file, clock, logger });
  if (kind === "memory") return new MemoryScheduleStore();
  if (kind === "redis") {
    const { prefix, lockKey, lockTimeoutMs } = redis;
    return new RedisScheduleStore({
      address: redisAddress(options),
      prefix,
      lockKey,
      lockTimeoutMs,
      zone,
      clock,
      logger,
      clientName,
    });
  }
  if (kind === "sqlite") return openSqlite(options);
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

/** In the broker's file, or in that which `beatScheduleFilename` names. */
function openSqlite({ app, file, brokerUrl, clock }: OpenScheduleOptions): ScheduleStore {
  if (basename(file) !== SCHEDULE_FILE && !isSqlite(file)) {
    throw new ImproperlyConfigured(
      `the scheduler sqlite does not keep what has run in ${JSON.stringify(file)}, which is no sqlite: URL: write -s (beatScheduleFilename) as sqlite:///path/to/file.db, or leave it out where the broker is a SQLite file`,
    );
  }
  const url = [file, brokerUrl].find(isSqlite);
  if (url === undefined) {
    throw new ImproperlyConfigured(
      `the scheduler sqlite keeps what has run in a SQLite file, and the broker is ${redactUrl(brokerUrl)}: name the file with -s sqlite:///path/to/file.db or beatScheduleFilename`,
    );
  }
  return new SqliteScheduleStore({ url, place: app, clock });
}

const isSqlite = (url: string): boolean => /^sqlite:/i.test(url);

function redisAddress({ brokerUrl, brokerTls, redis }: OpenScheduleOptions): RedisAddress {
  if (redis.url === null && !/^(rediss?|redis\+socket|unix|socket|sentinel):/.test(brokerUrl)) {
    throw new ImproperlyConfigured(
      `the scheduler redbeat keeps its schedule in Redis, and the broker is ${redactUrl(brokerUrl)}: set redbeatRedisUrl`,
    );
  }
  const url = redis.url ?? brokerUrl;
  const tls = redis.tls ?? (redis.url === null ? brokerTls : null);
  return parseServerUrl(url, tls);
}
