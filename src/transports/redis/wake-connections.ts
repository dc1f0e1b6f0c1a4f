/**
 * The connections that hear of changes: one that tracks keys, and where its protocol has no pushes a RESP2 subscriber that they
 * go to. Both live and die together.
 */
import type { Logger } from "../../base/logger.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import { RedisError } from "../../redis/errors.ts";
import type { RespValue } from "../../redis/resp.ts";
import { RedisSession, type SessionOptions } from "../../redis/session.ts";

export interface WakeConnectionsOptions {
  /** Hooks are this class's own. */
  readonly session: SessionOptions;
  readonly logger: Logger;
  /** Pushes go to a subscriber. */
  readonly redirect: boolean;
  readonly onPush: (push: readonly RespValue[]) => void;
  readonly onLive: () => void;
  readonly onLost: () => void;
  /** The server does not track. */
  readonly onRefused: (error: unknown) => void;
}

const INVALIDATE = "__redis__:invalidate";

export class WakeConnections {
  readonly session: RedisSession;
  /** Of the connection that tracks. */
  clientId = 0;
  readonly #options: WakeConnectionsOptions;
  #subscriber: RedisSession | null = null;
  #subscriberId = 0;
  #stopped = false;

  constructor(options: WakeConnectionsOptions) {
    this.#options = options;
    const { redirect } = options;
    this.session = new RedisSession({
      ...options.session,
      scripts: [],
      keepTrying: true,
      reclaim: (connection) => (redirect ? this.#trackRedirected(connection) : this.#track(connection)),
      onState: (state, from) => {
        if (this.#stopped) return;
        if (state === "live") options.onLive();
        else if (from === "live") {
          if (redirect) this.#subscriber?.reset(otherHalfLost());
          options.onLost();
        }
      },
    });
  }

  start(): void {
    this.session.start(new AbortController().signal).catch((error: unknown) => {
      this.#options.logger.debug({ err: error }, "wake connection not there yet");
    });
  }

  stop(): void {
    this.#stopped = true;
    this.session.stop();
    this.#subscriber?.stop();
  }

  async #track(connection: RedisConnection): Promise<void> {
    connection.onPush = this.#options.onPush;
    this.clientId = Number(await connection.command("client", ["id"]));
    await this.#askForTracking(connection, ["tracking", "on", "optin", "noloop"]);
  }

  async #trackRedirected(connection: RedisConnection): Promise<void> {
    await this.#openSubscriber().live(null);
    const to = ["redirect", this.#subscriberId];
    await this.#askForTracking(connection, ["tracking", "on", ...to, "optin", "noloop"]);
  }

  async #askForTracking(connection: RedisConnection, args: readonly (string | number)[]): Promise<void> {
    try {
      await connection.command("client", args);
    } catch (error) {
      // Outside of the session's own attempt, which this ends.
      if (!connection.closed) setImmediate(() => this.#options.onRefused(error));
      throw error;
    }
  }

  #openSubscriber(): RedisSession {
    if (this.#subscriber !== null) return this.#subscriber;
    const subscriber = new RedisSession({
      ...this.#options.session,
      protocol: 2,
      scripts: [],
      keepTrying: true,
      reclaim: async (connection) => {
        // Before SUBSCRIBE: a subscribed RESP2 connection may not ask.
        this.#subscriberId = Number(await connection.command("client", ["id"]));
        connection.onPush = this.#options.onPush;
        await connection.command("subscribe", [INVALIDATE]);
      },
      onState: (_state, from) => {
        if (from === "live" && !this.#stopped) this.session.reset(otherHalfLost());
      },
    });
    this.#subscriber = subscriber;
    return subscriber;
  }
}

function otherHalfLost(): RedisError {
  return new RedisError("connection", "the other half of the pair was lost");
}
