/** Where an app's schedule is kept, by its settings. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { OpenScheduleOptions } from "../schedules/stores/open.ts";
import { brokerUrls } from "./config-parts.ts";
import type { ResolvedSettings } from "./internals.ts";
import { tlsOf } from "./openers.ts";
import { zoneOf } from "./zone.ts";

export interface ScheduleContext {
  readonly app: { readonly name: string };
  readonly conf: ResolvedSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What goes before the settings. */
export interface ScheduleWords {
  /** Instead of `beatScheduler`. */
  readonly scheduler?: string | undefined;
  /** Instead of `beatScheduleFilename`. */
  readonly schedule?: string | undefined;
}

/** What `openScheduleStore` takes. */
export function scheduleOptions(
  { app, conf, clock, logger }: ScheduleContext,
  words: ScheduleWords,
): OpenScheduleOptions {
  const timeout = conf.redbeatLockTimeout;
  return {
    app: app.name,
    scheduler: words.scheduler ?? conf.beatScheduler ?? "file",
    file: words.schedule ?? conf.beatScheduleFilename ?? "celerybeat-schedule",
    brokerUrl: brokerUrls(conf, "write")[0] ?? "",
    brokerTls: tlsOf(conf.brokerUseSsl),
    redis: {
      url: conf.redbeatRedisUrl,
      tls: tlsOf(conf.redbeatRedisUseSsl),
      prefix: conf.redbeatKeyPrefix || "redbeat:",
      lockKey: conf.redbeatLockKey || null,
      lockTimeoutMs: timeout === null || timeout <= 0 ? null : timeout * 1000,
    },
    zone: zoneOf(conf),
    clock,
    logger,
    clientName: conf.redisClientName,
  };
}
