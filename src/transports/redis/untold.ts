/**
 * Messages that were given up: whoever moves one to the dead list has its worker tell of it (FAILURE, errbacks, the chain) and
 * then removes the note that the move has left. Where it dies in between, another worker finds the note, a lease later, and
 * tells in its place; so a death between telling and removing makes it told twice.
 *
 * | note      | moved    | told    | its teller died        | put back by an operator |
 * |-----------|----------|---------|------------------------|-------------------------|
 * | none      | -> noted |         |                        |                         |
 * | noted     |          | -> none | -> noted, of another   | -> none                 |
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Limits } from "../../protocol/wire.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import type { RedisSession } from "../../redis/session.ts";
import { readDeadLetter } from "../dead-letters.ts";
import type { ConsumeOptions } from "../transport.ts";
import type { RedisKeys } from "./keys.ts";
import { BURY, UNTOLD } from "./scripts/untold.lua.ts";
import { sha1 } from "./sha1.ts";

type Dead = Parameters<ConsumeOptions["onDead"]>[0];

export interface UntoldOptions {
  readonly session: RedisSession;
  readonly keys: RedisKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: Limits;
  /** A teller that has not said so is taken for dead. */
  readonly leaseMs: number;
  readonly onDead: ConsumeOptions["onDead"];
}

/** Told at once at most. */
const AT_MOST = 100;

export class Untold {
  readonly #options: UntoldOptions;
  /** SHA-1 of the lines that are being told here. */
  readonly #telling = new Set<string>();
  /** Of the last look, monotonic ms. */
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(options: UntoldOptions) {
    this.#options = options;
  }

  /** 1: it is on the dead list, and will be told of; 0: changed or gone. */
  async bury(
    connection: RedisConnection,
    entry: { readonly tag: string; readonly value: Buffer; readonly list: string; readonly text: Buffer },
    dead: Dead,
  ): Promise<number> {
    const { keys, leaseMs } = this.#options;
    const name = sha1(entry.text);
    const moved = await connection.script(BURY, {
      keys: [
        keys.unacked,
        keys.index,
        keys.lease,
        keys.started,
        keys.parked,
        entry.list,
        keys.untold,
        keys.untoldTexts,
      ],
      args: [entry.tag, sha1(entry.value), entry.text, name, leaseMs / 1000],
    });
    if (moved !== 1) return 0;
    void this.#tell(name, dead);
    return 1;
  }

  /** Takes over what others have not told in time. Looks a few times in a lease. */
  async look(connection: RedisConnection): Promise<void> {
    const { keys, clock, leaseMs, limits } = this.#options;
    const nowMs = clock.monotonic();
    if (nowMs - this.#lookedMs < leaseMs / 3) return;
    this.#lookedMs = nowMs;
    const found = (await connection.script(UNTOLD, {
      keys: [keys.untold, keys.untoldTexts],
      args: [leaseMs / 1000, AT_MOST, ...this.#telling],
      form: "bytes",
    })) as readonly Buffer[];
    for (let at = 0; at + 1 < found.length; at += 2) {
      const name = String(found[at]);
      const { queue, reason, raw, message } = readDeadLetter("", found[at + 1] ?? Buffer.alloc(0), limits);
      if (!this.#telling.has(name)) void this.#tell(name, { queue, reason, raw: raw.toString(), message });
    }
  }

  /** Never rejects. */
  async #tell(name: string, dead: Dead): Promise<void> {
    const { session, keys, logger, onDead } = this.#options;
    this.#telling.add(name);
    try {
      if ((await onDead(dead)) === false) return;
      await session.pipeline([
        ["zrem", keys.untold, name],
        ["hdel", keys.untoldTexts, name],
      ]);
    } catch (err) {
      logger.debug(
        { err, queue: dead.queue },
        "another worker may tell once more that a message was given up",
      );
    } finally {
      this.#telling.delete(name);
    }
  }
}
