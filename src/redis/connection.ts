/**
 * One TCP connection (or unix socket) to Redis: one object of the client library, used until it breaks and never again.
 *
 * What the library would do by itself is off: no reconnect, no re-send, no offline queue, no command timers. A connection on
 * which nothing was answered for `commandMs` while something is outstanding is destroyed, because a late reply would be
 * lost (and with it the messages it carries).
 */
import { createRequire } from "node:module";
import type * as client from "ioredis";
import type { Clock, Timer } from "../base/clock.ts";
import { HANDLING, RedisError, replyError } from "./errors.ts";
import type { LuaScript } from "./scripts.ts";
import type { RedisAddress } from "./url.ts";

// The client is CommonJS. `import` would parse all of it once more for its names: 35 ms of a start, and 4 MB.
const { Command, Redis } = createRequire(import.meta.url)("ioredis") as typeof client;

export type RedisArg = string | Buffer | number;

export interface DialOptions {
  readonly address: RedisAddress;
  /** 3 falls back to 2 where the server has no RESP3. */
  readonly protocol: 2 | 3;
  /** `CLIENT SETNAME`; null sets none. */
  readonly clientName: string | null;
  readonly dialMs: number;
  readonly commandMs: number;
  readonly clock: Clock;
}

/** How a reply's strings arrive: text, or bytes. */
export type ReplyForm = "text" | "bytes";

export interface ScriptCall {
  readonly keys: readonly RedisArg[];
  readonly args: readonly RedisArg[];
  /** Default text. */
  readonly form?: ReplyForm;
}

/** How often per deadline the watchdog looks; also how late it may be before it suspects a blocked event loop. */
const WATCH_STEPS = 4;

export class RedisConnection {
  readonly address: RedisAddress;
  /** Why the connection ended; null while it works. Written by `#end`. */
  closed: RedisError | null = null;
  /** Called once when it ended. Set by the owner. */
  onClose: ((reason: RedisError) => void) | null = null;

  readonly #client: client.Redis;
  readonly #options: DialOptions;
  /** Commands without a reply. */
  #pending = 0;
  /** Monotonic ms of the last reply, or of the first send after a silence. */
  #progressAt = 0;
  #watchAt = 0;
  #watch: Timer | null = null;
  #dialled = false;
  /** What the client library said last; the cause of the end. */
  #lastError: unknown = null;

