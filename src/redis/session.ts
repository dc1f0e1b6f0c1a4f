/**
 * Keeps one connection to Redis alive: dial, prime, let the owner reclaim, live, back off, again. States and transitions:
 * `connection-states.ts`.
 */
import { fullJitterMs } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OperationalError } from "../errors.ts";
import { type RedisArg, RedisConnection, type ReplyForm, type ScriptCall } from "./connection.ts";
import { type ConnectionState, ConnectionStateMachine } from "./connection-states.ts";
import { HANDLING, RedisError } from "./errors.ts";
import { readServerFacts, type ServerFacts } from "./facts.ts";
import type { LuaScript } from "./scripts.ts";
import type { RedisAddress } from "./url.ts";

export interface SessionOptions {
  readonly address: RedisAddress;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `CLIENT SETNAME`; null sets none. */
  readonly clientName: string | null;
  /** Default 3. */
  readonly protocol?: 2 | 3;
  /** Loaded on every connection, in the write that asks for the server's facts. */
  readonly scripts?: readonly LuaScript[];
  /** Default 5000. */
  readonly commandMs?: number;
  /** Default 5000. */
  readonly dialMs?: number;
  /** Default 2000: consuming goes on about that long after a server is back. */
  readonly backoffCapMs?: number;
  /** Runs on every new connection before commands of others are let through. A rejection means: dial again. */
  readonly reclaim?: (connection: RedisConnection) => Promise<void>;
  readonly onState?: (state: ConnectionState, from: ConnectionState) => void;
  /** A first attempt that failed is followed by others, as after a loss. Default false: the caller of `start` decides. */
  readonly keepTrying?: boolean;
  /** Back-off's random numbers, for tests. */
  readonly random?: () => number;
}

const BACKOFF_BASE_MS = 100;
/** A connection that lived this long was a good one: the next loss starts the back-off anew. */
const STABLE_MS = 1000;
/** One that was lost sooner shows that the server can be reached: no long wait, but no busy loop either (0.8 s at most). */
const UNSTABLE_ATTEMPT = 3;

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

