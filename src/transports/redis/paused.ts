/** Pauses queues for every consumer of this database. FETCH looks (`scripts/fetch.lua.ts`), so no consumer has to hear of it. */
import type { RedisSession } from "../../redis/session.ts";
import type { PausedQueue, PausedQueues } from "../paused-queues.ts";
import type { RedisKeys } from "./keys.ts";
import { PAUSE, RESUME } from "./scripts/paused.lua.ts";

/** Longer than anybody who is idle takes to look again. */
const RESUMED_SECONDS = 10;

export class RedisPausedQueues implements PausedQueues {
  readonly #session: RedisSession;
  readonly #keys: RedisKeys;

  constructor(session: RedisSession, keys: RedisKeys) {
    this.#session = session;
    this.#keys = keys;
  }

  async pause(queues: readonly string[]): Promise<number> {
    await this.#session.live(null);
    return Number(await this.#session.script(PAUSE, { keys: this.#keysOf(queues), args: queues }));
  }

  async resume(queues: readonly string[]): Promise<number> {
    await this.#session.live(null);
    const args = [RESUMED_SECONDS, ...queues];
    return Number(await this.#session.script(RESUME, { keys: this.#keysOf(queues), args }));
  }

  async list(): Promise<readonly PausedQueue[]> {
    await this.#session.live(null);
    const reply = (await this.#session.command("zrange", [
      this.#keys.paused,
      0,
      -1,
      "withscores",
    ])) as readonly unknown[];
    // RESP3 gives pairs, RESP2 one flat list.
    const flat = reply.flat() as readonly (string | number)[];
    return Array.from({ length: flat.length / 2 }, (_, i) => ({
      queue: String(flat[2 * i]),
      sinceMs: Math.floor(Number(flat[2 * i + 1]) * 1000),
    }));
  }

  #keysOf(queues: readonly string[]): string[] {
    return [this.#keys.paused, ...queues.map((queue) => this.#keys.resumed(queue))];
  }
}