  private constructor(options: DialOptions) {
    this.address = options.address;
    this.#options = options;
    const { address } = options;
    const name = (options.clientName ?? "").replace(/[\s\r\n]+/g, "_");
    this.#client = new Redis({
      ...(address.path === null ? { host: address.host, port: address.port } : { path: address.path }),
      ...(address.tls === null ? {} : { tls: { ...address.tls } }),
      ...(address.username === null ? {} : { username: address.username }),
      ...(address.password === null ? {} : { password: address.password }),
      ...(name === "" ? {} : { connectionName: name }),
      db: address.db,
      protocol: options.protocol,
      lazyConnect: true,
      retryStrategy: () => null,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      disableClientInfo: true,
      maxRetriesPerRequest: null,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      connectTimeout: options.dialMs,
      keepAlive: 30_000,
    });
    this.#client.on("error", (error: unknown) => {
      this.#lastError = error;
    });
    this.#client.on("end", () => this.#end(this.#dialled ? this.#lost() : this.#dialError(null)));
  }

  /** Resolves once the handshake is done. Rejects with a `RedisError`. */
  static async dial(options: DialOptions): Promise<RedisConnection> {
    const connection = new RedisConnection(options);
    const timer = options.clock.setTimer(options.dialMs, () => {
      connection.destroy(
        new RedisError(
          "connection",
          `${options.address.redacted}: no connection within ${options.dialMs} ms`,
          {
            outcome: "not sent",
          },
        ),
      );
    });
    try {
      await connection.#client.connect();
      connection.#dialled = true;
    } catch (error) {
      const reason = connection.closed ?? connection.#dialError(error);
      connection.destroy(reason);
      throw reason;
    } finally {
      timer.cancel();
    }
    if (connection.closed) throw connection.closed;
    return connection;
  }

  /** Commands sent and not answered. */
  get pending(): number {
    return this.#pending;
  }

  /** Sends one command. Rejects with a `RedisError`. */
  command(name: string, args: readonly RedisArg[], form: ReplyForm = "text"): Promise<unknown> {
    if (this.closed !== null) return Promise.reject(this.#notSent());
    if (this.#pending++ === 0) this.#startWatch();
    const command = new Command(name, args as RedisArg[], { replyEncoding: form === "text" ? "utf8" : null });
    this.#client.sendCommand(command);
    return command.promise.then(
      (reply: unknown) => {
        this.#answered();
        return reply;
      },
      (error: unknown) => {
        this.#answered();
        throw this.#failed(error, name);
      },
    );
  }

  /** Several commands in one write; a refused one is a `RedisError` in its place. Rejects only when the connection ends. */
  async pipeline(commands: readonly (readonly [string, ...RedisArg[]])[]): Promise<unknown[]> {
    const sent = this.corked(() =>
      commands.map(([name, ...args]) =>
        this.command(name, args).catch((error: unknown) => error as RedisError),
      ),
    );
    const replies = await Promise.all(sent);
    for (const reply of replies) {
      if (reply instanceof RedisError && reply.kind === "connection") throw reply;
    }
    return replies;
  }

  /**
   * Calls a script by its hash; where the server does not know it (`SCRIPT FLUSH`, failover) once more with its text.
   * Several scripts of one turn that all meet NOSCRIPT are sent again in their order.
   */
  script(script: LuaScript, call: ScriptCall): Promise<unknown> {
    const rest = [call.keys.length, ...call.keys, ...call.args];
    return this.command("evalsha", [script.sha, ...rest], call.form).catch((error: unknown) => {
      if (!(error instanceof RedisError) || error.kind !== "noscript") throw error;
      return this.command("eval", [script.text, ...rest], call.form);
    });
  }

  /** What is sent inside leaves in one packet. */
  corked<T>(send: () => T): T {
    const { stream } = this.#client;
    stream.cork();
    try {
      return send();
    } finally {
      stream.uncork();
    }
  }

  /** Sees the raw bytes that arrive, after the client library. Ends with the connection. */
  tap(listener: (chunk: Buffer) => void): void {
    this.#client.stream.on("data", listener);
  }

  /** Pub/sub messages: `pattern` is null for a plain channel. */
  onMessage(listener: (channel: string, payload: string, pattern: string | null) => void): void {
    this.#client.on("message", (channel: string, payload: string) => listener(channel, payload, null));
    this.#client.on("pmessage", (pattern: string, channel: string, payload: string) =>
      listener(channel, payload, pattern),
    );
  }

  /** Ends the connection at once; what is outstanding rejects. Idempotent. */
  destroy(reason: RedisError): void {
    if (this.closed !== null) return;
    this.#end(reason);
    const stream = this.#client.stream as { destroy(): void } | undefined;
    // Before the socket exists only the library can stop the dial; afterwards its own way would wait for the peer.
    if (stream === undefined) this.#client.disconnect();
    else stream.destroy();
  }

  #end(reason: RedisError): void {
    if (this.closed !== null) return;
    this.closed = reason;
    this.#watch?.cancel();
    this.#watch = null;
    const listener = this.onClose;
    this.onClose = null;
    listener?.(reason);
  }

  #answered(): void {
    this.#pending -= 1;
    this.#progressAt = this.#options.clock.monotonic();
  }

  #startWatch(): void {
    this.#progressAt = this.#options.clock.monotonic();
    if (this.#watch === null) this.#armWatch();
  }

  #armWatch(): void {
    const { clock, commandMs } = this.#options;
    this.#watchAt = clock.monotonic();
    this.#watch = clock.setTimer(commandMs / WATCH_STEPS, () => this.#look());
  }

  /** Looks at the deadline; stops looking while nothing is outstanding. */
  #look(): void {
    this.#watch = null;
    if (this.#pending === 0 || this.closed !== null) return;
    const { clock, commandMs } = this.#options;
    const now = clock.monotonic();
    // Timers run before sockets are read: after a blocked event loop the reply may be waiting in the socket.
    if (now - this.#watchAt > (2 * commandMs) / WATCH_STEPS) this.#progressAt = now;
    if (now - this.#progressAt >= commandMs) {
      this.destroy(
        new RedisError("connection", `${this.address.redacted} did not answer within ${commandMs} ms`, {
          outcome: "unknown",
        }),
      );
      return;
    }
    this.#armWatch();
  }

  #lost(): RedisError {
    const cause = this.#lastError;
    const detail = cause instanceof Error ? `: ${cause.message}` : "";
    return new RedisError("connection", `the connection to ${this.address.redacted} was lost${detail}`, {
      cause,
      outcome: "unknown",
    });
  }

  #notSent(): RedisError {
    const reason = this.closed;
    return new RedisError("connection", reason?.message ?? `${this.address.redacted} is not connected`, {
      cause: reason,
      outcome: "not sent",
    });
  }

  #dialError(error: unknown): RedisError {
    const cause = this.#lastError ?? error;
    forgetArguments(cause);
    const text =
      cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
    if (cause instanceof Error && cause.name === "ReplyError") {
      return replyError(text, `the connection to ${this.address.redacted}`, cause);
    }
    return new RedisError("connection", `cannot connect to ${this.address.redacted}: ${text}`, {
      cause,
      outcome: "not sent",
    });
  }

  /** Turns what a command rejected with into a `RedisError`, and ends the connection where its kind says so. */
  #failed(error: unknown, name: string): RedisError {
    if (!(error instanceof Error) || error.name !== "ReplyError") {
      // The library rejects commands before it tells that the connection has ended.
      this.destroy(this.#lost());
      return this.closed ?? this.#lost();
    }
    forgetArguments(error);
    const failure = replyError(error.message, name.toUpperCase(), error);
    if (HANDLING[failure.kind] === "reconnect") this.destroy(failure);
    return failure;
  }
}

/** The client library keeps a refused command on its error: passwords and messages have no place in logs. */
function forgetArguments(error: unknown): void {
  if (error instanceof Error && "command" in error) delete error.command;
}
