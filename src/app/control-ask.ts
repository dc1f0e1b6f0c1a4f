/**
 * One request to workers and the collection of their replies: over a mailbox that is there for this request alone.
 * Python: `kombu.pidbox.Mailbox._broadcast` and `_collect`.
 */
import type { Clock } from "../base/clock.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import type { Logger } from "../base/logger.ts";
import { uuid4 } from "../base/uuid.ts";
import {
  type ControlReplyMessage,
  decodeReply,
  encodeRequest,
  type PidboxNames,
  replyQueue,
} from "../protocol/pidbox.ts";
import type { Limits, WireMessage } from "../protocol/wire.ts";
import type { QueueDeclaration, Transport } from "../transports/transport.ts";

/** What asking needs of its app. */
export interface AskContext {
  readonly transport: Transport;
  readonly names: PidboxNames;
  readonly clock: Clock;
  readonly lamport: LamportClock;
  readonly logger: Logger;
  readonly accept: readonly string[];
  readonly serializer: string;
  readonly limits: Limits;
}

/** What is asked, of whom. */
export interface Question {
  readonly method: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly destination: readonly string[] | null;
  readonly pattern: string | null;
  readonly matcher: string | null;
  readonly timeoutMs: number;
  /** How many workers hear it. Not called where the broker does not say. */
  onHeard?: ((workers: number) => void) | undefined;
}

/** How replies are collected. */
export interface Collection {
  /** Replies after which nobody is waited for any more; null: the whole time. */
  readonly limit: number | null;
  onReply?(node: string, reply: unknown): void;
  readonly signal?: AbortSignal | undefined;
}

/** The declaration of a client's queue of replies. */
export function replyDeclaration(client: string, names: PidboxNames): QueueDeclaration {
  return {
    name: replyQueue(client, names),
    exchange: names.replyExchange,
    type: "direct",
    routingKey: client,
  };
}

/** Sends without waiting for replies. Resolves once the broker has it. */
export async function tell(context: AskContext, question: Question): Promise<void> {
  await publish(context, question, null);
}

/** Sends, and gives the replies in the order in which they came. */
export async function ask(
  context: AskContext,
  question: Question,
  collection: Collection,
): Promise<readonly (readonly [node: string, reply: unknown])[]> {
  const { transport, names } = context;
  const ticket = uuid4();
  const client = uuid4();
  const replies: (readonly [string, unknown])[] = [];
  const enough = new AbortController();
  const done = (): void => enough.abort();
  const ended = new Promise<void>((resolve) => {
    enough.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const onMessage = (message: WireMessage): void => {
    const read = readReply(context, message);
    if (read === null || read.ticket !== ticket || replies.length === collection.limit) return;
    replies.push([read.node, read.reply]);
    collection.onReply?.(read.node, read.reply);
    if (replies.length === collection.limit) done();
  };
  const mailbox = await transport.openMailbox({ declaration: replyDeclaration(client, names), onMessage });
  collection.signal?.addEventListener("abort", done, { once: true });
  if (collection.signal?.aborted) done();
  const startedMs = context.clock.monotonic();
  try {
    await publish(context, question, { ticket, client });
    const leftMs = question.timeoutMs - (context.clock.monotonic() - startedMs);
    const timer = context.clock.setTimer(Math.max(leftMs, 0), done);
    await ended;
    timer.cancel();
  } finally {
    collection.signal?.removeEventListener("abort", done);
    await mailbox.close().catch((err: unknown) => {
      context.logger.warn({ err }, "a queue of replies could not be deleted: it expires");
    });
  }
  return replies;
}

async function publish(
  context: AskContext,
  question: Question,
  replyTo: { readonly ticket: string; readonly client: string } | null,
): Promise<void> {
  const { transport, names, clock, lamport, serializer } = context;
  const { timeoutMs, onHeard, ...request } = question;
  const message = encodeRequest(
    {
      ...request,
      ticket: replyTo?.ticket ?? null,
      replyTo: replyTo === null ? null : { exchange: names.replyExchange, routingKey: replyTo.client },
      clock: lamport.forward(),
      expires: (clock.now() + timeoutMs) / 1000,
    },
    serializer,
  );
  await transport.publish(
    [
      {
        message,
        exchange: names.exchange,
        type: "fanout",
        routingKey: "",
        priority: 0,
        ...(onHeard && { onHeard }),
      },
    ],
    null,
  );
}

/** null: no reply, or one that cannot be read. */
function readReply(context: AskContext, message: WireMessage): ControlReplyMessage | null {
  try {
    const reply = decodeReply(message, { accept: context.accept, limits: context.limits });
    context.lamport.adjust(reply.clock);
    return reply;
  } catch (err) {
    context.logger.debug({ err }, "a reply that cannot be read was dropped");
    return null;
  }
}

/** Replies by node name; of several under one name the last. `onTwice`: that name is not unique. */
export function byNode(
  replies: readonly (readonly [node: string, reply: unknown])[],
  onTwice: (node: string) => void,
): Readonly<Record<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const [node, reply] of replies) {
    if (found.has(node)) onTwice(node);
    found.set(node, reply);
  }
  return Object.fromEntries(found);
}
