/**
 * What this consumer holds.
 *
 * | state   | meaning | leaves by |
 * |---------|---------|-----------|
 * | held    | with the worker, takes prefetch | `leave` (settled) · `lose` (lease gone) |
 * | waiting | near its time, kept here under its lease, takes no prefetch | `deliver` · `leave` |
 * | leaving | settled, the broker has not answered; the lease is still renewed | `end` |
 * | lost    | somebody else has it, or will; the worker may still run it | – |
 * | ended   | the broker has answered | – |
 */
import { Linked, LinkedSet } from "../../base/linked-set.ts";
import { decodeEnvelope } from "../../protocol/envelope.ts";
import type { Limits, WireMessage } from "../../protocol/wire.ts";
import type { Delivery } from "../transport.ts";
import { LeaseTable } from "./lease-table.ts";

/** One FETCH and its row of the lease table. */
export class FetchedCall {
  readonly call: number;
  readonly row: number;
  /** Messages whose hold has not ended. */
  left: number;
  constructor(call: number, row: number, left: number) {
    this.call = call;
    this.row = row;
    this.left = left;
  }
}

export type HoldState = "held" | "waiting" | "leaving" | "lost" | "ended";

export interface HoldFields {
  readonly fetched: FetchedCall;
  /** From 1, in its call. */
  readonly index: number;
  readonly step: number;
  readonly brokerTag: string;
  readonly queue: string;
  /** As it came. */
  readonly raw: string;
  readonly serverTimeMs: number;
}

const UNREAD: WireMessage = {
  body: "",
  contentType: "",
  contentEncoding: "",
  headers: {},
  properties: {},
};

export class RedisDelivery extends Linked implements Delivery {
  /** The broker's tag, with a suffix when the message was delivered again from memory. */
  readonly tag: string;
  readonly queue: string;
  readonly serverTimeMs: number;
  readonly fetched: FetchedCall;
  readonly index: number;
  readonly step: number;
  readonly brokerTag: string;
  /** Empty until `read`. */
  message: WireMessage = UNREAD;
  redelivered = false;
  deliveryCount = 0;
  /** The text until it was read; afterwards null. */
  raw: string | null;
  /** Written by `Holds` only. */
  state: HoldState = "held";
  /** Its start was recorded: the script that ends the hold has to remove that. */
  started = false;

  constructor(fields: HoldFields, tag: string = fields.brokerTag) {
    super();
    this.tag = tag;
    this.queue = fields.queue;
    this.serverTimeMs = fields.serverTimeMs;
    this.fetched = fields.fetched;
    this.index = fields.index;
    this.step = fields.step;
    this.brokerTag = fields.brokerTag;
    this.raw = fields.raw;
  }

  /** Makes `message` of the text, once. Called just before the worker gets it: what is read early is long in memory. */
  read(limits: Limits): void {
    if (this.raw === null) return;
    this.#take(decodeEnvelope(this.raw, limits));
    this.raw = null;
  }

  /** The same hold as a new delivery, of a message that was read. */
  again(tag: string, serverTimeMs: number): RedisDelivery {
    const again = new RedisDelivery(
      {
        fetched: this.fetched,
        index: this.index,
        step: this.step,
        brokerTag: this.brokerTag,
        queue: this.queue,
        raw: "",
        serverTimeMs,
      },
      tag,
    );
    again.#take(this.message);
    again.raw = null;
    again.started = this.started;
    return again;
  }

  #take(message: WireMessage): void {
    this.message = message;
    this.redelivered = isRedelivered(message);
    this.deliveryCount = deliveryCountOf(message);
  }
}

function isRedelivered(message: WireMessage): boolean {
  if (message.headers["redelivered"] === true) return true;
  const info = message.properties["delivery_info"];
  return (
    typeof info === "object" && info !== null && (info as Record<string, unknown>)["redelivered"] === true
  );
}

/** `x-delivery-count`; anything but a count is 0. */
export function deliveryCountOf(message: WireMessage): number {
  const count = message.headers["x-delivery-count"];
  return typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? count : 0;
}

export class Holds {
  readonly table: LeaseTable = new LeaseTable();
  /** State held. Its size is what prefetch limits. */
  readonly held: LinkedSet<RedisDelivery> = new LinkedSet();
  /** State waiting. */
  readonly waiting: LinkedSet<RedisDelivery> = new LinkedSet();
  /** State leaving. */
  readonly leaving: LinkedSet<RedisDelivery> = new LinkedSet();

  /** A call is about to be sent: what it may take is held from now on. */
  announce(call: number, n: number): FetchedCall {
    return new FetchedCall(call, this.table.announce(call, n), n);
  }

  /** The call took only the first `count`. */
  answered(fetched: FetchedCall, count: number): void {
    fetched.left = count;
    if (count === 0) this.table.free(fetched.row);
    else this.table.truncate(fetched.row, count);
  }

  /** Of a replayed call: message `index` is not there any more. */
  missing(fetched: FetchedCall, index: number): void {
    this.#clear(fetched, index);
  }

  add(delivery: RedisDelivery): void {
    this.held.add(delivery);
  }

  /** Settled, or waiting for its time; false when it was not held. */
  leave(delivery: RedisDelivery, to: "leaving" | "waiting"): boolean {
    if (delivery.state === "held") this.held.delete(delivery);
    else if (delivery.state === "waiting") this.waiting.delete(delivery);
    else return false;
    delivery.state = to;
    (to === "leaving" ? this.leaving : this.waiting).add(delivery);
    return true;
  }

  /** A waiting message's time has come: the same hold as a new delivery. */
  redeliver(delivery: RedisDelivery, serverTimeMs: number, round: number): RedisDelivery {
    this.waiting.delete(delivery);
    delivery.state = "ended";
    const again = delivery.again(`${delivery.brokerTag}~${round}`, serverTimeMs);
    this.held.add(again);
    return again;
  }

  /** The broker has answered the settlement. */
  end(delivery: RedisDelivery): void {
    if (delivery.state !== "leaving") return;
    this.leaving.delete(delivery);
    delivery.state = "ended";
    this.#clear(delivery.fetched, delivery.index);
  }

  /** The lease is gone. */
  lose(delivery: RedisDelivery): void {
    if (delivery.state === "held") this.held.delete(delivery);
    else if (delivery.state === "waiting") this.waiting.delete(delivery);
    else return;
    delivery.state = "lost";
    this.#clear(delivery.fetched, delivery.index);
  }

  #clear(fetched: FetchedCall, index: number): void {
    fetched.left -= 1;
    if (fetched.left <= 0) this.table.free(fetched.row);
    else this.table.clear(fetched.row, index);
  }
}
