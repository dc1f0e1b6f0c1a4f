/** Moves held messages to lists: back to their queue, to a dead list. Their bytes are read first: they are not kept in memory. */
import type { RedisConnection } from "../../redis/connection.ts";
import type { RedisError } from "../../redis/errors.ts";
import { afterLoss } from "../losses.ts";
import type { Call, CallQueue } from "./calls.ts";
import type { Holds, RedisDelivery } from "./holds.ts";
import type { RedisKeys } from "./keys.ts";
import type { RedisTransportSettings } from "./options.ts";
import { MOVE, PARK } from "./scripts/settle.lua.ts";
import { sha1 } from "./sha1.ts";
import { parkedTag } from "./tags.ts";
import { markRedelivered, NotAnObject } from "./text-patch.ts";
import { parseUnackedValue, unackedValue } from "./unacked-value.ts";
import type { Untold } from "./untold.ts";

export type Answer = "done" | "gone";
export type Resolve = (answer: Answer) => void;

export interface SettlerContext {
  readonly keys: RedisKeys;
  readonly settings: RedisTransportSettings;
  readonly holds: Holds;
  readonly calls: CallQueue;
  /** Database of the connection: results that go elsewhere need SELECT. */
  readonly db: () => number;
  /** Estimate of the broker's clock, ms since the epoch. */
  readonly serverNowMs: () => number;
  readonly onRefused: (error: RedisError) => void;
  /** A message was parked until then. */
  readonly onParked: (untilMs: number) => void;
  readonly untold: Untold;
}

/** Something that moves a message to a list. */
export type Move =
  | { readonly kind: "requeue" }
  | { readonly kind: "lost" }
  /** Shutdown: front of the queue. */
  | { readonly kind: "return" }
  /** `queue`: whose dead list; null = the queue's own. */
  | { readonly kind: "dead"; readonly reason: string; readonly list: string | null };

export interface Moving {
  readonly delivery: RedisDelivery;
  readonly move: Move;
  readonly resolve: Resolve;
}

/** Reads messages, changes them, and moves each where nobody else has meanwhile. */
export class MovesCall implements Call {
  readonly name = "move";
  readonly #context: SettlerContext;
  readonly #moves: readonly Moving[];

  constructor(context: SettlerContext, moves: readonly Moving[]) {
    this.#context = context;
    this.#moves = moves;
  }

