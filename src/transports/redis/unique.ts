/** Unique tasks on Redis. */

import type { Clock } from "../../base/clock.ts";
import { uuid4 } from "../../base/uuid.ts";
import { OperationalError, PetioleError } from "../../errors.ts";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import type { RedisArg } from "../../redis/connection.ts";
import { HANDLING, RedisError } from "../../redis/errors.ts";
import type { RedisPublishClaim } from "../../redis/publish-claim.ts";
import type { LuaScript } from "../../redis/scripts.ts";
import type { RedisSession } from "../../redis/session.ts";
import type { Outgoing } from "../transport.ts";
import {
  type Claim,
  fenced,
  type PublishClaim,
  REPLACED_MS,
  type UniqueKey,
  type UniqueLocks,
  type UniqueMessage,
} from "../unique-locks.ts";
import { matchingQueues, parseBindings } from "./bindings.ts";
import type { RedisKeys } from "./keys.ts";
import type { RedisTransportSettings } from "./options.ts";
import { CLAIMED_PUBLISH } from "./scripts/claimed.lua.ts";
import { UNIQUE_CLAIM, UNIQUE_PUBLISH, UNIQUE_RELEASE } from "./scripts/unique.lua.ts";

export interface RedisUniqueOptions {
  readonly session: RedisSession;
  readonly settings: RedisTransportSettings;
  readonly keys: RedisKeys;
  readonly clock: Clock;
}

/** One script that publishes. */
interface PublishCall {
  readonly script: LuaScript;
  readonly claim: RedisPublishClaim | null;
  readonly id: string;
  readonly keys: RedisArg[];
  readonly args: RedisArg[];
}

/** What is refused for now is asked again after this. */
const RETRY_MS = 500;

export class RedisUniqueLocks implements UniqueLocks {
  readonly #options: RedisUniqueOptions;

  constructor(options: RedisUniqueOptions) {
    this.#options = options;
  }

  async publish(messages: readonly UniqueMessage[], signal: AbortSignal | null): Promise<readonly string[]> {
    const { session } = this.#options;
    if (session.state !== "live") await session.live(signal);
    const calls = await Promise.all(messages.map((message) => this.#callOf(message)));
    signal?.throwIfAborted();
    const send = (): Promise<PromiseSettledResult<unknown>[]> =>
      Promise.allSettled(calls.map(({ script, keys, args }) => session.script(script, { keys, args })));
    const replies = await (session.connection === null ? send() : session.connection.corked(send));
    return replies.map((reply, index) => {
      if (reply.status === "rejected") throw unknownOutcome(reply.reason, messages.length);
      const { claim, id } = calls[index] as PublishCall;
      return claim === null ? String(reply.value) : claimed(claim, id, reply.value);
    });
  }

  async #callOf(message: UniqueMessage): Promise<PublishCall> {
    const { claim = null, id } = message;
    if (claim === null || !this.#isHere(claim)) {
      return { script: UNIQUE_PUBLISH, claim: null, id, ...(await this.#publishCall(message)) };
    }
    const { unique, outgoing } = message;
    const lists = await this.#listsOf(outgoing);
    const db = this.#options.session.facts?.db ?? 0;
    return {
      script: CLAIMED_PUBLISH,
      claim,
      id,
      keys: [
        this.#options.keys.unique(unique.key),
        claim.lockKey,
        claim.entryKey,
        claim.scheduleKey,
        ...lists,
      ],
      args: [
        id,
        unique.ttlMs,
        claim.db === db ? "" : claim.db,
        db,
        claim.token,
        claim.slotMs,
        claim.meta,
        claim.score,
        ...lists.map(() => encode(outgoing)),
      ],
    };
  }

  /** One script reaches both. */
  #isHere(claim: PublishClaim): claim is RedisPublishClaim {
    const { facts } = this.#options.session;
    if (claim.kind !== "redis" || facts === null || facts.runId !== claim.runId) return false;
    return facts.db === claim.db || (facts.selectAllowed && claim.selectAllowed);
  }

  async #listsOf(outgoing: Outgoing): Promise<string[]> {
    const { keys } = this.#options;
    const step = keys.stepOf(outgoing.priority);
    return (await this.#queuesOf(outgoing)).map((queue) => keys.list(queue, step));
  }

  async claim(unique: UniqueKey, id: string): Promise<Claim> {
    const args = [id, unique.ttlMs, unique.until === "start" ? "1" : ""];
    const reply = String(await this.#insist(UNIQUE_CLAIM, { keys: this.#keysOf(unique, id), args }));
    if (reply === "run" || reply === "replaced") return { kind: reply };
    return { kind: "later", untilMs: Number(reply) };
  }

  async release(unique: UniqueKey, id: string): Promise<void> {
    await this.#insist(UNIQUE_RELEASE, { keys: this.#keysOf(unique, id), args: [id] });
  }

  #keysOf({ key }: UniqueKey, id: string): string[] {
    return [this.#options.keys.unique(key), this.#options.keys.replaced(id)];
  }

  async #publishCall(message: UniqueMessage): Promise<{ keys: RedisArg[]; args: RedisArg[] }> {
    const { keys } = this.#options;
    const { id, unique, outgoing, replace, debounceMs, maxWaitMs } = message;
    const lists = await this.#listsOf(outgoing);
    return {
      keys: [...this.#keysOf(unique, id), ...lists],
      args: [
        id,
        unique.ttlMs,
        replace ? "1" : "",
        debounceMs,
        maxWaitMs ?? "",
        keys.replaced(""),
        Math.ceil(Math.max(REPLACED_MS, unique.ttlMs) / 1000),
        ...lists.map(() => encode(outgoing)),
      ],
    };
  }

  async #queuesOf({ exchange, routingKey }: Outgoing): Promise<readonly string[]> {
    if (exchange === "") return [routingKey];
    const { session, keys, settings } = this.#options;
    const members = (await session.command("smembers", [keys.binding(exchange)])) as string[];
    const queues = matchingQueues(parseBindings(members, keys.sep), routingKey);
    if (queues.length === 0 && settings.deadletterQueue !== null) queues.push(settings.deadletterQueue);
    return queues;
  }

  /** All scripts may be executed twice without harm. */
  async #insist(script: LuaScript, call: { keys: RedisArg[]; args: RedisArg[] }): Promise<unknown> {
    const { session, clock } = this.#options;
    for (;;) {
      try {
        await session.live(null);
        return await session.script(script, call);
      } catch (error) {
        const refused = error instanceof RedisError && HANDLING[error.kind] === "stop";
        if (refused || !(error instanceof OperationalError) || session.state === "closed") throw error;
      }
      await new Promise<void>((resolve) => clock.setTimer(RETRY_MS, resolve));
    }
  }
}

/** @throws PetioleError when another leads, or there is no such entry any more */
function claimed(claim: RedisPublishClaim, id: string, verdict: unknown): string {
  if (verdict === 0) fenced();
  if (verdict === 2) throw new PetioleError("PET_SCHEDULE", "a run was not sent: its entry was removed");
  claim.onNoted();
  return id;
}

function encode(outgoing: Outgoing): string {
  const { message, exchange, routingKey, priority } = outgoing;
  return encodeEnvelope(message, { exchange, routingKey, priority, deliveryTag: uuid4() });
}

/** Of several some may have been published: the whole is repeated, which harms nobody. */
function unknownOutcome(error: unknown, count: number): unknown {
  if (count === 1 || !(error instanceof OperationalError)) return error;
  return new OperationalError(error.message, { code: error.code, outcome: "unknown", cause: error });
}
