/** Opens the app's transports and backends from its settings. What serves a URL is loaded when it is asked for. */
import type { ResultBackend } from "../backends/backend.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Limits } from "../protocol/wire.ts";
import type { Transport } from "../transports/transport.ts";
import { brokerUrls } from "./config-parts.ts";
import type { ResolvedSettings } from "./internals.ts";
import type { TlsOptions } from "./settings-types.ts";

/** What both kinds are opened with. */
export interface OpenContext {
  readonly conf: ResolvedSettings;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly limits: Limits;
}

type Tls = boolean | Readonly<Record<string, unknown>> | null;

/** TLS options of a setting, as connections take them. */
export function tlsOf(given: boolean | TlsOptions | null): Tls {
  return typeof given === "object" && given !== null ? { ...given } : given;
}

/** A transport of its own, not started. */
export async function openAppTransport(
  context: OpenContext,
  role: "producer" | "worker",
): Promise<Transport> {
  const { conf, logger, clock, limits } = context;
  const { openTransport } = await import("../transports/index.ts");
  return openTransport({
    url: brokerUrls(conf, role === "worker" ? "read" : "write").join(";"),
    tls: tlsOf(conf.brokerUseSsl),
    options: conf.brokerTransportOptions ?? {},
    role,
    logger,
    clock,
    limits,
    defaultQueue: conf.taskDefaultQueue ?? "celery",
    clientName: conf.redisClientName,
  });
}

/** A backend of its own, not started. */
export async function openAppBackend(context: OpenContext): Promise<ResultBackend> {
  const { conf, logger, clock, limits } = context;
  const { openBackend } = await import("../backends/index.ts");
  return openBackend({
    url: conf.resultBackend ?? "",
    tls: tlsOf(conf.redisBackendUseSsl),
    options: conf.resultBackendTransportOptions ?? {},
    expiresSeconds: conf.resultExpires ?? 0,
    serializer: conf.resultSerializer ?? "json",
    accept: conf.resultAcceptContent ?? conf.acceptContent ?? ["json"],
    logger,
    clock,
    limits,
    retry: {
      maxRetries: conf.resultBackendMaxRetries ?? Infinity,
      baseMs: conf.resultBackendBaseSleepBetweenRetriesMs ?? 10,
      capMs: conf.resultBackendMaxSleepBetweenRetriesMs ?? 10_000,
    },
    clientName: conf.redisClientName,
  });
}