  async send(connection: RedisConnection): Promise<unknown> {
    const { keys } = this.#context;
    const tags = this.#moves.map((one) => one.delivery.brokerTag);
    const values = (await connection.command("hmget", [keys.unacked, ...tags], "bytes")) as (Buffer | null)[];
    const replies = connection.corked(() =>
      this.#moves.map((moving, i) => {
        const value = values[i] ?? null;
        return value === null ? Promise.resolve(0) : this.#move(connection, moving, value);
      }),
    );
    return Promise.all(replies);
  }

  onReply(reply: unknown, again: boolean): void {
    const replies = reply as number[];
    for (const [i, { delivery, resolve }] of this.#moves.entries()) {
      const lost = delivery.state === "lost";
      this.#context.holds.end(delivery);
      resolve(lost || (replies[i] !== 1 && !again) ? "gone" : "done");
    }
  }

  onError(error: RedisError): void {
    this.#context.onRefused(error);
    this.onDropped();
  }

  onDropped(): void {
    for (const { delivery, resolve } of this.#moves) {
      this.#context.holds.end(delivery);
      resolve("gone");
    }
  }

  #move(connection: RedisConnection, moving: Moving, value: Buffer): Promise<unknown> {
    const { delivery, move } = moving;
    const { keys } = this.#context;
    const raw = parseUnackedValue(value.toString("latin1"))?.raw ?? "";
    switch (move.kind) {
      case "lost":
        return this.#afterLoss(connection, delivery, { value, raw });
      case "dead": {
        const text = this.#deadText(delivery, { raw, reason: move.reason, count: delivery.deliveryCount });
        const list = keys.dead(move.list ?? delivery.queue);
        return moveEntry(connection, keys, { tag: delivery.brokerTag, value, list, text, end: "back" });
      }
      case "requeue":
      case "return":
        return moveEntry(connection, keys, {
          tag: delivery.brokerTag,
          value,
          list: keys.list(delivery.queue, delivery.step),
          text: Buffer.from(marked(raw, null), "latin1"),
          end: move.kind === "return" ? "front" : "back",
        });
    }
  }

  #deadText(
    { queue }: RedisDelivery,
    dead: { readonly raw: string; readonly reason: string; readonly count: number },
  ): Buffer {
    const { raw, reason, count } = dead;
    const line = deadLine({ queue, reason, atMs: this.#context.serverNowMs(), count });
    return Buffer.concat([line, Buffer.from(raw, "latin1")]);
  }

  async #afterLoss(
    connection: RedisConnection,
    delivery: RedisDelivery,
    of: { readonly value: Buffer; readonly raw: string },
  ): Promise<number> {
    const { keys, settings, serverNowMs, onParked, untold } = this.#context;
    const { brokerTag: tag, queue, step } = delivery;
    const count = delivery.deliveryCount + 1;
    const next = afterLoss(count, settings);
    if (next.to === "dead") {
      const { reason } = next;
      const text = this.#deadText(delivery, { raw: of.raw, reason, count });
      const raw = Buffer.from(of.raw, "latin1").toString("utf8");
      return untold.bury(
        connection,
        { tag, value: of.value, list: keys.dead(queue), text },
        { queue, reason, raw, message: delivery.message },
      );
    }
    const raw = marked(of.raw, count);
    if (next.to === "queue") {
      const to = { list: keys.list(queue, step), text: Buffer.from(raw, "latin1") };
      return (await moveEntry(connection, keys, { tag, value: of.value, ...to, end: "front" })) as number;
    }
    const untilMs = serverNowMs() + next.delayMs;
    onParked(untilMs);
    const gone = await connection.script(PARK, {
      keys: [keys.unacked, keys.index, keys.lease, keys.parked, keys.started],
      args: [
        tag,
        parkedTag(step, tag),
        secondsText(untilMs),
        sha1(of.value),
        Buffer.from(unackedValue(raw, queue), "latin1"),
      ],
    });
    return gone === 0 ? 1 : 0;
  }
}

/** The text of a message that is delivered again. Headers that are no object cannot be marked: then as it is. */
export function marked(raw: string, count: number | null): string {
  try {
    return markRedelivered(raw, count);
  } catch (error) {
    if (error instanceof NotAnObject) return raw;
    throw error;
  }
}

export interface EntryMove {
  readonly tag: string;
  /** As it was read; the entry is moved only while it is still this. */
  readonly value: Buffer;
  readonly list: string;
  readonly text: Buffer;
  readonly end: "front" | "back";
}

/** 1: moved; 0: changed or gone. */
export function moveEntry(connection: RedisConnection, keys: RedisKeys, entry: EntryMove): Promise<unknown> {
  return connection.script(MOVE, {
    keys: [keys.unacked, keys.index, keys.lease, keys.started, keys.parked, entry.list],
    args: [entry.tag, sha1(entry.value), entry.text, entry.end === "front" ? "r" : "l"],
  });
}

/** The line in front of a message on a dead list. */
export function deadLine(fields: {
  readonly queue: string;
  readonly reason: string;
  readonly atMs: number;
  readonly count: number;
}): Buffer {
  const { queue, reason, atMs, count } = fields;
  return Buffer.from(`${JSON.stringify({ queue, reason, at: Math.floor(atMs / 1000), count })}\n`);
}

/** A time as the text of a score: seconds, rounded up to the next microsecond so that it is never early. */
export function secondsText(ms: number): string {
  return (Math.ceil(ms * 1000) / 1e6).toFixed(6);
}
