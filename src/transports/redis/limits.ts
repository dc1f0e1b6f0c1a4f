/** The consumer's side of limits over all workers: asks before a start, and gives back at the end. */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { RedisArg, RedisConnection } from "../../redis/connection.ts";
import type { RedisError } from "../../redis/errors.ts";
import type { LuaScript } from "../../redis/scripts.ts";
import { type Admission, type LimitClaim, type LimitRecord, limitName } from "../limits.ts";
import type { Settlement } from "../transport.ts";
import type { CallQueue } from "./calls.ts";
import type { Holds, RedisDelivery } from "./holds.ts";
import type { RedisKeys } from "./keys.ts";
import type { Answer } from "./moves.ts";
import { ADMIT, END, FREE, LOOK } from "./scripts/limits.lua.ts";
import { parkedTag } from "./tags.ts";

export interface LimitsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly keys: RedisKeys;
  /** A slot is kept so long for a task that was called. */
  readonly leaseMs: number;
  readonly holds: Holds;
  readonly calls: CallQueue;
  /** Between two looks at lines whose holders may be lost. */
  readonly intervalMs: number;
  readonly random: () => number;
  /** Database of the connection: results that go elsewhere need SELECT. */
  readonly db: () => number;
  /** The connection that may be used now, or null. */
  readonly connection: () => RedisConnection | null;
  /** The broker has a message until then. */
  readonly onParked: (untilMs: number) => void;
  /** Something is no longer held: there is room for more. */
  readonly onRoom: () => void;
  readonly onRefused: (error: RedisError) => void;
}

/** KEYS of every script of limits. */
export function limitKeys(keys: RedisKeys): string[] {
  return [keys.unacked, keys.index, keys.lease, keys.limits, keys.limitLines];
}

/** ARGV that every script of limits begins with. */
export function limitArgs(keys: RedisKeys, leaseMs: number): RedisArg[] {
  return [keys.limitBase, keys.prefix, keys.sep, leaseMs / 1000];
}

export class RedisLimits {
  readonly #options: LimitsOptions;
  /** Deliveries that have a slot of a concurrency limit. */
  readonly #slots = new Map<RedisDelivery, LimitClaim>();
  #timer: Timer | null = null;
  #stopped = false;

  constructor(options: LimitsOptions) {
    this.#options = options;
  }

