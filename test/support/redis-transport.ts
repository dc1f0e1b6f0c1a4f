/** Redis transports of the build, against a private server, with short leases. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/base/clock.ts";
import { type Logger, silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";
import type * as Redis from "../../src/transports/redis/index.ts";
import type { RedisTransportSettings } from "../../src/transports/redis/options.ts";
import type { TransportOptions } from "../../src/transports/transport.ts";
import { built, root } from "./built.ts";

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

export interface LostHolder {
  readonly url: string;
  readonly queue: string;
  readonly count: number;
  readonly markStarted?: boolean | undefined;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly settings?: Partial<RedisTransportSettings>;
}

/** A process of its own takes messages, and is killed with SIGKILL. Answers the ids that it took. */
export async function loseHolder(lost: LostHolder): Promise<readonly string[]> {
  const child = fork(fileURLToPath(new URL("./lost-holder.mjs", import.meta.url)), { stdio: "inherit" });
  const {
    clock: _clock,
    logger: _logger,
    ...options
  } = transportOptions(lost.url, {
    options: lost.options ?? {},
  });
  const { queue, count, markStarted } = lost;
  const internals = { settings: lost.settings ?? SHORT_LEASE };
  child.send({ dist: `${root}dist/`, options: { ...options, internals }, queue, count, markStarted });
  const [ids] = (await once(child, "message")) as [readonly string[]];
  child.kill("SIGKILL");
  await once(child, "exit");
  return ids;
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
