/** Renews leases on the data connection, where the order of commands is ours, and tells which are gone. */
import type { Logger } from "../../base/logger.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import type { RedisSession } from "../../redis/session.ts";
import type { Holds, RedisDelivery } from "./holds.ts";
import type { RedisKeys } from "./keys.ts";
import { BEAT } from "./scripts/lease.lua.ts";

export interface RenewalOptions {
  readonly session: RedisSession;
  readonly leaseMs: number;
  readonly keys: RedisKeys;
  readonly holds: Holds;
  readonly logger: Logger;
  /** The worker has them, and somebody else has or will get them. */
  readonly onLost: (deliveries: readonly RedisDelivery[]) => void;
}

/** Tags of one BEAT. */
const TAGS_PER_CALL = 1000;

export class Renewal {
  readonly #options: RenewalOptions;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** After a reconnect: everything that is held, before anything of it starts. */
  async reclaim(connection: RedisConnection): Promise<void> {
    const { holds } = this.#options;
    await this.#renew(connection, [...holds.held, ...holds.waiting, ...holds.leaving]);
  }

  /** Asks whether holds are gone; `tags` null: renews all. Never rejects. */
  async verify(tags: ReadonlySet<string> | null): Promise<void> {
    const { session, holds, logger } = this.#options;
    const { connection } = session;
    if (connection === null || session.state !== "live") return;
    const all = [...holds.held, ...holds.waiting, ...holds.leaving];
    try {
      await this.#renew(connection, tags === null ? all : all.filter((one) => tags.has(one.brokerTag)));
    } catch (error) {
      logger.debug({ err: error }, "leases could not be renewed");
    }
  }

  async #renew(connection: RedisConnection, deliveries: readonly RedisDelivery[]): Promise<void> {
    const { keys, leaseMs } = this.#options;
    const gone: RedisDelivery[] = [];
    for (let from = 0; from < deliveries.length; from += TAGS_PER_CALL) {
      const part = deliveries.slice(from, from + TAGS_PER_CALL);
      const reply = await connection.script(BEAT, {
        keys: [keys.index, keys.lease],
        args: [leaseMs / 1000, ...part.map((one) => one.brokerTag)],
      });
      for (const position of reply as number[]) {
        const delivery = part[position];
        if (delivery !== undefined) gone.push(delivery);
      }
    }
    this.#lose(gone);
  }

  #lose(gone: readonly RedisDelivery[]): void {
    const { holds, logger, onLost } = this.#options;
    // What was settled meanwhile is gone for a good reason; what waits in memory the worker does not have.
    const lost = gone.filter((one) => one.state === "held");
    for (const delivery of gone) holds.lose(delivery);
    if (lost.length === 0) return;
    logger.warn({ count: lost.length }, "leases lost: others may run these messages");
    onLost(lost);
  }
}