  /** Looks after lines from now on. Idempotent. */
  watch(): void {
    if (this.#timer !== null || this.#stopped) return;
    const { clock, intervalMs, random } = this.#options;
    this.#timer = clock.setTimer(
      intervalMs * (0.75 + 0.5 * random()),
      () => {
        void this.#look().finally(() => {
          this.#timer = null;
          this.watch();
        });
      },
      { unref: true },
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#slots.clear();
  }

  /** Every slot goes back: the consumer closes. What is held is moved by the consumer. */
  freeAll(): void {
    for (const [delivery, claim] of this.#slots) this.release(delivery, claim);
  }

  admit(delivery: RedisDelivery, claim: LimitClaim): Promise<Admission> {
    this.watch();
    const { keys, leaseMs } = this.#options;
    const { id, task, concurrency, rate } = claim;
    const args: RedisArg[] = [
      ...limitArgs(keys, leaseMs),
      delivery.brokerTag,
      parkedTag(delivery.step, delivery.brokerTag),
      id,
      nameOf(claim, "concurrency"),
      concurrency?.limit ?? 0,
      concurrency === null ? "" : record({ task, ...concurrency, perSecond: null }),
      nameOf(claim, "rate"),
      rate === null ? 0 : 1 / rate.perSecond,
      rate?.burst ?? 0,
      rate === null ? "" : record({ task, key: rate.key, limit: rate.burst, perSecond: rate.perSecond }),
    ];
    return new Promise((resolve) => {
      this.#call(
        ADMIT,
        { keys: [...limitKeys(keys), keys.parked], args },
        {
          done: (reply) => resolve(this.#admitted(delivery, claim, String(reply))),
          dropped: () => resolve({ kind: "gone" }),
        },
      );
    });
  }

  #admitted(delivery: RedisDelivery, claim: LimitClaim, reply: string): Admission {
    if (reply === "run") {
      if (delivery.state !== "held") {
        this.release(delivery, claim);
        return { kind: "gone" };
      }
      if (claim.concurrency !== null) this.#slots.set(delivery, claim);
      return { kind: "run" };
    }
    const { holds, onParked, onRoom } = this.#options;
    if (holds.leave(delivery, "leaving")) holds.end(delivery);
    onRoom();
    if (reply === "gone") return { kind: "gone" };
    if (reply === "c") return { kind: "wait", for: "concurrency", key: claim.concurrency?.key ?? "" };
    const untilMs = Number(reply) * 1000;
    onParked(untilMs);
    return { kind: "wait", for: "rate", key: claim.rate?.key ?? "", untilMs };
  }

  /** null: it has no slot, or keeps it until `release`. */
  settle(delivery: RedisDelivery, as: Settlement): Promise<Answer> | null {
    const claim = this.#slots.get(delivery);
    if (claim === undefined) return null;
    switch (as.kind) {
      case "ack":
      case "ack-with-result":
        return this.#end(delivery, claim, as);
      case "ack-early":
        return this.#ackEarly(delivery);
      case "requeue":
      case "lost":
      case "park":
      case "dead":
        this.release(delivery, claim);
        return null;
    }
  }

  /** Gives back what an id has: of a delivery that was admitted, or of one that was called and does not run. */
  release(delivery: RedisDelivery, claim: LimitClaim): void {
    const { keys, leaseMs } = this.#options;
    const had = this.#slots.delete(delivery);
    if (had && delivery.state === "leaving") {
      void this.#end(delivery, claim, { kind: "ack" });
      return;
    }
    const args = [
      ...limitArgs(keys, leaseMs),
      delivery.brokerTag,
      claim.id,
      nameOf(claim, "concurrency"),
      had ? "" : nameOf(claim, "rate"),
    ];
    this.#call(FREE, { keys: limitKeys(keys), args }, { done: () => {}, dropped: () => {} });
  }

  /** The message is done, the lease goes on. It is held by nobody's prefetch. */
  #ackEarly(delivery: RedisDelivery): Promise<Answer> {
    const { keys, holds, calls, onRoom } = this.#options;
    if (!holds.leave(delivery, "leaving")) return Promise.resolve("gone");
    onRoom();
    return new Promise((resolve) => {
      calls.issue({
        name: "ack early",
        send: (connection) => connection.command("hdel", [keys.unacked, delivery.brokerTag]),
        onReply: (reply, again) => resolve(reply === 1 || again ? "done" : "gone"),
        onError: (error) => {
          this.#options.onRefused(error);
          resolve("gone");
        },
        onDropped: () => resolve("gone"),
      });
    });
  }

  #end(
    delivery: RedisDelivery,
    claim: LimitClaim,
    as: Extract<Settlement, { kind: "ack" | "ack-with-result" }>,
  ): Promise<Answer> {
    const { keys, leaseMs, holds, db, onRoom } = this.#options;
    this.#slots.delete(delivery);
    const args: RedisArg[] = [
      ...limitArgs(keys, leaseMs),
      delivery.brokerTag,
      claim.id,
      nameOf(claim, "concurrency"),
    ];
    if (as.kind === "ack-with-result") {
      const { location, key, ttlSeconds, value, keepSuccess } = as.write;
      const to = location.kind === "redis" && location.db !== db() ? location.db : "";
      args.push(to, keepSuccess ? "1" : "", key, Math.floor(ttlSeconds), value);
    }
    const lost = delivery.state === "lost";
    if (delivery.state === "held") holds.leave(delivery, "leaving");
    onRoom();
    return new Promise((resolve) => {
      this.#call(
        END,
        { keys: [...limitKeys(keys), keys.started], args },
        {
          done: (reply, again) => {
            holds.end(delivery);
            resolve(!lost && (reply === 1 || again) ? "done" : "gone");
          },
          dropped: () => {
            holds.end(delivery);
            resolve("gone");
          },
        },
      );
    });
  }

  #call(
    script: LuaScript,
    { keys, args }: { readonly keys: readonly RedisArg[]; readonly args: readonly RedisArg[] },
    on: { readonly done: (reply: unknown, again: boolean) => void; readonly dropped: () => void },
  ): void {
    this.#options.calls.issue({
      name: script.name,
      send: (connection) => connection.script(script, { keys, args }),
      onReply: on.done,
      onError: (error) => {
        this.#options.onRefused(error);
        on.dropped();
      },
      onDropped: on.dropped,
    });
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { keys, leaseMs, connection, logger } = this.#options;
    try {
      await connection()?.script(LOOK, { keys: limitKeys(keys), args: limitArgs(keys, leaseMs) });
    } catch (err) {
      logger.debug({ err }, "a look at the lines of limits failed, it will be repeated");
    }
  }
}

function nameOf({ task, concurrency, rate }: LimitClaim, kind: "concurrency" | "rate"): string {
  const limit = kind === "concurrency" ? concurrency : rate;
  return limit === null ? "" : limitName(kind, task, limit.key);
}

function record(of: LimitRecord): string {
  const { task, key, limit, perSecond } = of;
  return JSON.stringify({ task, key, limit, perSecond });
}
