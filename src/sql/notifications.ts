/**
 * What PostgreSQL tells a session that listens, over a connection of its own.
 *
 * | state   | connection                | next                                                     |
 * |---------|---------------------------|----------------------------------------------------------|
 * | dialing | being made                | live: `onLive`, because something may have been missed   |
 * | live    | stands                    | dialing, after a pause, when it is lost                  |
 * | closed  |                           |                                                          |
 */
import type { Client } from "pg";
import { fullJitterMs } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { SqlDatabase } from "./database.ts";
import { clientConfig, loadPg, type Parsers, type PgModule, parsersOf, prepareClient } from "./postgresql.ts";
import { CONNECT_MS } from "./source.ts";

export interface NotificationsOptions {
  readonly database: SqlDatabase;
  /** A plain word. */
  readonly channel: string;
  readonly clock: Clock;
  onPayload(payload: string): void;
  /** It listens from now on. */
  onLive(): void;
  /** It does not, until the next `onLive`. */
  onDown(error: unknown): void;
}

const BACKOFF = { baseMs: 50, capMs: 2000 };

export class Notifications {
  readonly #options: NotificationsOptions;
  #client: Client | null = null;
  #timer: Timer | null = null;
  #attempt = 0;
  #live = false;
  #closed = false;

  constructor(options: NotificationsOptions) {
    this.#options = options;
  }

  get live(): boolean {
    return this.#live;
  }

  start(): void {
    void this.#dial();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#live = false;
    this.#timer?.cancel();
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(ignore);
  }

  async #dial(): Promise<void> {
    const { database, channel } = this.#options;
    const { address, redacted } = database;
    if (address.dialect === "sqlite") return;
    let client: Client | null = null;
    try {
      const pg: PgModule = await loadPg();
      if (this.#closed) return;
      const parsers: Parsers = parsersOf(pg);
      client = new pg.Client({
        ...clientConfig(address, parsers),
        connectionTimeoutMillis: address.connectTimeoutMs ?? CONNECT_MS,
      });
      this.#client = client;
      const current = client;
      client.on("error", (error) => this.#lost(current, error));
      client.on("end", () => this.#lost(current, new Error("the connection ended")));
      client.on("notification", ({ payload }) => this.#options.onPayload(payload ?? ""));
      await client.connect();
      await prepareClient(client, redacted);
      await client.query(`LISTEN ${channel}`);
      if (this.#closed || this.#client !== client) return;
      this.#attempt = 0;
      this.#live = true;
      this.#options.onLive();
    } catch (error) {
      if (client === null) this.#retry(error);
      else this.#lost(client, error);
    }
  }

  /** Once for each connection. */
  #lost(client: Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = null;
    client.end().catch(ignore);
    this.#retry(error);
  }

  #retry(error: unknown): void {
    if (this.#closed) return;
    this.#live = false;
    this.#options.onDown(error);
    this.#attempt += 1;
    const delayMs = fullJitterMs(this.#attempt, BACKOFF);
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#dial(), { unref: true });
  }
}

function ignore(): void {}