export class RedisSession {
  readonly #options: SessionOptions;
  readonly #machine: ConnectionStateMachine;
  readonly #commandMs: number;
  #connection: RedisConnection | null = null;
  #facts: ServerFacts | null = null;
  #timer: Timer | null = null;
  /** Failed attempts in a row; back-off's exponent. */
  #attempts = 0;
  #liveSince = 0;
  #starting: Promise<void> | null = null;
  /** Of `live()`; settled by the end of an attempt. */
  #waiters: Waiter[] = [];
  /** Why the last connection or attempt ended. */
  #lastError: RedisError | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#commandMs = options.commandMs ?? 5000;
    this.#machine = new ConnectionStateMachine((state, from) => options.onState?.(state, from));
  }

  get state(): ConnectionState {
    return this.#machine.state;
  }

  /** Of the server that answered last; null before the first connection. */
  get facts(): ServerFacts | null {
    return this.#facts;
  }

  get lastError(): RedisError | null {
    return this.#lastError;
  }

  /** The connection, in the states priming to live. */
  get connection(): RedisConnection | null {
    return this.#connection;
  }

  /** One attempt; afterwards the session reconnects by itself until `stop`. May be called again after a rejection. */
  start(signal: AbortSignal): Promise<void> {
    if (this.#starting) return this.#starting;
    if (this.state === "live") return Promise.resolve();
    if (this.state !== "idle") return this.live(signal);
    this.#starting = this.#firstAttempt(signal).finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  /**
   * Resolves when commands can be sent. Waits for an attempt that is under way, or makes one at once; rejects when that
   * attempt fails. A session that was never started is started.
   */
  live(signal: AbortSignal | null): Promise<void> {
    if (this.state === "live") return Promise.resolve();
    if (this.state === "closed") return Promise.reject(closedError(this.#options.address));
    if (signal?.aborted) return Promise.reject(this.#aborted());
    if (this.state === "idle") return this.start(signal ?? new AbortController().signal);
    const wait = new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        resolve: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
        reject: (error) => {
          signal?.removeEventListener("abort", onAbort);
          reject(error);
        },
      };
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((one) => one !== waiter);
        reject(this.#aborted());
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.push(waiter);
    });
    if (this.state === "waiting") this.#dialSoon(0);
    return wait;
  }

  /** One command. Rejects with a `RedisError`: `outcome` "not sent" when there was no connection. */
  command(name: string, args: readonly RedisArg[], form: ReplyForm = "text"): Promise<unknown> {
    return this.#connection !== null && this.state === "live"
      ? this.#connection.command(name, args, form)
      : Promise.reject(this.#notLive());
  }

  /** Several commands in one write; a refused one is a `RedisError` in its place. */
  pipeline(commands: readonly (readonly [string, ...RedisArg[]])[]): Promise<unknown[]> {
    return this.#connection !== null && this.state === "live"
      ? this.#connection.pipeline(commands)
      : Promise.reject(this.#notLive());
  }

  script(script: LuaScript, call: ScriptCall): Promise<unknown> {
    return this.#connection !== null && this.state === "live"
      ? this.#connection.script(script, call)
      : Promise.reject(this.#notLive());
  }

  /** Ends this connection and dials another: for an owner that sees no progress. */
  reset(reason: RedisError): void {
    this.#connection?.destroy(reason);
  }

  /** Idempotent. Outstanding commands reject. */
  stop(): void {
    if (this.state === "closed") return;
    this.#timer?.cancel();
    this.#timer = null;
    const connection = this.#connection;
    this.#connection = null;
    this.#machine.to("closed");
    if (connection) {
      connection.onClose = null;
      connection.destroy(
        new RedisError("connection", `${this.#options.address.redacted}: connection closed by us`),
      );
    }
    this.#settleWaiters(closedError(this.#options.address));
  }

  async #firstAttempt(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const onAbort = (): void => this.reset(new RedisError("connection", "the start was aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await this.#attempt(signal);
    } catch (error) {
      if (this.state !== "closed") {
        this.#machine.to(this.#options.keepTrying ? "waiting" : "idle");
        if (this.#options.keepTrying) this.#retry();
      }
      this.#settleWaiters(this.#asRedisError(error));
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    this.#settleWaiters(null);
  }

  /** Dial to live. On failure the connection is gone and the state is unchanged: the caller decides where to go. */
  async #attempt(signal: AbortSignal | null): Promise<void> {
    const { address, clock } = this.#options;
    this.#machine.to("dialling");
    let connection: RedisConnection | null = null;
    try {
      const options = {
        address,
        protocol: this.#options.protocol ?? 3,
        clientName: this.#options.clientName,
        dialMs: this.#options.dialMs ?? 5000,
        commandMs: this.#commandMs,
        clock,
      };
      connection =
        address.sentinels === undefined
          ? await RedisConnection.dial(options)
          : await (await import("./sentinel.ts")).dialMaster(options, address.sentinels);
      this.#requireOpen(signal);
      this.#connection = connection;
      this.#machine.to("priming");
      this.#facts = await readServerFacts(connection, {
        scripts: this.#options.scripts ?? [],
        protocol: this.#options.protocol ?? 3,
      });
      this.#requireOpen(signal);
      this.#machine.to("reclaiming");
      await this.#options.reclaim?.(connection);
      this.#requireOpen(signal);
      if (connection.closed) throw connection.closed;
    } catch (error) {
      const reason = this.#asRedisError(error);
      this.#lastError = reason;
      if (this.#connection === connection) this.#connection = null;
      if (connection) connection.destroy(reason);
      throw error;
    }
    connection.onClose = (reason) => this.#lost(reason);
    this.#liveSince = clock.monotonic();
    this.#machine.to("live");
  }

  #requireOpen(signal: AbortSignal | null): void {
    if (this.state === "closed") throw closedError(this.#options.address);
    if (signal?.aborted) throw this.#aborted();
  }

  #lost(reason: RedisError): void {
    this.#connection = null;
    this.#lastError = reason;
    const wasStable = this.#options.clock.monotonic() - this.#liveSince >= STABLE_MS;
    this.#attempts = wasStable ? 0 : Math.min(this.#attempts, UNSTABLE_ATTEMPT);
    this.#machine.to("waiting");
    this.#options.logger.warn(
      { address: this.#options.address.redacted, err: reason },
      "connection to Redis lost, dialling again",
    );
    this.#retry();
  }

  #retry(): void {
    const delayMs = fullJitterMs(this.#attempts, {
      baseMs: BACKOFF_BASE_MS,
      capMs: this.#options.backoffCapMs ?? 2000,
      ...(this.#options.random ? { random: this.#options.random } : {}),
    });
    this.#attempts += 1;
    this.#dialSoon(delayMs);
  }

  #dialSoon(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#timer = null;
      void this.#redial();
    });
  }

  /** Never rejects. */
  async #redial(): Promise<void> {
    if (this.state !== "waiting") return;
    try {
      await this.#attempt(null);
      this.#settleWaiters(null);
    } catch (error) {
      const reason = this.#asRedisError(error);
      this.#settleWaiters(reason);
      // `stop` may have come while the attempt was under way.
      if ((this.state as ConnectionState) === "closed") return;
      this.#machine.to("waiting");
      const fields = { address: this.#options.address.redacted, err: reason, attempt: this.#attempts };
      if (HANDLING[reason.kind] === "stop")
        this.#options.logger.error(fields, "Redis refuses the connection");
      else this.#options.logger.debug(fields, "Redis cannot be reached");
      this.#retry();
    }
  }

  #settleWaiters(error: Error | null): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (error) waiter.reject(error);
      else waiter.resolve();
    }
  }

  #asRedisError(error: unknown): RedisError {
    if (error instanceof RedisError) return error;
    return new RedisError("connection", error instanceof Error ? error.message : String(error), {
      cause: error,
      outcome: "not sent",
    });
  }

  #aborted(): RedisError {
    return new RedisError(
      "connection",
      `${this.#options.address.redacted}: given up before it was connected`,
      {
        cause: this.#lastError,
        outcome: "not sent",
      },
    );
  }

  #notLive(): Error {
    if (this.state === "closed") return closedError(this.#options.address);
    return new RedisError(
      "connection",
      `${this.#options.address.redacted} is not connected${this.#lastError ? `: ${this.#lastError.message}` : ""}`,
      { cause: this.#lastError, outcome: "not sent" },
    );
  }
}

export function closedError(address: RedisAddress): OperationalError {
  return new OperationalError(`the connection to ${address.redacted} was closed`, {
    code: "PET_CLOSED",
    outcome: "not sent",
  });
}
