/**
 * Ends of holds, collected per event-loop turn and sent in few large scripts. Acks and acks with a result go in one script
 * each; what is moved to a list goes through `moves.ts`.
 */
import type { RedisArg, RedisConnection } from "../../redis/connection.ts";
import type { RedisError } from "../../redis/errors.ts";
import type { LuaScript } from "../../redis/scripts.ts";
import type { Settlement, StoredWrite, UniqueEnd } from "../transport.ts";
import type { Call } from "./calls.ts";
import type { RedisDelivery } from "./holds.ts";
import {
  type Move,
  MovesCall,
  type Moving,
  type Resolve,
  type SettlerContext,
  secondsText,
} from "./moves.ts";
import { ACK, FINISH, FINISH_UNIQUE, PARK } from "./scripts/settle.lua.ts";
import { parkedTag } from "./tags.ts";

/** Tags of one ACK; `unpack` of Lua takes a few thousand at most. */
const TAGS_AT_MOST = 1000;
/** Messages whose bytes are read at once to be moved. */
const MOVES_AT_MOST = 64;
const PARKS_AT_MOST = 200;

/** The end of a task with a key. */
interface UniqueFinish extends UniqueEnd {
  readonly delivery: RedisDelivery;
  readonly write: StoredWrite | null;
  readonly resolve: Resolve;
}

interface Parking {
  readonly delivery: RedisDelivery;
  readonly untilMs: number;
  readonly resolve: Resolve;
}

/** A call about several holds; one answer each. */
class HoldsCall implements Call {
  readonly name: string;
  readonly script: LuaScript;
  readonly keys: readonly RedisArg[];
  readonly args: readonly RedisArg[];
  readonly deliveries: readonly RedisDelivery[];
  readonly resolves: readonly Resolve[];
  readonly #context: SettlerContext;

  constructor(
    context: SettlerContext,
    script: LuaScript,
    fields: Pick<HoldsCall, "keys" | "args" | "deliveries" | "resolves">,
  ) {
    this.#context = context;
    this.name = script.name;
    this.script = script;
    this.keys = fields.keys;
    this.args = fields.args;
    this.deliveries = fields.deliveries;
    this.resolves = fields.resolves;
  }

  send(connection: RedisConnection): Promise<unknown> {
    return connection.script(this.script, { keys: this.keys, args: this.args });
  }

  onReply(reply: unknown, again: boolean): void {
    // An earlier copy may have ended these holds: what is gone on a repeat was most likely our own doing.
    const gone = Array.isArray(reply) && !again ? new Set(reply as number[]) : null;
    const { deliveries, resolves } = this;
    const { holds } = this.#context;
    for (let i = 0; i < deliveries.length; i++) {
      const delivery = deliveries[i];
      if (delivery === undefined) continue;
      const lost = delivery.state === "lost";
      holds.end(delivery);
      resolves[i]?.(lost || gone?.has(i) ? "gone" : "done");
    }
  }

  onError(error: RedisError): void {
    this.#context.onRefused(error);
    this.onDropped();
  }

  /** Nobody knows whether it was done; the holder is no holder any more. */
  onDropped(): void {
    for (const delivery of this.deliveries) this.#context.holds.end(delivery);
    for (const resolve of this.resolves) resolve("gone");
  }
}

export class Settler {
  readonly #context: SettlerContext;
  #acks: RedisDelivery[] = [];
  #ackResolves: Resolve[] = [];
  #finishes: RedisDelivery[] = [];
  #finishResolves: Resolve[] = [];
  #writes: StoredWrite[] = [];
  #finishBytes = 0;
  #moves: Moving[] = [];
  #parks: Parking[] = [];
  #uniques: UniqueFinish[] = [];

  constructor(context: SettlerContext) {
    this.#context = context;
  }

  /** A FINISH that met NOSCRIPT would be sent again behind the events that are to follow it. */
  prepare(connection: RedisConnection | null): void {
    connection?.command("script", ["LOAD", FINISH.text]).catch(() => {});
  }

  /** Whether something waits for `flush`. */
  get pending(): boolean {
    return (
      this.#finishes.length > 0 ||
      this.#acks.length > 0 ||
      this.#moves.length > 0 ||
      this.#parks.length > 0 ||
      this.#uniques.length > 0
    );
  }

  /** The hold has left `Holds.held` already, or is lost. */
  add(
    delivery: RedisDelivery,
    as: Exclude<Settlement, { kind: "requeue" | "lost" | "dead" | "ack-early" }>,
    resolve: Resolve,
  ): void {
    switch (as.kind) {
      case "ack-with-result":
        if (as.unique === undefined) this.#finish(delivery, as.write, resolve);
        else this.#uniques.push({ ...as.unique, delivery, write: as.write, resolve });
        return;
      case "ack":
        if (as.unique !== undefined) {
          this.#uniques.push({ ...as.unique, delivery, write: null, resolve });
          return;
        }
        this.#acks.push(delivery);
        this.#ackResolves.push(resolve);
        return;
      case "park":
        this.#parks.push({ delivery, untilMs: as.untilMs, resolve });
        return;
    }
  }

