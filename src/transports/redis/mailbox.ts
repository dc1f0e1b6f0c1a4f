/**
 * Replies of remote control: a list that one process reads for itself, and what others push to it. It is polled while it is
 * open, which is for a second or so: a connection of its own for a blocking command would cost more than the polls.
 * Counterpart: `kombu/pidbox.py` (`_collect`, `_publish_reply`).
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { uuid4 } from "../../base/uuid.ts";
import { decodeEnvelope, encodeEnvelope } from "../../protocol/envelope.ts";
import type { Limits, WireMessage } from "../../protocol/wire.ts";
import type { RedisArg } from "../../redis/connection.ts";
import { RedisError } from "../../redis/errors.ts";
import type { RedisSession } from "../../redis/session.ts";
import type { Answer, Mailbox, MailboxOptions } from "../transport.ts";
import { bindingMember } from "./bindings.ts";
import type { RedisKeys } from "./keys.ts";

/** Pauses between two looks: short after a reply, longer while nothing comes. ms. */
const SOON_MS = 5;
const LATEST_MS = 50;
/** Replies taken with one command. */
const AT_ONCE = 100;

export interface MailboxContext {
  readonly session: RedisSession;
  readonly keys: RedisKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: Limits;
  /** Unbinds the queue and deletes what is in it. */
  undeclare(declaration: MailboxOptions["declaration"]): Promise<void>;
}

/** Reads the queue of `options`, which is bound already. */
export class RedisMailbox implements Mailbox {
  readonly #context: MailboxContext;
  readonly #options: MailboxOptions;
  readonly #list: string;
  #timer: Timer | null = null;
  #pauseMs = SOON_MS;
  #closing: Promise<void> | null = null;

  constructor(context: MailboxContext, options: MailboxOptions) {
    this.#context = context;
    this.#options = options;
    this.#list = context.keys.list(options.declaration.name, 0);
    this.#later();
  }

  close(): Promise<void> {
    this.#timer?.cancel();
    this.#closing ??= this.#context.undeclare(this.#options.declaration);
    return this.#closing;
  }

  #later(): void {
    this.#timer = this.#context.clock.setTimer(this.#pauseMs, () => void this.#look());
  }

  /** Never rejects: without a connection it looks again later. */
  async #look(): Promise<void> {
    const raws = await this.#take().catch(() => []);
    if (this.#closing !== null) return;
    for (const raw of raws) this.#hear(raw);
    this.#pauseMs = raws.length > 0 ? SOON_MS : Math.min(this.#pauseMs * 1.5, LATEST_MS);
    if (this.#closing === null) this.#later();
  }

  /** Oldest first. Others only push, to the other end: what was read can be cut off afterwards. */
  async #take(): Promise<readonly string[]> {
    const { session } = this.#context;
    const read = await session.command("lrange", [this.#list, -AT_ONCE, -1]);
    const raws = Array.isArray(read) ? (read as string[]) : [];
    if (raws.length > 0) await session.command("ltrim", [this.#list, 0, -raws.length - 1]);
    return raws.toReversed();
  }

  #hear(raw: string): void {
    const { logger, limits } = this.#context;
    let message: WireMessage;
    try {
      message = decodeEnvelope(raw, limits);
    } catch (err) {
      logger.debug({ err }, "a reply that cannot be read was dropped");
      return;
    }
    this.#options.onMessage(message);
  }
}

/** Pushes to a mailbox that is bound; its list expires unless somebody empties it. */
export async function answerMailbox(
  { session, keys }: Pick<MailboxContext, "session" | "keys">,
  { message, declaration, ttlSeconds }: Answer,
): Promise<boolean> {
  const { exchange, routingKey, name } = declaration;
  const member = bindingMember(declaration, keys.sep);
  if ((await session.command("sismember", [keys.binding(exchange), member])) !== 1) return false;
  const text = encodeEnvelope(message, { exchange, routingKey, priority: 0, deliveryTag: uuid4() });
  const list = keys.list(name, 0);
  const replies = await session.pipeline([
    ["lpush", list, text],
    ["expire", list, Math.max(1, Math.ceil(ttlSeconds))],
  ]);
  for (const reply of replies) if (reply instanceof RedisError) throw reply;
  return true;
}

/** The commands that unbind a queue and delete it. */
export function undeclareCommands(
  keys: RedisKeys,
  declaration: MailboxOptions["declaration"],
): [string, ...RedisArg[]][] {
  return [
    ["srem", keys.binding(declaration.exchange), bindingMember(declaration, keys.sep)],
    ["del", ...keys.lists(declaration.name)],
  ];
}
