/** Redis transports of the build, against a private server, with short leases. */
import { systemClock } from "../../src/base/clock.ts";
import { type Logger, silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";
import type * as Redis from "../../src/transports/redis/index.ts";
import type { RedisTransportSettings } from "../../src/transports/redis/options.ts";
import type { TransportOptions } from "../../src/transports/transport.ts";
import { built } from "./built.ts";
import { type Holding, killHolder } from "./lost-holder.ts";

/** Leases that tests can wait for. */
export const SHORT_LEASE: Partial<RedisTransportSettings> = {
  leaseMs: 1500,
  beatMs: 300,
  sweepIntervalMs: 300,
  sweepGraceMs: 500,
};

export interface OpenOptions extends Partial<TransportOptions> {
  readonly settings?: Partial<RedisTransportSettings>;
}

export function transportOptions(url: string, overrides: Partial<TransportOptions> = {}): TransportOptions {
  return {
    url,
    tls: null,
    options: {},
    role: "worker",
    logger: silentLogger,
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    defaultQueue: "celery",
    clientName: null,
    ...overrides,
  };
}

/** Not started. */
export async function redisTransport(url: string, options: OpenOptions = {}): Promise<Redis.RedisTransport> {
  const { openRedisTransport } = (await import(built("transports/redis/index.js"))) as typeof Redis;
  const { settings, ...overrides } = options;
  return openRedisTransport(transportOptions(url, overrides), settings ? { settings } : {});
}

export interface LostHolder extends Holding {
  readonly url: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly settings?: Partial<RedisTransportSettings>;
}

/** A process of its own takes messages, and is killed with SIGKILL. Answers the ids that it took. */
export function loseHolder(lost: LostHolder): Promise<readonly string[]> {
  const options = transportOptions(lost.url, { options: lost.options ?? {} });
  const internals = { settings: lost.settings ?? SHORT_LEASE };
  return killHolder(
    { file: "transports/redis/index.js", name: "openRedisTransport", options, internals },
    lost,
  );
}

/** Keeps what is logged. */
export class LogKeeper implements Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[] = [];
  debug = (fields: object, message: string): void => this.#keep("debug", fields, message);
  info = (fields: object, message: string): void => this.#keep("info", fields, message);
  warn = (fields: object, message: string): void => this.#keep("warn", fields, message);
  error = (fields: object, message: string): void => this.#keep("error", fields, message);
  child = (): Logger => this;

  #keep(level: string, fields: object, message: string): void {
    this.lines.push({ level, message, fields });
  }
}