  move(delivery: RedisDelivery, move: Move, resolve: Resolve): void {
    this.#moves.push({ delivery, move, resolve });
  }

  /** Sends what was collected. */
  flush(): void {
    this.#flushFinishes();
    if (this.#acks.length > 0) this.#flushAcks();
    if (this.#uniques.length > 0) this.#flushUniques();
    if (this.#parks.length > 0) this.#flushParks();
    if (this.#moves.length > 0) this.#flushMoves();
  }

  #finish(delivery: RedisDelivery, write: StoredWrite, resolve: Resolve): void {
    const { settings } = this.#context;
    const first = this.#writes[0];
    const size = write.value.length;
    if (
      first !== undefined &&
      (this.#finishes.length >= settings.finishBatch ||
        this.#finishBytes + size > settings.finishBytes ||
        first.keepSuccess !== write.keepSuccess ||
        dbOf(first) !== dbOf(write))
    ) {
      this.#flushFinishes();
    }
    this.#finishes.push(delivery);
    this.#finishResolves.push(resolve);
    this.#writes.push(write);
    this.#finishBytes += size;
  }

  #flushFinishes(): void {
    const writes = this.#writes;
    const first = writes[0];
    if (first === undefined) return;
    const deliveries = this.#finishes;
    const db = dbOf(first);
    const args: RedisArg[] = [
      "",
      deliveries.length,
      db === this.#context.db() ? "" : db,
      first.keepSuccess ? "1" : "",
    ];
    let started = false;
    for (const delivery of deliveries) {
      args.push(delivery.brokerTag);
      started ||= delivery.started;
    }
    if (started) args[0] = "1";
    for (const write of writes) args.push(write.key, Math.floor(write.ttlSeconds), write.value);
    this.#issue(FINISH, args, { deliveries, resolves: this.#finishResolves });
    this.#finishes = [];
    this.#finishResolves = [];
    this.#writes = [];
    this.#finishBytes = 0;
  }

  #flushAcks(): void {
    const all = this.#acks;
    const resolves = this.#ackResolves;
    this.#acks = [];
    this.#ackResolves = [];
    for (let from = 0; from < all.length; from += TAGS_AT_MOST) {
      const deliveries = all.length <= TAGS_AT_MOST ? all : all.slice(from, from + TAGS_AT_MOST);
      const args: RedisArg[] = [""];
      for (const delivery of deliveries) {
        args.push(delivery.brokerTag);
        if (delivery.started) args[0] = "1";
      }
      this.#issue(ACK, args, { deliveries, resolves: resolves.slice(from, from + TAGS_AT_MOST) });
    }
  }

  /** Each in a call of its own: it names two keys more. */
  #flushUniques(): void {
    const { keys } = this.#context;
    for (const { delivery, key, id, write, resolve } of this.#uniques) {
      const db = write === null || dbOf(write) === this.#context.db() ? "" : dbOf(write);
      const args: RedisArg[] = [
        delivery.started ? "1" : "",
        1,
        db,
        write?.keepSuccess === true ? "1" : "",
        delivery.brokerTag,
        id,
      ];
      if (write !== null) args.push(write.key, Math.floor(write.ttlSeconds), write.value);
      const more = [keys.unique(key), keys.replaced(id)];
      this.#issue(FINISH_UNIQUE, args, { deliveries: [delivery], resolves: [resolve], more });
    }
    this.#uniques = [];
  }

  #issue(
    script: LuaScript,
    args: RedisArg[],
    about: Pick<HoldsCall, "deliveries" | "resolves"> & { readonly more?: readonly string[] },
  ): void {
    const { deliveries, resolves, more } = about;
    const { unacked, index, lease, started } = this.#context.keys;
    const keys = [unacked, index, lease, started];
    if (more !== undefined) keys.push(...more);
    this.#context.calls.issue(new HoldsCall(this.#context, script, { keys, args, deliveries, resolves }));
  }

  #flushParks(): void {
    const all = this.#parks;
    this.#parks = [];
    const { unacked, index, lease, parked, started } = this.#context.keys;
    for (let from = 0; from < all.length; from += PARKS_AT_MOST) {
      const parks = all.slice(from, from + PARKS_AT_MOST);
      const args: RedisArg[] = [];
      for (const { delivery, untilMs } of parks) {
        args.push(
          delivery.brokerTag,
          parkedTag(delivery.step, delivery.brokerTag),
          secondsText(untilMs),
          "",
          "",
        );
      }
      this.#context.calls.issue(
        new HoldsCall(this.#context, PARK, {
          keys: [unacked, index, lease, parked, started],
          args,
          deliveries: parks.map((one) => one.delivery),
          resolves: parks.map((one) => one.resolve),
        }),
      );
    }
  }

  #flushMoves(): void {
    const all = this.#moves;
    this.#moves = [];
    for (let from = 0; from < all.length; from += MOVES_AT_MOST) {
      this.#context.calls.issue(new MovesCall(this.#context, all.slice(from, from + MOVES_AT_MOST)));
    }
  }
}

function dbOf(write: StoredWrite): number {
  return write.location.kind === "redis" ? write.location.db : -1;
}
