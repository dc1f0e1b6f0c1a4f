/** Dead lists on Redis: looked at, emptied and put back by an operator. Entries are bytes: they need not be text. */
import { Buffer } from "node:buffer";
import type { Limits } from "../../protocol/wire.ts";
import { RedisError } from "../../redis/errors.ts";
import type { RedisSession } from "../../redis/session.ts";
import { type DeadLetter, type DeadPage, priorityOf, readDeadLetter } from "../dead-letters.ts";
import type { RedisKeys } from "./keys.ts";
import { REQUEUE_DEAD } from "./scripts/dead.lua.ts";
import { restartDeliveryCount } from "./text-patch.ts";

export interface DeadListsOptions {
  readonly session: RedisSession;
  readonly keys: RedisKeys;
  readonly limits: Limits;
}

export class DeadLists {
  readonly #options: DeadListsOptions;

  constructor(options: DeadListsOptions) {
    this.#options = options;
  }

  async read(queue: string, { skip, count }: DeadPage): Promise<readonly DeadLetter[]> {
    if (count <= 0) return [];
    const { session, keys, limits } = this.#options;
    await session.live(null);
    const entries = await session.command("lrange", [keys.dead(queue), skip, skip + count - 1], "bytes");
    return (entries as readonly Buffer[]).map((entry) => readDeadLetter(queue, entry, limits));
  }

  async remove(letters: readonly DeadLetter[]): Promise<number> {
    const { session, keys } = this.#options;
    await session.live(null);
    return sum(
      await session.pipeline(letters.map(({ list, entry }) => ["lrem", keys.dead(list), 1, entry] as const)),
    );
  }

  /** One script for each: a dead list may be long, and nobody else is to wait for all of them. */
  async requeue(letters: readonly DeadLetter[]): Promise<number> {
    const { session, keys } = this.#options;
    await session.live(null);
    let moved = 0;
    for (const { list, queue, message, entry, raw } of letters) {
      if (message === null) continue;
      const target = keys.list(queue, keys.stepOf(priorityOf(message)));
      // latin1 keeps bytes that are no UTF-8 as they are.
      const again = Buffer.from(restartDeliveryCount(raw.toString("latin1")), "latin1");
      moved += Number(
        await session.script(REQUEUE_DEAD, {
          keys: [keys.dead(list), target, keys.untold, keys.untoldTexts],
          args: [entry, again],
        }),
      );
    }
    return moved;
  }
}

function sum(replies: readonly unknown[]): number {
  let total = 0;
  for (const reply of replies) {
    if (reply instanceof RedisError) throw reply;
    total += Number(reply);
  }
  return total;
}
